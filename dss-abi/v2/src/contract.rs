//! The contract: what crosses the boundary between a library and DSS. Frozen at its release.
//!
//! Library authors use the layer above it; this is for who writes another layer, and for DSS. Texts are UTF-8; durations are
//! nanoseconds.

use std::mem::ManuallyDrop;
use std::os::raw::c_void;

use abi_stable::std_types::{RBox, ROption, RResult, RSlice, RStr, RString, RVec};
use abi_stable::{sabi_trait, StableAbi};
use dss_abi::{Answer, Rendezvous};

use crate::value::{RawCallback, RawObject, RawValue};

/// The symbol that a library exports: an [`OpenFn`].
pub const OPEN_SYMBOL: &str = "dss_library_v2_open";

/// What DSS calls in a library that it has loaded, when a Lua state loads it: also one where it was registered before, and has
/// left. [lua-thread]
///
/// The library attaches to `opening.rendezvous`, registers with `opening.state`, and returns [`dss_abi::GRANTED`]; or it
/// returns [`dss_abi::REFUSED`], with the reason in the answer's text.
///
/// # Safety
/// Both pointers point to records of the size they state, for the length of the call.
pub type OpenFn = unsafe extern "C" fn(opening: *const Opening, answer: *mut Answer) -> i32;

/// What a library is opened with. Plain C layout; it grows at its end alone.
#[repr(C)]
pub struct Opening {
    /// The size of this record in bytes, as DSS has it.
    pub size: u32,
    /// Always 0.
    pub reserved: u32,
    /// The loaded DSS.
    pub rendezvous: *const Rendezvous,
    /// The Lua state, for [`Service::register`]; good for the length of the call, and on this thread.
    pub state: usize,
}

impl Opening {
    /// The size of the record in 1.0.0 of the interface, in bytes.
    pub const SIZE_1_0: u32 = if cfg!(target_pointer_width = "64") { 24 } else { 16 };
}

/// What a call by Lua is of. Borrowed for the length of the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawCall {
    /// The context of the registration: [`RawRegistration::context`].
    pub context: *mut c_void,
    /// The handle of the registration.
    pub handle: usize,
    /// The function's or method's own word, [`RawFunction::data`]; 0 in a call of [`RawClass::close`] and
    /// [`RawClass::to_string`].
    pub function: usize,
    /// The object's data; NULL in a call of a function.
    pub object: *mut c_void,
}

/// A function or a method of a library, as Lua calls it. [lua-thread]
///
/// Arguments of the kind `Borrowed` are good for the length of the call, and are never within a list or a map. It returns the
/// results, or what is raised as a Lua error; a string is raised with the place of the Lua code that called before it.
/// Among the results, and not within a list or a map, a `Borrowed` may stand that is the object that the method was called on,
/// or an argument of this call. Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct CallFn(
    /// The function.
    pub unsafe extern "C" fn(call: &RawCall, arguments: RVec<RawValue>) -> RResult<RVec<RawValue>, RawValue>,
);

/// The text of an object. [lua-thread] Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct TextFn(
    /// The function.
    pub unsafe extern "C" fn(call: &RawCall) -> RString,
);

/// Says that DSS is done with `data`; called once, as the last call with it, on whatever thread ended the last use.
/// [any-thread] Never unwinds, and does not wait for anything.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct DropFn(
    /// The function.
    pub unsafe extern "C" fn(data: *mut c_void),
);

/// Tells a library that its state closes, after all that it had queued was cancelled. [lua-thread] Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct ClosingFn(
    /// The function.
    pub unsafe extern "C" fn(context: *mut c_void, handle: usize),
);

/// Ends a request; called once for each that was taken, on the thread that ends it, with no lock of DSS's held. [any-thread]
/// Never unwinds, and does not wait for anything. It may come before [`Service::request`] has returned.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct CompleteFn(
    /// The function.
    pub unsafe extern "C" fn(context: *mut c_void, answer: RawAnswer),
);

