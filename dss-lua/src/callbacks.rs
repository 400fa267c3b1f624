//! The Lua functions that libraries refer to. The registry has each under its slot's key, an address in the core.
//!
//! A table in the registry has the slot of each function that is the same callback if it is passed again. An entry exists for as
//! long as the function is kept, so it keeps nothing alive.

use std::ffi::{c_int, c_void};

use dss_impl::callbacks::Reference;
use dss_impl::dispatcher::Dispatcher;
use mlua::ffi;

use crate::raw::Stack;

/// The registry key of the table of slots.
static SLOTS: u8 = 16;

/// Makes the empty table at `index` the table of slots. *Raises* if out of memory. Runs no finalizer.
pub(crate) fn prepare(stack: Stack, index: c_int) {
    stack.push_value(index);
    stack.set_own(&SLOTS);
}

/// A reference to the existing callback of the function on top, which stays there. Raises nothing.
pub(crate) fn find(stack: Stack, dispatcher: &'static Dispatcher) -> Option<Reference> {
    stack.push_own(&SLOTS);
    stack.push_value(-2);
    stack.raw_get(-2);
    let slot = slot_at_top(stack);
    stack.pop(2);
    // None if another thread has just released it: its function is about to be forgotten.
    dispatcher.retain_slot(slot?)
}

/// Records the slot of the function on top, which stays there. *Raises* if out of memory.
pub(crate) fn note(stack: Stack, slot: u32) {
    stack.push_own(&SLOTS);
    stack.push_value(-2);
    stack.push_integer(slot as usize);
    stack.raw_set(-3);
    stack.pop(1);
}

/// The number on top, as a slot.
fn slot_at_top(stack: Stack) -> Option<u32> {
    (stack.type_at(-1) == ffi::LUA_TNUMBER).then(|| stack.number_at(-1) as u32)
}

/// Keeps the function on top, which stays there, under `key`. *Raises* if out of memory.
pub(crate) fn keep(stack: Stack, key: *const c_void) {
    stack.push_value(-1);
    stack.set_kept(key);
}

/// Pushes the function that is kept under `key`, or nil. Raises nothing.
#[inline]
pub(crate) fn push(stack: Stack, key: *const c_void) {
    // What others keep under the NULL key is theirs.
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
        // Only existing entries are set to nil: that needs no memory, so it cannot raise.
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
        // The function may be another callback by now: then the entry belongs to that one.
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
