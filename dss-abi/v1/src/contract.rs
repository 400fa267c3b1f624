//! The contract: everything that crosses the boundary between a library and DSS. It is frozen.
//!
//! Library authors use the rest of this crate. This module is for DSS, and for authors of another layer above the
//! contract.

use std::os::raw::c_void;

use abi_stable::std_types::{RBox, ROption, RResult, RStr};
use abi_stable::{sabi_trait, StableAbi};

/// The result of a decode or reply function that failed. It calls its [`Report`] before it returns.
pub const FAILED: i32 = i32::MIN;

/// Turns a delivery into Lua values.
///
/// With `lua`: [lua-thread], on an empty stack. It returns n if the top n values are a Lua function and its
/// arguments, 0 or less if the delivery is over, or [`FAILED`]. It raises no Lua error through a frame of Rust.
///
/// With `lua` NULL: [any-thread], the delivery was cancelled in the queue.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct DecodeFn(
    /// The function.
    pub unsafe extern "C" fn(lua: *mut c_void, data: *mut c_void, handle: usize, report: Report) -> i32,
);

/// Receives Lua's answer to a delivery that a thread waits for.
///
/// With `lua`: [lua-thread], the arguments are on the stack. It returns the number of results for Lua, or [`FAILED`].
/// If `collected` is true, the reply function was collected without being called. It raises no Lua error through a
/// frame of Rust.
///
/// With `lua` NULL: [any-thread], the delivery was cancelled.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct ReplyFn(
    /// The function.
    pub  unsafe extern "C" fn(
        lua: *mut c_void,
        data: *mut c_void,
        handle: usize,
        collected: bool,
        report: Report,
    ) -> i32,
);

/// Drops `data`. DSS calls it once, as the last call with `data`, for each accepted delivery without an answer. It
/// also drops the context of a registration: see [`RawRegistration::release`]. [any-thread]
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct FinishFn(
    /// The function.
    pub unsafe extern "C" fn(data: *mut c_void),
);

/// Tells a library that its state closes. [lua-thread]
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct ClosingFn(
    /// The function.
    pub unsafe extern "C" fn(context: *mut c_void, handle: usize),
);

/// A `lua_State` that runs on this thread.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawLua(*mut c_void);

impl RawLua {
    /// Wraps a pointer.
    ///
    /// # Safety
    /// `lua` is NULL, or a live state of the Lua for which the loaded DSS was built. It runs on this thread as long
    /// as the value is used.
    #[must_use]
    pub unsafe fn new(lua: *mut c_void) -> Self {
        RawLua(lua)
    }

    /// The pointer.
    #[must_use]
    pub fn as_ptr(self) -> *mut c_void {
        self.0
    }
}

/// Where a function writes why it failed. It is valid during the call that got it.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Report {
    /// A pointer of DSS, for `write`.
    pub context: *mut c_void,
    /// Copies the first 1,000 of `length` bytes of UTF-8, cut between two characters. A second call replaces the text
    /// of the first. `bytes` may be NULL if `length` is 0. Never raises, never unwinds.
    pub write: unsafe extern "C" fn(context: *mut c_void, bytes: *const u8, length: usize),
}

/// One delivery. If it is refused, DSS has called none of its functions.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawDelivery {
    /// Decodes it.
    pub decode: DecodeFn,
    /// Receives the reply. `deliver_and_wait` requires it, and `deliver` ignores it.
    pub reply: ROption<ReplyFn>,
    /// Drops `data`. `deliver` requires it, and `deliver_and_wait` ignores it.
    pub finish: ROption<FinishFn>,
    /// A pointer of the library's choice. DSS passes it to the functions above, and does nothing else with it.
    pub data: *mut c_void,
}

