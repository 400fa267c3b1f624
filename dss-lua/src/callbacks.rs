//! The Lua functions that libraries refer to: one table of the registry has them, each at its place.

use std::ffi::c_int;

use dss_impl::dispatcher::Dispatcher;
use mlua::ffi;

use crate::raw::Stack;

/// The registry key of the table. The function of place p lies at p + 1.
static CALLBACKS: u8 = 3;

/// Where in the table. There are at most 2^20 places.
fn index(place: u32) -> c_int {
    place as c_int + 1
}

/// Makes the table, where the state has none. *Raises* for want of memory.
pub(crate) fn prepare(stack: Stack) {
    stack.push_own(&CALLBACKS);
    let there = stack.type_at(-1) == ffi::LUA_TTABLE;
    stack.pop(1);
    if !there {
        stack.new_table(0);
        stack.set_own(&CALLBACKS);
    }
}

/// Keeps the function on top, which stays there, at `place`. *Raises* for want of memory.
pub(crate) fn keep(stack: Stack, place: u32) {
    stack.push_own(&CALLBACKS);
    stack.push_value(-2);
    stack.raw_set_at(-2, index(place));
    stack.pop(1);
}

/// Pushes the function at `place`, or nil. Raises nothing.
#[inline]
pub(crate) fn push(stack: Stack, place: u32) {
    stack.push_own(&CALLBACKS);
    stack.raw_get_at(-1, index(place));
    stack.replace(-2);
}

/// Forgets the functions that no library refers to any more. Raises nothing.
#[inline]
pub(crate) fn forget_released(stack: Stack, dispatcher: &Dispatcher) {
    if let Some(places) = dispatcher.released_callbacks() {
        forget(stack, &places);
    }
}

#[cold]
fn forget(stack: Stack, places: &[u32]) {
    stack.push_own(&CALLBACKS);
    for place in places {
        // Only what is there: setting that to nil needs no memory, and so cannot raise, with the list of places on the way.
        stack.raw_get_at(-1, index(*place));
        let there = stack.type_at(-1) != ffi::LUA_TNIL;
        stack.pop(1);
        if there {
            stack.push_nil();
            stack.raw_set_at(-2, index(*place));
        }
    }
    stack.pop(1);
}
