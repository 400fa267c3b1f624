//! The contract: what crosses the boundary between a library and DSS. Frozen.
//!
//! Library authors use the layer above it; this is for who writes another layer, and for DSS.

use std::os::raw::c_void;

use abi_stable::std_types::{RBox, ROption, RResult, RStr};
use abi_stable::{sabi_trait, StableAbi};

/// What a decode or reply function returns where it failed; it has called its [`Report`] before.
pub const FAILED: i32 = i32::MIN;

/// Turns a delivery into Lua values.
///
/// With `lua`: [lua-thread], on an empty stack; returns 0 or less where the delivery is over, n where the top n values
/// are results, the first of them the Lua function to call, or [`FAILED`]. It raises no Lua error through a frame of Rust's.
/// With `lua` NULL: [any-thread], the delivery was cancelled in the queue.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct DecodeFn(
    /// The function.
    pub unsafe extern "C" fn(lua: *mut c_void, data: *mut c_void, handle: usize, report: Report) -> i32,
);

/// Takes Lua's answer to a delivery that a thread waits for.
///
/// With `lua`: [lua-thread], the arguments are on the stack, and what it returns is the number of results for Lua, or
/// [`FAILED`]; `collected` says that nobody answered and nobody can any more. It raises no Lua error through a frame of
/// Rust's. With `lua` NULL: [any-thread], the delivery was cancelled.
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

/// Says that DSS is done with `data`. [any-thread] Called once for each delivery that was taken and that no thread waits
/// for, as the last call for it. And lets go of a registration's context; see [`RawRegistration::release`].
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
    /// Says that `lua` may be used.
    ///
    /// # Safety
    /// NULL, or a live state of the Lua that the loaded DSS was built for, which runs on this thread, for as long as
    /// the value is used.
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

/// Where a function writes why it failed. Valid for the length of the call it was given to.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Report {
    /// DSS's own; handed back to `write`.
    pub context: *mut c_void,
    /// Takes `length` bytes of UTF-8, and copies the first 1,000 of them, cut between two characters; called again, it
    /// replaces what was taken. `bytes` may be NULL where `length` is 0. Never raises, never unwinds.
    pub write: unsafe extern "C" fn(context: *mut c_void, bytes: *const u8, length: usize),
}

/// One delivery. Where it is refused, nothing of it was touched.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawDelivery {
    /// Decodes it.
    pub decode: DecodeFn,
    /// Takes the reply; required by `deliver_and_wait`, ignored by `deliver`.
    pub reply: ROption<ReplyFn>,
    /// Ends it; required by `deliver`, ignored by `deliver_and_wait`.
    pub finish: ROption<FinishFn>,
    /// The library's own. Owned by the library; DSS hands it to the functions above and does nothing else with it.
    pub data: *mut c_void,
}

/// What a library registers with.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct RawRegistration<'a> {
    /// An address that is the library's own, the same in all states.
    pub libid: usize,
    /// The library's name, copied by DSS.
    pub name: RStr<'a>,
    /// Called when the state closes. DSS unregisters the library after it, where it did not do so in there.
    pub closing: ROption<ClosingFn>,
    /// Called once, as the last call with `context`; also where the registration is refused, or was there already.
    /// [any-thread]
    pub release: ROption<FinishFn>,
    /// The library's own, handed to the two functions above.
    pub context: *mut c_void,
}

/// A reason for a refusal. A number and not an enum, so that later releases can say more; what a library does not know
/// is a refusal all the same.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// The handle names no registered library.
    pub const INVALID_HANDLE: Code = Code(1);
    /// The state is closing or closed.
    pub const STOPPING: Code = Code(2);
    /// Out of memory, or more libraries than a state can tell apart.
    pub const OUT_OF_MEMORY: Code = Code(3);
    /// DSS was not required in that Lua state.
    pub const NOT_REQUIRED: Code = Code(4);
    /// No library of that id is registered in that state.
    pub const UNKNOWN_LIBRARY: Code = Code(5);
    /// The call would wait for the thread it is made on.
    pub const WOULD_DEADLOCK: Code = Code(6);
    /// A function that the call needs was not given.
    pub const MISSING_FUNCTION: Code = Code(7);
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

/// What a deliver that was taken says.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whether a notification is outstanding (or none is wanted); false where it could not be sent.
    pub announced: bool,
    /// How the delivery ended, one of the `ENDED_` constants; 0 where nobody waited.
    pub ended: u32,
}

/// [`Accepted::ended`]: decode said that the delivery is over.
pub const ENDED_DECODED: u32 = 1;
/// [`Accepted::ended`]: Lua replied.
pub const ENDED_REPLIED: u32 = 2;
/// [`Accepted::ended`]: Lua dropped the reply uncalled.
pub const ENDED_COLLECTED: u32 = 3;
/// [`Accepted::ended`]: the library was unregistered, or the state closed.
pub const ENDED_CANCELLED: u32 = 4;
/// [`Accepted::ended`]: decode or reply failed.
pub const ENDED_FAILED: u32 = 5;

/// What DSS does for libraries: 1.0's four operations, its deliver in two.
#[sabi_trait]
pub trait Service: Send + Sync + 'static {
    /// Registers a library in the state of `lua`. [lua-thread]
    fn register(&self, lua: RawLua, registration: RawRegistration<'_>) -> RResult<Registered, Code>;

    /// The handle of the library with `libid` in the state of `lua`. [lua-thread]
    fn handle(&self, lua: RawLua, libid: usize) -> RResult<usize, Code>;

    /// Hands over one item. [any-thread]
    fn deliver(&self, handle: usize, delivery: RawDelivery) -> RResult<Accepted, Code>;

    /// Hands over one item and waits for its end; refused on the thread that last entered DSS through Lua in that state.
    /// [any-thread] `[blocks]`
    fn deliver_and_wait(&self, handle: usize, delivery: RawDelivery) -> RResult<Accepted, Code>;

    /// Unregisters a library: cancels all it has, and returns when none of its code runs any more for that state.
    /// [any-thread] `[blocks]` while another thread is in its code
    #[sabi(last_prefix_field)]
    fn unregister(&self, handle: usize) -> RResult<(), Code>;
}

/// The root of the revision: what DSS hands out.
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
