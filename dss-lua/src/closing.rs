//! The sentinel, by which a reply that Lua finalizes is known to have been dropped, and not to close with its state.
//!
//! A state that closes finalizes all it has, in the reverse order of its making: the replies that a program keeps, and long
//! after them the guard, whose finalizer closes DSS. Left to that, the threads that wait for these replies would be told that
//! Lua dropped them. So a sentinel is made after each reply that may be kept, and the registry keeps the newest: a state that
//! closes finalizes that one before any reply that is older, and while it does not close, never.

use std::ffi::c_int;

use dss_impl::states::StateRef;
use mlua::ffi;

use crate::guard;
use crate::raw::Stack;

/// The registry key of the newest sentinel.
static SENTINEL: u8 = 10;
/// The registry key of the metatable of sentinels.
static METATABLE: u8 = 11;

struct Sentinel {
    state: StateRef,
    /// Whether the registry keeps it. One that was replaced is collected some time, and that says nothing.
    newest: bool,
}

/// Makes the metatable. Raises.
pub(crate) fn prepare(stack: Stack) {
    stack.new_table(0);
    stack.push_function(collected, 0);
    stack.set_field(-2, c"__gc");
    stack.seal_metatable(b"DarkSideSync sentinel");
    stack.set_own(&METATABLE);
}

/// Makes a sentinel for the replies that there are. Wants room for three values; raises.
pub(crate) fn watch(stack: Stack) {
    let Some(state) = guard::look_up(stack) else { return };
    let sentinel = stack.new_userdata(Sentinel { state, newest: false });
    stack.push_own(&METATABLE);
    stack.set_metatable(-2);
    // Not before: to make one may run finalizers, and these this function.
    stack.push_own(&SENTINEL);
    let before: *mut Sentinel = stack.pointer_at(-1);
    // SAFETY: NULL, or what this function put there, which is on the stack.
    if let Some(before) = unsafe { before.as_mut() } {
        before.newest = false;
    }
    stack.pop(1);
    stack.push_value(-1);
    stack.set_own(&SENTINEL);
    // SAFETY: it is on the stack, and the registry keeps it from here on.
    unsafe { (*sentinel).newest = true };
    stack.pop(1);
}

/// The finalizer: where this is the newest, the state closes.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let sentinel: *const Sentinel = stack.pointer_at(1);
    // SAFETY: Lua finalizes what `watch` made.
    let Sentinel { state, newest } = unsafe { &*sentinel };
    if *newest {
        guard::stop(stack, *state);
    }
    0
}
