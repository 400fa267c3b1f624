//! The structure of the host's C functions: Rust values are in userdata, so that a Lua error cannot skip their destructors.
//!
//! Every function has three parts, in this order:
//! 1. It takes its arguments with Lua's checks, which may raise. It takes only plain data: numbers, pointers, and slices of
//!    strings that its stack keeps alive.
//! 2. It passes a closure to [`reply`] or [`create`]. Only the closure owns things. It never raises, and a panic is caught.
//! 3. It pushes the results. They are already in a userdata, so Lua frees them if pushing raises.

use crate::lua::{self, State};
use crate::value::Value;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// A Rust type that Lua can hold, in a userdata with a pointer to a `Box`. The pointer is null after the object is closed.
pub(crate) trait Object: Sized {
    /// The name of its metatable.
    const NAME: &'static CStr;
    /// Its methods, by name.
    const METHODS: &'static [(&'static CStr, lua::Function)];
}

/// The result of a function: values to return, or the message of an error to raise.
pub(crate) type Reply = Result<Vec<Value>, String>;

/// Values that are being returned to Lua.
struct Results(Reply);

impl Object for Results {
    const NAME: &'static CStr = c"dss.host.results";
    const METHODS: &'static [(&'static CStr, lua::Function)] = &[];
}

/// A string argument. It is valid while its value is on the stack, which is as long as the function runs.
pub(crate) unsafe fn string<'a>(l: *mut State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the caller's frame owns nothing, so the check may raise; what it returns is valid for `len` bytes.
    unsafe {
        let start = lua::checklstring(l, index, &mut len);
        std::slice::from_raw_parts(start.cast(), len)
    }
}

/// The object in argument 1, or null if it was closed. Raises if argument 1 is something else.
pub(crate) unsafe fn this<T: Object>(l: *mut State) -> *mut T {
    // SAFETY: the caller's frame owns nothing; only `empty` gives this metatable to a userdata.
    unsafe { *slot::<T>(l) }
}

/// The pointer slot of the object in argument 1. Raises as [`this`] does.
pub(crate) unsafe fn slot<T: Object>(l: *mut State) -> *mut *mut T {
    // SAFETY: the caller's frame owns nothing, so the check may raise.
    unsafe { lua::checkudata(l, 1, T::NAME.as_ptr()).cast() }
}

/// Borrows an object, or returns an error message if it was closed.
///
/// # Safety
/// The pointer comes from [`this`], in the function that is running.
pub(crate) unsafe fn open<'a, T: Object>(this: *mut T) -> Result<&'a T, String> {
    // SAFETY: it is null or points to a `Box` owned by the userdata, which is on the running function's stack.
    unsafe { this.as_ref() }.ok_or_else(|| format!("{} is closed", T::NAME.to_string_lossy()))
}

/// Drops the object in a userdata. Never raises.
pub(crate) unsafe fn discard<T: Object>(slot: *mut *mut T) {
    // SAFETY: the slot belongs to a live userdata. It is set to null before the value is dropped, so nothing is freed twice.
    unsafe {
        let value = ptr::replace(slot, ptr::null_mut());
        if !value.is_null() {
            drop(Box::from_raw(value));
        }
    }
}

/// Does the work of a function, and returns its values or raises its error.
///
/// # Safety
/// This call is the last action of a C function, and the function's frame owns nothing.
pub(crate) unsafe fn reply<F: FnOnce() -> Reply>(l: *mut State, work: F) -> c_int {
    const { assert!(!std::mem::needs_drop::<F>(), "a Lua error would leak what the closure owns") }
    // SAFETY: nothing here owns anything before or after `guarded`. The userdata owns the results.
    unsafe {
        let slot = empty::<Results>(l);
        *slot = Box::into_raw(Box::new(Results(guarded(work))));
        match &(**slot).0 {
            Ok(values) => {
                let count = values.len() as c_int;
                lua::checkstack(l, count, c"too many results".as_ptr());
                for value in values {
                    value.push(l);
                }
                discard(slot);
                count
            }
            Err(message) => {
                lua::position(l, 1);
                lua::pushlstring(l, message.as_ptr().cast(), message.len());
                lua::concat(l, 2);
                discard(slot);
                lua::error(l)
            }
        }
    }
}

/// Makes an object and returns it to Lua, or raises an error that says why it cannot be made.
///
/// # Safety
/// As [`reply`].
pub(crate) unsafe fn create<T: Object, F: FnOnce() -> Result<T, String>>(l: *mut State, work: F) -> c_int {
    // SAFETY: Lua does not move userdata, and this one stays on the stack.
    unsafe {
        let slot = empty::<T>(l);
        let index = lua::gettop(l);
        reply(l, move || {
            *slot = Box::into_raw(Box::new(work()?));
            Ok(Vec::new())
        });
        lua::pushvalue(l, index);
        1
    }
}

/// Registers a type's methods with a state.
pub(crate) unsafe fn register<T: Object>(l: *mut State) {
    // SAFETY: the caller's frame owns nothing, and its state has the slots.
    unsafe {
        lua::newmetatable(l, T::NAME.as_ptr());
        set_function(l, c"__gc", collect::<T>);
        lua::createtable(l, 0, T::METHODS.len() as c_int);
        set_functions(l, T::METHODS);
        lua::setfield(l, -2, c"__index".as_ptr());
        lua::settop(l, -2);
    }
}

/// Registers the types that this file needs itself.
pub(crate) unsafe fn register_results(l: *mut State) {
    // SAFETY: this function has the same contract as the one it calls.
    unsafe { register::<Results>(l) }
}

/// Sets functions in the table on top of the stack.
pub(crate) unsafe fn set_functions(l: *mut State, functions: &[(&CStr, lua::Function)]) {
    for (name, function) in functions {
        // SAFETY: the caller's frame owns nothing, and its state has the slots.
        unsafe { set_function(l, name, *function) };
    }
}

unsafe fn set_function(l: *mut State, name: &CStr, function: lua::Function) {
    let name: *const c_char = name.as_ptr();
    // SAFETY: the caller has a table on top of the stack and a slot above it.
    unsafe {
        lua::pushfunction(l, function);
        lua::setfield(l, -2, name);
    }
}

/// Pushes a userdata without an object.
unsafe fn empty<T: Object>(l: *mut State) -> *mut *mut T {
    // SAFETY: it is null before it has a metatable, so `collect` never sees it uninitialised.
    unsafe {
        lua::checkstack(l, 2, ptr::null());
        let slot: *mut *mut T = lua::newuserdata(l, size_of::<*mut T>()).cast();
        *slot = ptr::null_mut();
        lua::getfield(l, lua::REGISTRYINDEX, T::NAME.as_ptr());
        lua::setmetatable(l, -2);
        slot
    }
}

/// `__gc` of every object.
unsafe extern "C-unwind" fn collect<T: Object>(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing when the check raises; a panic in the destructor stays in the guard.
    unsafe {
        let slot = slot::<T>(l);
        let _ = guarded(move || {
            discard(slot);
            Ok(Vec::new())
        })
        .is_ok();
    }
    0
}

/// Runs a closure that never raises, and turns a panic into an error.
fn guarded(work: impl FnOnce() -> Reply) -> Reply {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(reply) => reply,
        Err(_) => Err("a panic in the test host; its message is on stderr".into()),
    }
}
