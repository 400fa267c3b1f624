//! The contract: everything that crosses the boundary between a library and DSS. It is frozen.
//!
//! Library authors use the rest of this crate. This module is for DSS, and for authors of another layer above the
//! contract. Texts are UTF-8. Durations are in nanoseconds.

use std::mem::ManuallyDrop;
use std::os::raw::c_void;

use abi_stable::std_types::{RBox, ROption, RResult, RSlice, RStr, RString, RVec};
use abi_stable::{sabi_trait, StableAbi};
use dss_abi::{Answer, Rendezvous};

use crate::value::{RawCallback, RawObject, RawValue};

/// The symbol of the [`OpenFn`] that a library exports.
pub const OPEN_SYMBOL: &str = "dss_library_v2_open";

/// The function that DSS calls when a Lua state loads the library. DSS calls it again if the library was unregistered
/// in that state and is loaded once more. [lua-thread]
///
/// The library attaches to `opening.rendezvous`, registers with `opening.state`, and returns [`dss_abi::GRANTED`].
/// Otherwise it returns [`dss_abi::REFUSED`], and writes the reason into the answer's text.
///
/// # Safety
/// Both pointers point to records of the size that the records state, during the call.
pub type OpenFn = unsafe extern "C" fn(opening: *const Opening, answer: *mut Answer) -> i32;

/// The argument of an [`OpenFn`]. It has plain C layout, and grows only at its end.
#[repr(C)]
pub struct Opening {
    /// The size of this record in bytes, as DSS has it.
    pub size: u32,
    /// Always 0.
    pub reserved: u32,
    /// The loaded DSS.
    pub rendezvous: *const Rendezvous,
    /// The Lua state, for [`Service::register`]. It is valid during the call, on this thread.
    pub state: usize,
}

impl Opening {
    /// The size of the record in version 1.0.0 of the interface, in bytes.
    pub const SIZE_1_0: u32 = if cfg!(target_pointer_width = "64") { 24 } else { 16 };
}

/// The target of a call by Lua. It is borrowed during the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawCall {
    /// The context of the registration: [`RawRegistration::context`].
    pub context: *mut c_void,
    /// The handle of the registration.
    pub handle: usize,
    /// [`RawFunction::data`] of the function or method. It is 0 in a call of [`RawClass::close`] and
    /// [`RawClass::to_string`].
    pub function: usize,
    /// The object's data. It is NULL in a call of a function.
    pub object: *mut c_void,
}

/// A function or a method of a library, as Lua calls it. [lua-thread]
///
/// Arguments of the kind `Borrowed` are valid during the call, and are never inside a list or a map.
///
/// It returns the results, or a value that DSS raises as a Lua error. If that value is a string, DSS puts the place
/// of the calling Lua code before it. A result may be `Borrowed` if it is the object that the method was called on,
/// or an argument of this call. It must not be inside a list or a map. Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct CallFn(
    /// The function.
    pub unsafe extern "C" fn(call: &RawCall, arguments: RVec<RawValue>) -> RResult<RVec<RawValue>, RawValue>,
);

/// Makes the text of an object. [lua-thread] Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct TextFn(
    /// The function.
    pub unsafe extern "C" fn(call: &RawCall) -> RString,
);

/// Drops `data`. DSS calls it once, as the last call with `data`, on the thread that ended the last use. [any-thread]
/// Never unwinds, and does not wait for anything.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct DropFn(
    /// The function.
    pub unsafe extern "C" fn(data: *mut c_void),
);

/// Tells a library that its state closes. All its queued deliveries are cancelled before. [lua-thread] Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct ClosingFn(
    /// The function.
    pub unsafe extern "C" fn(context: *mut c_void, handle: usize),
);

