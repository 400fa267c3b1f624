//! How a function of the module's begins.

use std::ffi::c_int;

use dss_impl::memory::OutOfMemory;
use mlua::ffi;

use crate::errors::NO_MEMORY;
use crate::guard::{self, Guard};
use crate::protected::{self, Answer, Failed, Protected};
use crate::raw::Stack;

/// Runs `work` in a function that Lua called, while DSS serves the state.
pub(crate) fn answer<F>(lua: *mut ffi::lua_State, work: F) -> c_int
where
    F: FnOnce(&Protected, &'static Guard) -> Answer,
{
    const { assert!(!std::mem::needs_drop::<F>(), "a Lua error would skip what the closure owns") }
    // SAFETY: its callers are functions that Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    protected::call(stack, Stack::upvalue(2), |lua| work(lua, guard))
}

/// The same for one that owns nothing, and so may raise where it is.
pub(crate) fn plain(lua: *mut ffi::lua_State, work: fn(Stack, &'static Guard)) -> c_int {
    // SAFETY: its callers are functions that Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    match guard::served(stack) {
        Ok(guard) => work(stack, guard),
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    }
    1
}

/// What a function says that has no memory for what it is to do.
pub(crate) fn no_memory(_: OutOfMemory) -> Failed {
    NO_MEMORY.into()
}
