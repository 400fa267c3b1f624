//! The Lua functions that libraries refer to: the registry has each by its slot's key, an address of the core's.
//!
//! A table in the registry has the slot of each function that is the same callback when it is handed over again. An entry is there for as
//! long as the function is kept, so it keeps nothing alive.

use std::ffi::{c_int, c_void};

use dss_impl::callbacks::Reference;
use dss_impl::dispatcher::Dispatcher;
use mlua::ffi;

use crate::raw::Stack;

/// The registry key of the table of slots.
static SLOTS: u8 = 16;

/// Sets the table of slots to the empty one at that index. *Raises* for want of memory, and runs no finalizer.
pub(crate) fn prepare(stack: Stack, index: c_int) {
    stack.push_value(index);
    stack.set_own(&SLOTS);
}

/// A reference to the callback that the function on top, which stays there, is already. Raises nothing.
pub(crate) fn find(stack: Stack, dispatcher: &'static Dispatcher) -> Option<Reference> {
    stack.push_own(&SLOTS);
    stack.push_value(-2);
    stack.raw_get(-2);
    let slot = slot_at_top(stack);
    stack.pop(2);
    // None if another thread has just let go of it: its function is about to be forgotten.
    dispatcher.retain_slot(slot?)
}

/// Notes which callback the function on top, which stays there, is. *Raises* for want of memory.
pub(crate) fn note(stack: Stack, slot: u32) {
    stack.push_own(&SLOTS);
    stack.push_value(-2);
    stack.push_integer(slot as usize);
    stack.raw_set(-3);
    stack.pop(1);
}

/// The slot that is the number on top.
fn slot_at_top(stack: Stack) -> Option<u32> {
    (stack.type_at(-1) == ffi::LUA_TNUMBER).then(|| stack.number_at(-1) as u32)
}

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
        if stack.type_at(-1) == ffi::LUA_TNIL {
            stack.pop(1);
            continue;
        }
        stack.push_own(&SLOTS);
        stack.push_value(-2);
        stack.raw_get(-2);
        let noted = slot_at_top(stack);
        stack.pop(1);
        // By now it may be another callback: then its entry is that one's.
        if noted == Some(slot) {
            stack.push_value(-2);
            stack.push_nil();
            stack.raw_set(-3);
        }
        stack.pop(2);
        stack.push_nil();
        stack.set_kept(key);
    }
}
