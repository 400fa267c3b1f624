//! Deliveries that nobody waits for.

use std::any::Any;
use std::fmt;
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};

use abi_stable::std_types::{RNone, RSome};

use crate::contract::{DecodeFn, FinishFn, RawDelivery, Report, FAILED};
use crate::error::{DeliverError, Failure};

/// The raw `lua_State`, during a call that DSS made on the Lua thread. Not to be kept.
#[derive(Clone, Copy, Debug)]
pub struct LuaState(*mut c_void);

impl LuaState {
    pub(crate) fn new(lua: *mut c_void) -> Self {
        LuaState(lua)
    }

    /// The pointer, for a binding of Lua's C API.
    #[must_use]
    pub fn as_ptr<T>(self) -> *mut T {
        self.0.cast()
    }
}

/// One item on its way to Lua. Closures of the shape of [`Delivery::decode`] are deliveries too.
pub trait Delivery: Send + 'static {
    /// Pushes a Lua function and its arguments; returns how many values that are, or 0 where there is nothing to call.
    /// [lua-thread]
    ///
    /// The stack is empty, with room for 20 values.
    ///
    /// Nothing in here may raise a Lua error, whatever its frame holds: between it and Lua lies a `catch_unwind`. Where
    /// Lua's errors are jumps (Lua 5.1 to 5.5, built as C), to jump across that is undefined behaviour; where they are
    /// exceptions (LuaJIT, or a Lua built as C++), it ends the process. What pushes nil, a boolean, a number, or what lies
    /// in the registry (`lua_rawgeti`) raises nothing. What makes a string, a table, a userdata or a function raises where
    /// memory is short, and what may run a metamethod can raise anything: do that in a C function called by `lua_pcall`.
    /// Put that function into the registry when the library registers, for to push one takes memory too in some Luas. If it
    /// is in Rust it is `extern "C-unwind"`, and where it raises, no frame on the way has anything to drop.
    ///
    /// # Errors
    /// Become a Lua error of the poll or dispatch, cut after 1,000 bytes.
    fn decode(&mut self, lua: LuaState) -> Result<usize, Failure>;

    /// Called in place of decode where the delivery is cancelled. On the thread that cancels
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

/// An item that was refused, and why.
#[non_exhaustive]
pub struct Refused<D> {
    /// The reason.
    pub reason: DeliverError,
    /// The item, untouched.
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
    /// The same refusal of what `change` makes of the item; for who wraps deliveries, to give back what was wrapped.
    pub fn map<E>(self, change: impl FnOnce(D) -> E) -> Refused<E> {
        Refused { reason: self.reason, delivery: change(self.delivery) }
    }
}

/// Boxes a delivery; the box belongs to `data` from here on.
pub(crate) fn into_raw<D: Delivery>(delivery: D) -> RawDelivery {
    RawDelivery {
        decode: DecodeFn(decode::<D>),
        reply: RNone,
        finish: RSome(FinishFn(finish::<D>)),
        data: Box::into_raw(Box::new(delivery)).cast(),
    }
}

/// Takes a delivery out of its box again.
///
/// # Safety
/// `raw` was made by [`into_raw`] from a `D`, and was not taken.
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

/// Drops a value of the author's; a panic in its destructor ends here.
pub(crate) fn drop_quietly<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(move || drop(value))) {
        std::mem::forget(panic);
    }
}

/// Runs the author's code; a panic in it becomes a failure.
pub(crate) fn guard(run: impl FnOnce() -> Result<usize, Failure>) -> Result<usize, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(panicked(panic)))
}

/// What a decode or reply function returns to DSS; a failure is reported first.
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
