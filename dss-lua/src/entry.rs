//! How a function of the module begins.

use std::ffi::c_int;

use dss_impl::memory::OutOfMemory;
use dss_impl::reserve;
use mlua::ffi;

use crate::guard::{self, Guard};
use crate::protected::{self, Answer, Failed, Protected};
use crate::raw::Stack;

/// Runs `work` in a function that Lua called, if DSS serves the state.
pub(crate) fn answer<F>(lua: *mut ffi::lua_State, work: F) -> c_int
where
    F: FnOnce(&Protected, &'static Guard) -> Answer,
{
    const { assert!(!std::mem::needs_drop::<F>(), "a Lua error would skip what the closure owns") }
    // SAFETY: the callers are functions to which Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    protected::call(stack, Stack::upvalue(2), |lua| {
        if reserve::is_low() {
            return Err(OutOfMemory.into());
        }
        work(lua, guard)
    })
}

/// Like [`answer`], for work that owns nothing and so may raise directly.
pub(crate) fn plain(lua: *mut ffi::lua_State, work: fn(Stack, &'static Guard)) -> c_int {
    // SAFETY: the callers are functions to which Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    match guard::served(stack) {
        Ok(guard) => work(stack, guard),
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    }
    1
}

/// The error of a function that lacks memory for its work.
pub(crate) fn no_memory(error: OutOfMemory) -> Failed {
    error.into()
}