/// How a request ended.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawAnswer {
    /// One of the `ENDED_` constants.
    pub ended: u32,
    /// What Lua answered, where it did. Where it failed, the one value that was raised, if that is no string and can cross.
    pub values: RVec<RawValue>,
    /// The error's text, where it failed.
    pub message: RString,
    /// Its traceback, where there is one.
    pub traceback: RString,
}

/// [`RawAnswer::ended`]: Lua answered.
pub const ENDED_ANSWERED: u32 = 1;
/// [`RawAnswer::ended`]: the Lua function raised an error.
pub const ENDED_FAILED: u32 = 2;
/// [`RawAnswer::ended`]: a deferred reply was collected uncalled.
pub const ENDED_COLLECTED: u32 = 3;
/// [`RawAnswer::ended`]: the library ended it by [`Service::end`].
pub const ENDED_CANCELLED: u32 = 4;
/// [`RawAnswer::ended`]: the library was unregistered, or the state closed.
pub const ENDED_CLOSED: u32 = 5;
/// [`RawAnswer::ended`]: a deadline was over.
pub const ENDED_TIMED_OUT: u32 = 6;
/// [`RawAnswer::ended`]: it was dropped, to make room for a later one.
pub const ENDED_DROPPED: u32 = 7;

/// A named function or method.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawFunction {
    /// Its name in Lua.
    pub name: RStr<'static>,
    /// The function.
    pub call: CallFn,
    /// The library's own word for it, handed to `call`: so one `call` may serve many.
    pub data: usize,
}

/// A class of objects. A `static` of the library's: its address is the class's identity.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawClass {
    /// Its name.
    pub name: RStr<'static>,
    /// What Lua can call on an object.
    pub methods: RSlice<'static, RawFunction>,
    /// For `tostring`.
    pub to_string: ROption<TextFn>,
    /// For `object:close()` and `<close>`; called with no arguments, once at most, even if it fails. Its results are
    /// ignored; its error is raised.
    pub close: ROption<CallFn>,
    /// Drops an object's data: on the Lua thread where Lua collects it; where its library leaves or its state closes, on the
    /// thread that ends the last call into the library; on whatever thread drops what never came to Lua.
    pub drop: DropFn,
}

/// How much a library may have queued, and what happens at that bound.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLimits {
    /// Items at most.
    pub items: usize,
    /// Bytes at most, of all values queued.
    pub bytes: usize,
    /// One of the `POLICY_` constants.
    pub policy: u32,
    /// How long a deliver waits for room, in nanoseconds; for [`POLICY_WAIT`].
    pub wait: u64,
}

/// [`RawLimits::policy`]: what does not fit is refused.
pub const POLICY_REFUSE: u32 = 1;
/// [`RawLimits::policy`]: deliver waits for room, and is refused when its time is over.
pub const POLICY_WAIT: u32 = 2;
/// [`RawLimits::policy`]: the oldest items make room.
pub const POLICY_DROP_OLDEST: u32 = 3;
/// [`RawLimits::policy`]: an item takes the place, in the queue, of the one of the same key that is still queued; what does not
/// fit is refused.
pub const POLICY_LATEST: u32 = 4;

/// What a library registers with.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawRegistration {
    /// An address that is the library's own, the same in all states.
    pub libid: usize,
    /// Its name.
    pub name: RStr<'static>,
    /// Its version, as semver.
    pub version: RStr<'static>,
    /// Its functions.
    pub functions: RSlice<'static, RawFunction>,
    /// The classes of the objects that it gives to Lua.
    pub classes: RSlice<'static, &'static RawClass>,
    /// Its bounds.
    pub limits: RawLimits,
    /// Whether it counts for `run()`.
    pub keeps_alive: bool,
    /// Called when the state closes, after all that the library had queued was cancelled. DSS unregisters it after that, where
    /// it did not do so in there.
    pub closing: ROption<ClosingFn>,
    /// Called once, as the last call with `context`; also where nothing is registered: the registration is refused, or the
    /// library was registered already.
    pub release: ROption<DropFn>,
    /// The library's own, handed to the two functions above, and to each function, method and text.
    pub context: *mut c_void,
}

