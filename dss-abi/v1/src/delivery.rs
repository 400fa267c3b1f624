//! Deliveries without an answer.

use std::any::Any;
use std::fmt;
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};

use abi_stable::std_types::{RNone, RSome};

use crate::contract::{DecodeFn, FinishFn, RawDelivery, Report, FAILED};
use crate::error::{DeliverError, Failure};

/// The raw `lua_State`, during a call that DSS makes on the Lua thread. Do not keep it.
///
/// ```no_run
/// # use std::os::raw::c_void;
/// use dss_abi_v1::{Failure, LuaState};
///
/// extern "C" {
///     fn lua_pushboolean(lua: *mut c_void, value: i32);
/// }
///
/// fn push(lua: LuaState, value: bool) -> Result<usize, Failure> {
///     // SAFETY: the state is live, and pushing a boolean raises nothing.
///     unsafe { lua_pushboolean(lua.as_ptr(), value.into()) };
///     Ok(1)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LuaState(*mut c_void);

impl LuaState {
    pub(crate) fn new(lua: *mut c_void) -> Self {
        LuaState(lua)
    }

    /// The pointer, for a binding of Lua's C API.
    ///
    /// ```no_run
    /// # struct lua_State;
    /// fn pointer(lua: dss_abi_v1::LuaState) -> *mut lua_State {
    ///     lua.as_ptr()
    /// }
    /// ```
    #[must_use]
    pub fn as_ptr<T>(self) -> *mut T {
        self.0.cast()
    }
}

/// One item on its way to Lua. A closure with the signature of [`Delivery::decode`] is a delivery too.
///
/// ```no_run
/// # use std::os::raw::c_void;
/// # extern "C" {
/// #     fn lua_rawgeti(lua: *mut c_void, index: i32, reference: i64) -> i32;
/// #     fn lua_pushinteger(lua: *mut c_void, value: i64);
/// # }
/// # const LUA_REGISTRYINDEX: i32 = -1_001_000;
/// use dss_abi_v1::{Delivery, Failure, LuaState};
///
/// struct Tick {
///     callback: i64, // from `luaL_ref`
///     number: i64,
/// }
///
/// impl Delivery for Tick {
///     fn decode(&mut self, lua: LuaState) -> Result<usize, Failure> {
///         // SAFETY: the state is live, and neither call raises an error.
///         unsafe {
///             lua_rawgeti(lua.as_ptr(), LUA_REGISTRYINDEX, self.callback);
///             lua_pushinteger(lua.as_ptr(), self.number);
///         }
///         Ok(2) // the function, and one argument
///     }
///
///     fn cancelled(&mut self) {
///         eprintln!("tick {} was cancelled", self.number);
///     }
/// }
/// ```
pub trait Delivery: Send + 'static {
    /// Pushes a Lua function and its arguments. Returns how many values it pushed, or 0 if there is nothing to call.
    /// [lua-thread]
    ///
    /// The stack is empty and has room for 20 values.
    ///
    /// **This function must not raise a Lua error.** There is a `catch_unwind` between it and Lua. In Lua 5.1 to 5.5
    /// built as C, errors are jumps, and a jump across it is undefined behaviour. In LuaJIT and in a Lua built as
    /// C++, errors are exceptions, and one that gets here ends the process.
    ///
    /// | operation | raises |
    /// |---|---|
    /// | push nil, a boolean or a number | nothing |
    /// | push a value from the registry (`lua_rawgeti`) | nothing |
    /// | make a string, a table, a userdata or a function | an error if there is no memory |
    /// | anything that may run a metamethod | any error |
    ///
    /// Do the last two in a C function that you call with `lua_pcall`. Put that function into the registry when the
    /// library registers, because pushing a C function needs memory in some Luas. If the function is in Rust, it is
    /// `extern "C-unwind"`, and when it raises, no frame on the way may have anything to drop.
    ///
    /// # Errors
    /// An error becomes a Lua error of `poll` or `dispatch`, cut after 1,000 bytes.
    fn decode(&mut self, lua: LuaState) -> Result<usize, Failure>;

    /// Called instead of decode if the delivery is cancelled, on the thread that cancels. [any-thread]
    fn cancelled(&mut self) {}
}

impl<F> Delivery for F
where
    F: FnMut(LuaState) -> Result<usize, Failure> + Send + 'static,
{
    fn decode(&mut self, lua: LuaState) -> Result<usize, Failure> {
        self(lua)
    }
}

