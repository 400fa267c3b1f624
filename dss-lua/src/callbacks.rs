//! The Lua functions that libraries refer to: the registry has each by a number that its place keeps.
//!
//! A place's number is taken once, and stays the place's for as long as the state lasts: `false` lies there while the place has no function.
//! So only the first function of a place needs memory, and to forget one needs none.

use std::ffi::c_int;

use dss_impl::dispatcher::Dispatcher;

use crate::raw::Stack;

/// Keeps the function on top, which stays there, as the one of that place. *Raises* for want of memory.
pub(crate) fn keep(stack: Stack, dispatcher: &Dispatcher, place: u32) {
    stack.push_value(-1);
    match dispatcher.kept_at(place) {
        0 => dispatcher.note_kept_at(place, stack.keep()),
        kept => stack.set_kept(kept),
    }
}

/// Pushes the function that is kept by that number; nil where there is none. Raises nothing.
#[inline]
pub(crate) fn push(stack: Stack, kept: Option<c_int>) {
    match kept {
        Some(kept) => stack.push_kept(kept),
        None => stack.push_nil(),
    }
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
    while let Some(place) = dispatcher.next_released_callback() {
        // None where to keep its first function failed for want of memory.
        let kept = dispatcher.kept_at(place);
        if kept != 0 {
            stack.push_boolean(false);
            stack.set_kept(kept);
        }
    }
}