/// One delivery: a Lua function and its arguments. Borrowed for the length of the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawDelivery<'a> {
    /// The function: [`RawCallback::id`]. DSS takes a reference of its own.
    pub callback: u64,
    /// `count` values. Where the delivery is taken, they are DSS's from then on; where it is refused, the library's still.
    pub values: *mut ManuallyDrop<RawValue>,
    /// How many.
    pub count: usize,
    /// For [`POLICY_LATEST`]: which items of the same `callback` are one. Empty for an item of its own. Looked at in a plain
    /// delivery alone.
    pub key: RSlice<'a, u8>,
}

/// One request: a delivery that wants an answer.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawRequest<'a> {
    /// What is delivered.
    pub delivery: RawDelivery<'a>,
    /// Called once where the request is taken; not called where it is refused.
    pub complete: CompleteFn,
    /// The library's own, handed to `complete`.
    pub context: *mut c_void,
}

/// A reason for a refusal. A number and not an enum, so that later releases can say more; what a library does not know
/// is a refusal all the same.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(
    /// The number.
    pub u32,
);

impl Code {
    /// The handle names no registered library.
    pub const INVALID_HANDLE: Code = Code(1);
    /// The state is closing or closed.
    pub const STOPPING: Code = Code(2);
    /// Out of memory, or more libraries than a state can tell apart.
    pub const OUT_OF_MEMORY: Code = Code(3);
    /// The call would wait for the thread it is made on.
    pub const WOULD_DEADLOCK: Code = Code(6);
    /// The state given is none that is being opened.
    pub const INVALID_STATE: Code = Code(8);
    /// The library has as much queued as it may.
    pub const FULL: Code = Code(9);
    /// The time to wait for room is over.
    pub const TIMED_OUT: Code = Code(10);
    /// The callback is dead: its state has closed; or it is another state's.
    pub const INVALID_CALLBACK: Code = Code(11);
    /// The values are nested too deep.
    pub const TOO_DEEP: Code = Code(12);
    /// One item alone is more than the library's bound in bytes, or 4 GiB.
    pub const TOO_LARGE: Code = Code(13);
    /// What is given is not well formed: a name, a version or a policy that is none; limits with no room for an item; a value of
    /// the kind `Borrowed` in a delivery.
    pub const MALFORMED: Code = Code(14);
}

/// What `register` grants.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The handle; never 0.
    pub handle: usize,
    /// Whether the library was registered before, and nothing changed.
    pub already: bool,
}

/// What is said of a delivery that was taken.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The delivery's name, for [`Service::end`]; never 0.
    pub ticket: u64,
    /// Whether a notification is outstanding (or none is wanted); false where it could not be sent.
    pub announced: bool,
}

/// What is said of a batch: how many of it were taken, from the front, and why no more.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedMany {
    /// How many were taken.
    pub taken: usize,
    /// The name of the first that was taken; the others follow, each one more than the last. 0 where none was.
    pub first: u64,
    /// As [`Accepted::announced`].
    pub announced: bool,
    /// Why the next one was not.
    pub refused: ROption<Code>,
}

