//! What the process's memory is used for.

use crate::lua::{self, State};
use crate::object::{Reply, reply};
use std::ffi::{CStr, c_int};

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[(c"heap", heap), (c"trim", trim)];

/// `host.heap() -> number`: the bytes that `malloc` has handed out and not got back. Lua's own memory is among them, except LuaJIT's.
/// Nil if that is unknown.
unsafe extern "C-unwind" fn heap(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, figures) }
}

/// `host.trim() -> boolean`: gives memory that is free back to the system, and says whether there was any.
unsafe extern "C-unwind" fn trim(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, trimmed) }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn figures() -> Reply {
    use crate::value::Value;
    // Not `mallinfo2`, which glibc has since 2.33 only. The numbers are right below 4 GiB.
    // SAFETY: the call has no preconditions.
    let info = unsafe { libc::mallinfo() };
    let bytes = |number: c_int| u64::from(number.cast_unsigned());
    Ok(vec![Value::count(bytes(info.uordblks) + bytes(info.hblkhd))])
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trimmed() -> Reply {
    // SAFETY: the call has no preconditions.
    Ok(vec![(unsafe { libc::malloc_trim(0) } != 0).into()])
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn figures() -> Reply {
    Ok(Vec::new())
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trimmed() -> Reply {
    Ok(vec![false.into()])
}
