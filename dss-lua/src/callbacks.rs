//! The Lua functions that libraries refer to: the registry has each by its slot's key, an address of the core's.

use std::ffi::c_void;

use dss_impl::dispatcher::Dispatcher;
use mlua::ffi;

use crate::raw::Stack;

/// Keeps the function on top, which stays there, by `key`. *Raises* for want of memory.
pub(crate) fn keep(stack: Stack, key: *const c_void) {
    stack.push_value(-1);
    stack.set_kept(key);
}

/// Pushes the function that is kept by `key`, or nil. Raises nothing.
#[inline]
pub(crate) fn push(stack: Stack, key: *const c_void) {
    // What others keep by that key is theirs.
    if key.is_null() { stack.push_nil() } else { stack.push_kept(key) }
}

/// Forgets the functions that no library refers to any more. Raises nothing.
#[inline]
pub(crate) fn forget_released(stack: Stack, dispatcher: &Dispatcher) {
    if dispatcher.has_released_callbacks() {
        forget(stack, dispatcher);
    }
}

#[cold]
fn forget(stack: Stack, dispatcher: &Dispatcher) {
    while let Some(slot) = dispatcher.next_released_callback() {
        let key = dispatcher.callback_key(slot);
        // Only what is there: setting that to nil needs no memory, and so cannot raise.
        stack.push_kept(key);
        let there = stack.type_at(-1) != ffi::LUA_TNIL;
        stack.pop(1);
        if there {
            stack.push_nil();
            stack.set_kept(key);
        }
    }
}
