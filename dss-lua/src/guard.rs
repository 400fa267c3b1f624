//! The guard: the userdata in the registry by which a Lua state has DSS, and whose finalizer ends that.

use std::cell::Cell;
use std::ffi::CStr;
use std::time::Duration;

use dss_impl::dispatcher::{Dispatcher, PendingId};
use dss_impl::states::StateRef;
use mlua::ffi;

use crate::errors;
use crate::raw::Stack;

/// The registry key of the guard: its address, which is this image's own.
pub(crate) static GUARD: u8 = 0;

/// The registry key of the module's table.
pub(crate) static MODULE: u8 = 12;

pub(crate) const TABLE: &CStr = c"DSS.DarkSideSync";

/// What the guard holds.
pub(crate) struct Guard {
    pub(crate) state: Cell<StateRef>,
    /// `stop()` was called in the `run` that is running. Used on the Lua thread alone.
    pub(crate) stop: Cell<bool>,
    /// The port that `setport` set.
    pub(crate) port: Cell<u16>,
    /// The callback of a request that is running, innermost; NULL while none is. It lies in a frame below what runs.
    pub(crate) answering: Cell<*mut Frame>,
    /// Whether `setrequesthandler` was given a function.
    pub(crate) handles_requests: Cell<bool>,
    /// How long nothing has come to `wait` and `run`.
    pub(crate) idle: Cell<Idle>,
}

/// A request that Lua has, as its userdata holds it: names, checked at each use.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) dispatcher: &'static Dispatcher,
    pub(crate) pending: PendingId,
    /// It was called, or given away to what `defer()` returned: its being collected says nothing.
    pub(crate) over: bool,
    /// Whether its library is told that two functions in answers are the same one.
    pub(crate) identifies: bool,
}

/// A callback that runs. Lies in the frame that called it, which restores what was in [`Guard::answering`].
pub(crate) struct Frame {
    pub(crate) request: *mut Request,
    pub(crate) deferred: bool,
}

/// How long nothing has come, and how often garbage was collected meanwhile.
#[derive(Clone, Copy, Default)]
pub(crate) struct Idle {
    pub(crate) time: Duration,
    pub(crate) rounds: u8,
    /// It began again with nothing handled in between: then garbage is collected in steps alone.
    pub(crate) again: bool,
}

impl Guard {
    /// The state, as it is served.
    #[inline]
    pub(crate) fn state(&self) -> StateRef {
        self.state.get()
    }

    /// Has the state served in this process, if the one that this was forked from has only required DSS. Returns whether it is.
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

/// DSS stops in this state, where it did not before. In a finalizer.
pub(crate) fn stop(stack: Stack, state: StateRef) {
    // Not so for one whose `require` failed half-way: what is published then is a later one's.
    let served = state.get().is_some();
    // With no net for panics around it: there is one around each library whose panics are Rust's, and a C++ exception may come
    // through, which such a net would end the process for.
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
    // SAFETY: what lies under that key was put there by `publish`, and the registry keeps it.
    let guard = unsafe { guard.as_ref() }?;
    guard.renew();
    Some(guard.state())
}

/// The guard in the first upvalue of the running function, if DSS still serves its state.
///
/// # Errors
/// The sentence for a state in which DSS has stopped.
#[inline]
pub(crate) fn served(stack: Stack) -> Result<&'static Guard, &'static str> {
    let guard: *const Guard = stack.pointer_at(Stack::upvalue(1));
    // SAFETY: this module's functions have the guard as their first upvalue, which keeps its memory; its finalizer
    // leaves the bytes as they are.
    let guard = unsafe { &*guard };
    if guard.state().get().is_none() && !guard.renew() {
        let forked = guard.state().is_of_another_process();
        return Err(if forked { errors::FORKED } else { errors::STOPPED });
    }
    Ok(guard)
}