/// A refused item, and the reason.
///
/// ```no_run
/// use dss_abi_v1::{DeliverError, Delivery, Library};
///
/// /// Returns the item if it is worth another try.
/// fn send<D: Delivery>(library: &Library, item: D) -> Option<D> {
///     let refused = library.deliver(item).err()?;
///     (refused.reason == DeliverError::OutOfMemory).then(|| refused.delivery)
/// }
/// ```
#[non_exhaustive]
pub struct Refused<D> {
    /// The reason.
    pub reason: DeliverError,
    /// The item, unchanged.
    pub delivery: D,
}

impl<D> fmt::Debug for Refused<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<D> fmt::Display for Refused<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<D> std::error::Error for Refused<D> {}

impl<D> Refused<D> {
    /// Converts the item with `change`. A layer that wraps deliveries uses it to return the wrapped item.
    ///
    /// ```no_run
    /// use dss_abi_v1::{Announced, Delivery, Failure, Library, LuaState, Refused};
    ///
    /// struct Counted<D>(D);
    ///
    /// impl<D: Delivery> Delivery for Counted<D> {
    ///     fn decode(&mut self, lua: LuaState) -> Result<usize, Failure> {
    ///         // ... count it
    ///         self.0.decode(lua)
    ///     }
    /// }
    ///
    /// fn deliver<D: Delivery>(library: &Library, item: D) -> Result<Announced, Refused<D>> {
    ///     library.deliver(Counted(item)).map_err(|refused| refused.map(|counted| counted.0))
    /// }
    /// ```
    pub fn map<E>(self, change: impl FnOnce(D) -> E) -> Refused<E> {
        Refused { reason: self.reason, delivery: change(self.delivery) }
    }
}

/// Boxes a delivery. `data` owns the box.
pub(crate) fn into_raw<D: Delivery>(delivery: D) -> RawDelivery {
    RawDelivery {
        decode: DecodeFn(decode::<D>),
        reply: RNone,
        finish: RSome(FinishFn(finish::<D>)),
        data: Box::into_raw(Box::new(delivery)).cast(),
    }
}

/// Takes a delivery out of its box.
///
/// # Safety
/// [`into_raw`] made `raw` from a `D`, and DSS did not accept it.
pub(crate) unsafe fn reclaim<D: Delivery>(raw: RawDelivery) -> D {
    // SAFETY: as the caller promises.
    *unsafe { Box::from_raw(raw.data.cast::<D>()) }
}

unsafe extern "C" fn decode<D: Delivery>(
    lua: *mut c_void,
    data: *mut c_void,
    _handle: usize,
    report: Report,
) -> i32 {
    // SAFETY: `data` is the box of a `D`, and DSS makes one call for it at a time.
    let delivery = unsafe { &mut *data.cast::<D>() };
    let result = guard(|| {
        if lua.is_null() {
            delivery.cancelled();
            Ok(0)
        } else {
            delivery.decode(LuaState::new(lua))
        }
    });
    tell(report, &result)
}

unsafe extern "C" fn finish<D: Delivery>(data: *mut c_void) {
    // SAFETY: the last call for this box.
    let delivery = unsafe { Box::from_raw(data.cast::<D>()) };
    drop_quietly(delivery);
}

/// Drops a value of the author. A panic in its destructor is caught.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(move || drop(value))) {
        std::mem::forget(panic);
    }
}

/// Runs the author's code. A panic in it becomes a failure.
pub(crate) fn guard(run: impl FnOnce() -> Result<usize, Failure>) -> Result<usize, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(panic)))
}

/// The number that a decode or reply function returns to DSS. A failure is reported before.
pub(crate) fn tell(report: Report, result: &Result<usize, Failure>) -> i32 {
    match result {
        // No stack holds as many as do not fit.
        Ok(count) => i32::try_from(*count).unwrap_or(i32::MAX),
        Err(failure) => {
            let text = failure.as_str();
            // SAFETY: the report is valid for the length of the call that this is in.
            unsafe { (report.write)(report.context, text.as_ptr(), text.len()) };
            FAILED
        }
    }
}

/// The sentence of a panic.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it gave no message".to_owned());
    drop_quietly(panic);
    Failure::from(format!("the library panicked: {}", text))
}
