//! The guard: the userdata in the registry that connects a Lua state to DSS. Its finalizer stops DSS in that state.

use std::cell::Cell;
use std::ffi::CStr;
use std::time::Duration;

use dss_impl::dispatcher::{Dispatcher, PendingId};
use dss_impl::states::StateRef;
use mlua::ffi;

use crate::errors;
use crate::raw::Stack;

/// The registry key of the guard. Its address belongs to this image alone.
pub(crate) static GUARD: u8 = 0;

/// The registry key of the module's table.
pub(crate) static MODULE: u8 = 12;

pub(crate) const TABLE: &CStr = c"DSS.DarkSideSync";

/// What the guard holds.
pub(crate) struct Guard {
    pub(crate) state: Cell<StateRef>,
    /// `stop()` was called in the `run` that is running. Used only on the Lua thread.
    pub(crate) stop: Cell<bool>,
    /// The port that `setport` set.
    pub(crate) port: Cell<u16>,
    /// The innermost callback of a request that is running, or NULL. It is in a frame below the running code.
    pub(crate) answering: Cell<*mut Frame>,
    /// Whether `setrequesthandler` was given a function.
    pub(crate) handles_requests: Cell<bool>,
    /// How long nothing has arrived in `wait` and `run`.
    pub(crate) idle: Cell<Idle>,
}

/// A request that Lua holds, as stored in its userdata. It consists of names, which are checked at each use.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) dispatcher: &'static Dispatcher,
    pub(crate) pending: PendingId,
    /// It was called, or handed on to what `defer()` returned: its collection means nothing.
    pub(crate) over: bool,
    /// Whether its library is told if two functions in answers are the same.
    pub(crate) identifies: bool,
}

/// A running callback. It is in the frame of its caller, which restores the previous value of [`Guard::answering`].
pub(crate) struct Frame {
    pub(crate) request: *mut Request,
    pub(crate) deferred: bool,
}

/// How long nothing has arrived, and how often garbage was collected meanwhile.
#[derive(Clone, Copy, Default)]
pub(crate) struct Idle {
    pub(crate) time: Duration,
    pub(crate) rounds: u8,
    /// The idling began again with nothing handled in between. Garbage is then collected in steps only.
    pub(crate) again: bool,
}

impl Guard {
    /// The state that is served.
    #[inline]
    pub(crate) fn state(&self) -> StateRef {
        self.state.get()
    }

    /// Serves the state in this process, if the process that it was forked from had only required DSS. Returns whether it is served.
    #[cold]
    fn renew(&self) -> bool {
        let renewed = self.state().renewed();
        if let Some(state) = renewed {
            self.state.set(state);
        }
        renewed.is_some()
    }
}

/// Pushes the guard, or nil.
pub(crate) fn push_guard(stack: Stack) {
    stack.push_own(&GUARD);
}

/// Stops DSS in this state, if it has not stopped before. Called in a finalizer.
pub(crate) fn stop(stack: Stack, state: StateRef) {
    // False if `require` failed half-way: what is published then belongs to a later one.
    let served = state.get().is_some();
    // Panics are not caught here. They are caught around each library that can panic, and catching would end the process if a C++
    // exception came through.
    // SAFETY: in a finalizer of that state.
    unsafe { state.close() };
    if served {
        stack.push_nil();
        stack.set_field(ffi::LUA_REGISTRYINDEX, TABLE);
    }
}

/// The state that is served in this Lua state, if one is or was.
pub(crate) fn look_up(stack: Stack) -> Option<StateRef> {
    if !stack.reserve(2) {
        return None;
    }
    push_guard(stack);
    let guard: *mut Guard = stack.pointer_at(-1);
    stack.pop(1);
    // SAFETY: `publish` put it under that key, and the registry keeps it.
    let guard = unsafe { guard.as_ref() }?;
    guard.renew();
    Some(guard.state())
}

/// The guard in the first upvalue of the running function, if DSS still serves its state.
///
/// # Errors
/// The error message for a state in which DSS has stopped.
#[inline]
pub(crate) fn served(stack: Stack) -> Result<&'static Guard, &'static str> {
    let guard: *const Guard = stack.pointer_at(Stack::upvalue(1));
    // SAFETY: this module's functions have the guard as their first upvalue, which keeps its memory. Its finalizer leaves the
    // bytes unchanged.
    let guard = unsafe { &*guard };
    if guard.state().get().is_none() && !guard.renew() {
        let forked = guard.state().is_of_another_process();
        return Err(if forked { errors::FORKED } else { errors::STOPPED });
    }
    Ok(guard)
}