/// What DSS does for a library.
///
/// A call of these may end other deliveries of the library's on the calling thread; and where the library is leaving, or its state
/// closes, it may be what that waits for, and then run [`RawRegistration::release`] and [`RawClass::drop`] of every object. So no
/// lock that the library's completions, destructors, `closing` or `release` take may be held over one. This is not so of
/// [`Self::keep_alive`], [`Self::hold`], [`Self::let_go`], [`Self::retain`], [`Self::extension`] and [`Self::on_lua_thread`],
/// which end nothing.
#[sabi_trait]
pub trait Service: Send + Sync + 'static {
    /// Registers a library in the state that is being opened; once in an opening. [lua-thread]
    fn register(&self, state: usize, registration: RawRegistration) -> RResult<Registered, Code>;

    /// Unregisters a library: cancels all it has, and returns when none of its code runs any more for that state. Calls that
    /// the calling thread itself stands in are the exception; and so are, while the library's `closing` runs, those that the
    /// closing thread stands in, which may be joining this very thread. [`Code::INVALID_HANDLE`] where another thread is at it already.
    /// [any-thread] `[blocks]` while another thread is in its code
    fn unregister(&self, handle: usize) -> RResult<(), Code>;

    /// Hands over one item. [any-thread] `[blocks]` at the bound, under [`POLICY_WAIT`]
    fn deliver(&self, handle: usize, delivery: RawDelivery<'_>) -> RResult<Accepted, Code>;

    /// Hands over some items under one lock, with one notification. What does not fit is refused, under [`POLICY_WAIT`]
    /// too. [any-thread]
    fn deliver_many(&self, handle: usize, deliveries: RSlice<'_, RawDelivery<'_>>) -> AcceptedMany;

    /// Hands over one item that wants an answer, and returns at once. What does not fit is refused, under [`POLICY_WAIT`]
    /// too. [any-thread]
    fn request(&self, handle: usize, request: RawRequest<'_>) -> RResult<Accepted, Code>;

    /// Ends a delivery before its time: a plain one that is queued; a request until its answer has come, or, with
    /// `queued_only`, while it is queued. A request is completed with `ended`, [`ENDED_CANCELLED`] or [`ENDED_TIMED_OUT`],
    /// before this returns; one that Lua is just taking, as soon as it has. False where it was too late. [any-thread]
    fn end(&self, handle: usize, ticket: u64, ended: u32, queued_only: bool) -> bool;

    /// As [`Self::end`], of all the library's deliveries and requests to one callback; returns how many it ended. [any-thread]
    fn end_all(&self, handle: usize, callback: u64, ended: u32) -> usize;

    /// Sets the bounds anew. [any-thread]
    fn limit(&self, handle: usize, limits: RawLimits) -> RResult<(), Code>;

    /// Says whether the registration counts for `run()` while nothing holds it. [any-thread]
    fn keep_alive(&self, handle: usize, keeps: bool) -> RResult<(), Code>;

    /// Has the registration count for `run()` until as many calls of [`Self::let_go`] have followed. [any-thread]
    fn hold(&self, handle: usize) -> RResult<(), Code>;

    /// Takes one [`Self::hold`] back; does nothing where there is none, or the library has left. [any-thread]
    fn let_go(&self, handle: usize);

    /// Another reference to a callback. [any-thread]
    fn retain(&self, callback: u64) -> RResult<RawCallback, Code>;

    /// What is optional, by name; NULL where this DSS has no such thing. Else a record of plain C layout that begins with its
    /// own size, a `u32` of bytes, and lives as long as the process: the name says which. This interface is never added to,
    /// for the layouts of both sides are compared whole. [any-thread]
    fn extension(&self, name: RStr<'_>) -> *const c_void;

    /// Whether the calling thread is the Lua thread of the library's state, on which nothing may wait for Lua. [any-thread]
    #[sabi(last_prefix_field)]
    fn on_lua_thread(&self, handle: usize) -> bool;
}

/// The root of the revision: what DSS hands out.
pub type ServiceObject = Service_TO<RBox<()>>;

// The layout is frozen: 64-bit figures.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::size_of;
    assert!(size_of::<RawValue>() == 24);
    assert!(size_of::<RawCallback>() == 16);
    assert!(size_of::<RawObject>() == 16);
    assert!(size_of::<RawFunction>() == 32);
    assert!(size_of::<RawCall>() == 32);
    assert!(size_of::<RawDelivery<'static>>() == 40);
    assert!(size_of::<RawRequest<'static>>() == 56);
    assert!(size_of::<RawLimits>() == 32);
    assert!(size_of::<Accepted>() == 16);
    assert!(size_of::<ServiceObject>() == 24);
    assert!(size_of::<Opening>() == Opening::SIZE_1_0 as usize);
    assert!(size_of::<RawClass>() == 72);
};