/// Ends a request. DSS calls it once for each accepted request, on the thread that ends the request, while it holds
/// no lock of its own. The call may come before [`Service::request`] has returned. [any-thread] Never unwinds, and
/// does not wait for anything.
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
    /// The answer of Lua. If the function failed: the raised value, if it is not a string and can cross the boundary.
    pub values: RVec<RawValue>,
    /// The text of the error, if the function failed.
    pub message: RString,
    /// The traceback of the error, if there is one.
    pub traceback: RString,
}

/// [`RawAnswer::ended`]: Lua answered.
pub const ENDED_ANSWERED: u32 = 1;
/// [`RawAnswer::ended`]: the Lua function raised an error.
pub const ENDED_FAILED: u32 = 2;
/// [`RawAnswer::ended`]: the reply function was collected without being called.
pub const ENDED_COLLECTED: u32 = 3;
/// [`RawAnswer::ended`]: the library ended the request with [`Service::end`].
pub const ENDED_CANCELLED: u32 = 4;
/// [`RawAnswer::ended`]: the library was unregistered, or the state closed.
pub const ENDED_CLOSED: u32 = 5;
/// [`RawAnswer::ended`]: a deadline was over.
pub const ENDED_TIMED_OUT: u32 = 6;
/// [`RawAnswer::ended`]: the request was dropped, to make room for a later item.
pub const ENDED_DROPPED: u32 = 7;

/// A named function or method.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawFunction {
    /// Its name in Lua.
    pub name: RStr<'static>,
    /// The function.
    pub call: CallFn,
    /// A number of the library's choice, which `call` gets as [`RawCall::function`]. So one `call` may serve many
    /// functions.
    pub data: usize,
}

/// A class of objects. It is a `static` of the library, and its address identifies the class.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawClass {
    /// Its name.
    pub name: RStr<'static>,
    /// The methods that Lua can call on an object.
    pub methods: RSlice<'static, RawFunction>,
    /// Makes the text for `tostring`.
    pub to_string: ROption<TextFn>,
    /// Called for `object:close()` and `<close>`, without arguments, at most once for an object, even if it fails.
    /// Its results are ignored. Its error is raised.
    pub close: ROption<CallFn>,
    /// Drops an object's data. If Lua collects the object, it is called on the Lua thread. If the library unregisters
    /// or the state closes, it is called on the thread that ends the last call into the library. If the object never
    /// came to Lua, it is called on any thread.
    pub drop: DropFn,
}

/// How much a library may have queued, and what happens if the queue is full.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawLimits {
    /// The largest number of items.
    pub items: usize,
    /// The largest number of bytes in all queued values.
    pub bytes: usize,
    /// One of the `POLICY_` constants.
    pub policy: u32,
    /// For [`POLICY_WAIT`]: how long a delivery waits for room, in nanoseconds.
    pub wait: u64,
}

/// [`RawLimits::policy`]: a delivery that does not fit is refused.
pub const POLICY_REFUSE: u32 = 1;
/// [`RawLimits::policy`]: a delivery waits for room, and is refused when its time is over.
pub const POLICY_WAIT: u32 = 2;
/// [`RawLimits::policy`]: the oldest items are dropped to make room.
pub const POLICY_DROP_OLDEST: u32 = 3;
/// [`RawLimits::policy`]: a delivery replaces the queued one with the same callback and key, in its place. A delivery
/// that replaces nothing and does not fit is refused.
pub const POLICY_LATEST: u32 = 4;

/// The registration of a library.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawRegistration {
    /// An address in the library that identifies it. It is the same in all states.
    pub libid: usize,
    /// Its name.
    pub name: RStr<'static>,
    /// Its version, as semver.
    pub version: RStr<'static>,
    /// Its functions.
    pub functions: RSlice<'static, RawFunction>,
    /// The classes of the objects that Lua can have.
    pub classes: RSlice<'static, &'static RawClass>,
    /// Its limits.
    pub limits: RawLimits,
    /// Whether `run()` goes on while the library is registered.
    pub keeps_alive: bool,
    /// Called when the state closes, after all queued deliveries of the library were cancelled. After the call DSS
    /// unregisters the library, unless the library did so itself.
    pub closing: ROption<ClosingFn>,
    /// Called once, as the last call with `context`. It is also called if nothing is registered, because the
    /// registration is refused or the library was registered before.
    pub release: ROption<DropFn>,
    /// A pointer of the library's choice. The two functions above and each function, method and text get it.
    pub context: *mut c_void,
}

