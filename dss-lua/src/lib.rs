//! The module that Lua requires.
//!
//! All of it is written on Lua's C API, which `raw` wraps. What runs inside a call that Lua made, on which thread, and what may
//! raise:
//!
//! * Functions of type `raw::CFunction` may raise Lua errors, which skip their frames: nothing in these frames has a
//!   destructor. Whatever may raise while an item is in hand runs inside a protected call.
//! * Rust functions that hold locks or values call Lua in protected calls alone: `protected` has how.

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

use raw::Stack;

/// What `require "darksidesync"` calls.
///
/// # Safety
/// Called by Lua, with a live state.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn luaopen_darksidesync(lua: *mut mlua::ffi::lua_State) -> std::ffi::c_int {
    hosted::keep_record();
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    if let Some(failure) = hosted::mismatch(stack) {
        return stack.raise(failure.as_bytes());
    }
    require::require(stack)
}