/// The registration of a library.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawRegistration<'a> {
    /// An address in the library that identifies it. It is the same in all states.
    pub libid: usize,
    /// The library's name. DSS copies it.
    pub name: RStr<'a>,
    /// Called when the state closes. After the call DSS unregisters the library, unless the library did so itself.
    pub closing: ROption<ClosingFn>,
    /// Called once, as the last call with `context`. It is also called if the registration is refused, or if the
    /// library was registered before. [any-thread]
    pub release: ROption<FinishFn>,
    /// A pointer of the library's choice, which the two functions above get.
    pub context: *mut c_void,
}

/// The reason of a refusal. It is a number and not an enum, so that later releases can add reasons. A library treats
/// an unknown reason as a refusal.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// The handle belongs to no registered library.
    pub const INVALID_HANDLE: Code = Code(1);
    /// The state is closing or closed.
    pub const STOPPING: Code = Code(2);
    /// There is no memory, or the state has as many libraries as it can have.
    pub const OUT_OF_MEMORY: Code = Code(3);
    /// DSS was not required in that Lua state.
    pub const NOT_REQUIRED: Code = Code(4);
    /// No library with that identity is registered in that state.
    pub const UNKNOWN_LIBRARY: Code = Code(5);
    /// The call would wait for the thread on which it is made.
    pub const WOULD_DEADLOCK: Code = Code(6);
    /// A function that the call needs is missing.
    pub const MISSING_FUNCTION: Code = Code(7);
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
    /// Whether the notification was sent, or none is needed. False if it could not be sent.
    pub announced: bool,
    /// How the delivery ended, one of the `ENDED_` constants. It is 0 if the call did not wait.
    pub ended: u32,
}

/// [`Accepted::ended`]: decode said that the delivery is over.
pub const ENDED_DECODED: u32 = 1;
/// [`Accepted::ended`]: Lua replied.
pub const ENDED_REPLIED: u32 = 2;
/// [`Accepted::ended`]: the reply function was collected without being called.
pub const ENDED_COLLECTED: u32 = 3;
/// [`Accepted::ended`]: the library was unregistered, or the state closed.
pub const ENDED_CANCELLED: u32 = 4;
/// [`Accepted::ended`]: decode or reply failed.
pub const ENDED_FAILED: u32 = 5;

/// The service of DSS for a library: the four operations of DSS 1.0, with two functions for its deliver.
#[sabi_trait]
pub trait Service: Send + Sync + 'static {
    /// Registers a library in the state of `lua`. [lua-thread]
    fn register(&self, lua: RawLua, registration: RawRegistration<'_>) -> RResult<Registered, Code>;

    /// The handle of the library with `libid` in the state of `lua`. [lua-thread]
    fn handle(&self, lua: RawLua, libid: usize) -> RResult<usize, Code>;

    /// Queues one item. [any-thread]
    fn deliver(&self, handle: usize, delivery: RawDelivery) -> RResult<Accepted, Code>;

    /// Queues one item and waits until it has ended. It is refused on the thread that last entered DSS through Lua in
    /// that state. [any-thread] `[blocks]`
    fn deliver_and_wait(&self, handle: usize, delivery: RawDelivery) -> RResult<Accepted, Code>;

    /// Unregisters a library and cancels everything it has. When it returns, none of the library's code runs for that
    /// state. [any-thread] `[blocks]` while another thread is in its code
    #[sabi(last_prefix_field)]
    fn unregister(&self, handle: usize) -> RResult<(), Code>;
}

/// The root of the revision, which DSS gives to a library that attaches.
pub type ServiceObject = Service_TO<RBox<()>>;

// The layout is frozen: 64-bit figures, as 1.0.0 published them.
#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::{align_of, size_of};
    assert!(size_of::<Report>() == 16);
    assert!(size_of::<RawDelivery>() == 48);
    assert!(align_of::<RawDelivery>() == 8);
    assert!(size_of::<RawRegistration<'static>>() == 64);
    assert!(size_of::<Registered>() == 16);
    assert!(size_of::<Accepted>() == 8);
    assert!(size_of::<Code>() == 4);
    assert!(size_of::<ServiceObject>() == 24);
};