/// One delivery: a Lua function and its arguments. It is borrowed during the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawDelivery<'a> {
    /// The function: [`RawCallback::id`]. DSS takes a reference of its own.
    pub callback: u64,
    /// `count` values. If DSS accepts the delivery, it owns them. If it refuses the delivery, the library still owns
    /// them.
    pub values: *mut ManuallyDrop<RawValue>,
    /// The number of values.
    pub count: usize,
    /// For [`POLICY_LATEST`]: a delivery replaces the one with the same `callback` and key. An empty key replaces
    /// nothing. DSS reads it in a single delivery only, and not in a batch or a request.
    pub key: RSlice<'a, u8>,
}

/// One request: a delivery that wants an answer.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawRequest<'a> {
    /// The delivery.
    pub delivery: RawDelivery<'a>,
    /// Called once if the request is accepted. Not called if it is refused.
    pub complete: CompleteFn,
    /// A pointer of the library's choice, which `complete` gets.
    pub context: *mut c_void,
}

/// The reason of a refusal. It is a number and not an enum, so that later releases can add reasons. A library treats
/// an unknown reason as a refusal.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(
    /// The number.
    pub u32,
);

impl Code {
    /// The handle belongs to no registered library.
    pub const INVALID_HANDLE: Code = Code(1);
    /// The state is closing or closed.
    pub const STOPPING: Code = Code(2);
    /// There is no memory, or the state has as many libraries as it can have.
    pub const OUT_OF_MEMORY: Code = Code(3);
    /// The call would wait for the thread on which it is made.
    pub const WOULD_DEADLOCK: Code = Code(6);
    /// The state is not one that is being opened.
    pub const INVALID_STATE: Code = Code(8);
    /// The library's queue is full.
    pub const FULL: Code = Code(9);
    /// The time to wait for room is over.
    pub const TIMED_OUT: Code = Code(10);
    /// The callback's state has closed, or the callback belongs to another state.
    pub const INVALID_CALLBACK: Code = Code(11);
    /// The values are nested too deep.
    pub const TOO_DEEP: Code = Code(12);
    /// One item alone is larger than the library's limit in bytes, or than 4 GiB.
    pub const TOO_LARGE: Code = Code(13);
    /// Something is invalid: a name, a version, a policy, limits without room for one item, or a value of the kind
    /// `Borrowed` in a delivery.
    pub const MALFORMED: Code = Code(14);
}

/// The result of `register`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The handle. It is never 0.
    pub handle: usize,
    /// Whether the library was registered before. If so, nothing changed.
    pub already: bool,
}

/// The result of a delivery that DSS accepted.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Identifies the delivery, for [`Service::end`]. It is never 0.
    pub ticket: u64,
    /// Whether the notification was sent, or none is needed. False if it could not be sent.
    pub announced: bool,
}

/// The result of a batch: how many deliveries DSS accepted, and why not more.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedMany {
    /// How many deliveries DSS accepted. They are the first ones.
    pub taken: usize,
    /// The ticket of the first accepted delivery. Each following ticket is one more. It is 0 if none was accepted.
    pub first: u64,
    /// As [`Accepted::announced`].
    pub announced: bool,
    /// Why the next one was refused.
    pub refused: ROption<Code>,
}

