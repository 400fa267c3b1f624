//! The sentinel. It tells whether Lua finalizes a reply because it was dropped, or because its state closes.
//!
//! A state that closes finalizes everything in it, in the reverse order of creation: the replies that a program keeps, and long
//! after them the guard, whose finalizer closes DSS. The threads that wait for these replies would then be told that Lua dropped
//! them. So a sentinel is made after each reply that may be kept, and the registry keeps the newest one. A state that closes
//! finalizes that sentinel before any older reply. While the state does not close, the newest sentinel is never finalized.

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
    /// Whether the registry keeps it. A replaced sentinel is collected at some time, which means nothing.
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

/// Makes a sentinel for the existing replies. Needs room for three values. Raises.
pub(crate) fn watch(stack: Stack) {
    let Some(state) = guard::look_up(stack) else { return };
    let sentinel = stack.new_userdata(Sentinel { state, newest: false });
    stack.push_own(&METATABLE);
    stack.set_metatable(-2);
    // Not earlier: making a sentinel may run finalizers, and these may call this function.
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

/// The finalizer. If this is the newest sentinel, the state is closing.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let sentinel: *const Sentinel = stack.pointer_at(1);
    // SAFETY: Lua finalizes what `watch` made.
    let Sentinel { state, newest } = unsafe { &*sentinel };
    if *newest {
        guard::stop(stack, *state);
    }
    0
}
