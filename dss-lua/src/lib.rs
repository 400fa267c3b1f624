//! The module that Lua requires.
//!
//! It is written on Lua's C API, which `raw` wraps. These rules say what may run inside a call from Lua, and what may raise an error:
//!
//! * Functions of type `raw::CFunction` may raise Lua errors. An error skips their frames, so nothing in these frames has a
//!   destructor. While an item is in hand, anything that may raise runs inside a protected call.
//! * Rust functions that hold locks or values call Lua only in protected calls: see `protected`.

#[cfg(not(any(
    feature = "lua51",
    feature = "lua52",
    feature = "lua53",
    feature = "lua54",
    feature = "lua55",
    feature = "luajit"
)))]
compile_error!(
    "choose the Lua to build for: --no-default-features --features lua51 (lua52, lua53, lua54, lua55, luajit)"
);

mod answers;
mod call;
mod callbacks;
mod closing;
mod describe;
mod dispatch;
mod entry;
mod errors;
mod functions;
mod guard;
mod hosted;
mod identity;
mod idle;
mod kept;
mod kind;
mod load;
mod notifications;
mod objects;
mod park;
mod poll;
mod protected;
mod raw;
mod read;
mod reply;
mod require;
mod searcher;
mod sleep;
mod stats;
mod values;

use std::alloc::System;

use dss_impl::reserve::Allocator;
use raw::Stack;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(System);

/// What `require "darksidesync"` calls.
///
/// # Safety
/// Called by Lua, with a live state.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn luaopen_darksidesync(lua: *mut mlua::ffi::lua_State) -> std::ffi::c_int {
    hosted::keep_record();
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    if let Some(failure) = hosted::mismatch(stack) {
        return stack.raise(failure.as_bytes());
    }
    require::require(stack)
}