/// The service of DSS for a library.
///
/// A call may end other deliveries of the library on the calling thread. If the library is unregistering or its state
/// closes, a returning call may be the last one in the library; then it also runs [`RawRegistration::release`] and
/// [`RawClass::drop`] of every object. So the library must not hold a lock during a call if its completions,
/// destructors, `closing` or `release` take that lock.
///
/// [`Self::keep_alive`], [`Self::hold`], [`Self::let_go`], [`Self::retain`], [`Self::extension`] and
/// [`Self::on_lua_thread`] end nothing, so they are exempt.
#[sabi_trait]
pub trait Service: Send + Sync + 'static {
    /// Registers a library in the state that is being opened, once for each opening. [lua-thread]
    fn register(&self, state: usize, registration: RawRegistration) -> RResult<Registered, Code>;

    /// Unregisters a library and cancels everything it has. [any-thread] `[blocks]` while another thread is in its
    /// code
    ///
    /// When it returns, none of the library's code runs for that state. There are two exceptions: calls that the
    /// calling thread is inside of, and, while the library's `closing` runs, calls that the closing thread is inside
    /// of, because that thread may be joining the calling thread. It is [`Code::INVALID_HANDLE`] if another thread is
    /// unregistering the library.
    fn unregister(&self, handle: usize) -> RResult<(), Code>;

    /// Queues one item. [any-thread] `[blocks]` if the queue is full and the policy is [`POLICY_WAIT`]
    fn deliver(&self, handle: usize, delivery: RawDelivery<'_>) -> RResult<Accepted, Code>;

    /// Queues some items under one lock, with one notification. Items that do not fit are refused, under
    /// [`POLICY_WAIT`] too. [any-thread]
    fn deliver_many(&self, handle: usize, deliveries: RSlice<'_, RawDelivery<'_>>) -> AcceptedMany;

    /// Queues one item that wants an answer, and returns immediately. An item that does not fit is refused, under
    /// [`POLICY_WAIT`] too. [any-thread]
    fn request(&self, handle: usize, request: RawRequest<'_>) -> RResult<Accepted, Code>;

    /// Ends a delivery or a request early. Returns false if it is too late. [any-thread]
    ///
    /// It ends a delivery that is queued. It ends a request that has no answer yet; with `queued_only`, only one that
    /// is queued. The request is completed with `ended`, [`ENDED_CANCELLED`] or [`ENDED_TIMED_OUT`], before this
    /// returns. If Lua is taking the request at that moment, it is completed as soon as Lua has taken it.
    fn end(&self, handle: usize, ticket: u64, ended: u32, queued_only: bool) -> bool;

    /// Ends all deliveries and requests of the library to one callback, as [`Self::end`] does. Returns how many it
    /// ended. [any-thread]
    fn end_all(&self, handle: usize, callback: u64, ended: u32) -> usize;

    /// Changes the limits. [any-thread]
    fn limit(&self, handle: usize, limits: RawLimits) -> RResult<(), Code>;

    /// Sets whether `run()` goes on for the registration while there is no [`Self::hold`]. [any-thread]
    fn keep_alive(&self, handle: usize, keeps: bool) -> RResult<(), Code>;

    /// Keeps `run()` going until [`Self::let_go`] was called as often as this. [any-thread]
    fn hold(&self, handle: usize) -> RResult<(), Code>;

    /// Takes one [`Self::hold`] back. It does nothing if there is none, or if the library is not registered.
    /// [any-thread]
    fn let_go(&self, handle: usize);

    /// Makes another reference to a callback. [any-thread]
    fn retain(&self, callback: u64) -> RResult<RawCallback, Code>;

    /// An optional feature, by name. NULL if this DSS does not have it. [any-thread]
    ///
    /// The result is a record of plain C layout, which lives until the process ends. It begins with its own size in
    /// bytes, a `u32`. The name says which record it is. New features come this way, because this trait never
    /// changes: the layouts of both sides are compared as a whole.
    fn extension(&self, name: RStr<'_>) -> *const c_void;

    /// Whether the calling thread is the Lua thread of the library's state. On it, nothing may wait for Lua.
    /// [any-thread]
    #[sabi(last_prefix_field)]
    fn on_lua_thread(&self, handle: usize) -> bool;
}

/// The root of the revision, which DSS gives to a library that attaches.
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
