//! How a C function of the host is made: Rust values in userdata, Rust work that a Lua error can't skip.
//!
//! Every function has three parts, in this order, and each rests on the one before:
//! 1. It takes its arguments with Lua's checks, which may raise. What it takes is plain data: numbers, pointers, slices
//!    of strings that its own stack keeps alive.
//! 2. It hands a closure to [`reply`] or [`create`]. Only in there are things owned, and nothing in there raises. A
//!    panic ends there too.
//! 3. The results already lie in a userdata, so that Lua frees them should pushing them raise.

use crate::lua::{self, State};
use crate::value::Value;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// A Rust type that Lua can hold, as a userdata with a pointer to a `Box`, null once it is closed.
pub(crate) trait Object: Sized {
    /// The name of its metatable.
    const NAME: &'static CStr;
    /// Its methods, by name.
    const METHODS: &'static [(&'static CStr, lua::Function)];
}

/// What a function answers with: values to return, or the message of the error to raise.
pub(crate) type Reply = Result<Vec<Value>, String>;

/// The values on their way to Lua.
struct Results(Reply);

impl Object for Results {
    const NAME: &'static CStr = c"dss.host.results";
    const METHODS: &'static [(&'static CStr, lua::Function)] = &[];
}

/// A string argument, valid while its value stays on the stack, which is as long as the function runs.
pub(crate) unsafe fn string<'a>(l: *mut State, index: c_int) -> &'a [u8] {
    let mut len = 0;
    // SAFETY: the caller's frame owns nothing, so the check may raise; what it returns is valid for `len` bytes.
    unsafe {
        let start = lua::checklstring(l, index, &mut len);
        std::slice::from_raw_parts(start.cast(), len)
    }
}

/// The object that argument 1 holds, null if it was closed. Raises if it is something else.
pub(crate) unsafe fn this<T: Object>(l: *mut State) -> *mut T {
    // SAFETY: the caller's frame owns nothing; only `empty` gives this metatable to a userdata.
    unsafe { *place::<T>(l) }
}

/// As [`this`], where argument 1 keeps its pointer.
pub(crate) unsafe fn place<T: Object>(l: *mut State) -> *mut *mut T {
    // SAFETY: the caller's frame owns nothing, so the check may raise.
    unsafe { lua::checkudata(l, 1, T::NAME.as_ptr()).cast() }
}

/// Borrows an object, or refuses with a sentence if it was closed.
///
/// # Safety
/// The pointer comes from [`this`], in the function that is running.
pub(crate) unsafe fn open<'a, T: Object>(this: *mut T) -> Result<&'a T, String> {
    // SAFETY: it is null or points to a `Box` that the userdata owns, which lies on the running function's stack.
    unsafe { this.as_ref() }.ok_or_else(|| format!("{} is closed", T::NAME.to_string_lossy()))
}

/// Drops what the userdata holds, now. Raises nothing.
pub(crate) unsafe fn discard<T: Object>(place: *mut *mut T) {
    // SAFETY: the place is a live userdata's; it is null before the value goes, so nothing frees twice.
    unsafe {
        let value = ptr::replace(place, ptr::null_mut());
        if !value.is_null() {
            drop(Box::from_raw(value));
        }
    }
}

/// Does the work of a function, and returns or raises what it says.
///
/// # Safety
/// This is the last thing a C function does, whose frame owns nothing.
pub(crate) unsafe fn reply<F: FnOnce() -> Reply>(l: *mut State, work: F) -> c_int {
    const { assert!(!std::mem::needs_drop::<F>(), "a Lua error would leak what the closure owns") }
    // SAFETY: up to `guarded` and after it nothing here owns anything; the results are the userdata's.
    unsafe {
        let place = empty::<Results>(l);
        *place = Box::into_raw(Box::new(Results(guarded(work))));
        match &(**place).0 {
            Ok(values) => {
                let count = values.len() as c_int;
                lua::checkstack(l, count, c"too many results".as_ptr());
                for value in values {
                    value.push(l);
                }
                discard(place);
                count
            }
            Err(message) => {
                lua::position(l, 1);
                lua::pushlstring(l, message.as_ptr().cast(), message.len());
                lua::concat(l, 2);
                discard(place);
                lua::error(l)
            }
        }
    }
}

/// Makes an object and returns it to Lua, or raises why it can't be made.
///
/// # Safety
/// As [`reply`].
pub(crate) unsafe fn create<T: Object, F: FnOnce() -> Result<T, String>>(l: *mut State, work: F) -> c_int {
    // SAFETY: Lua does not move userdata, and this one stays on the stack.
    unsafe {
        let place = empty::<T>(l);
        let index = lua::gettop(l);
        reply(l, move || {
            *place = Box::into_raw(Box::new(work()?));
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

/// Registers what this file needs itself.
pub(crate) unsafe fn register_results(l: *mut State) {
    // SAFETY: the caller's promise is passed on.
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

/// Pushes a userdata that holds nothing yet.
unsafe fn empty<T: Object>(l: *mut State) -> *mut *mut T {
    // SAFETY: it is null before it has a metatable, so `collect` never sees it uninitialised.
    unsafe {
        lua::checkstack(l, 2, ptr::null());
        let place: *mut *mut T = lua::newuserdata(l, size_of::<*mut T>()).cast();
        *place = ptr::null_mut();
        lua::getfield(l, lua::REGISTRYINDEX, T::NAME.as_ptr());
        lua::setmetatable(l, -2);
        place
    }
}

/// `__gc` of every object.
unsafe extern "C-unwind" fn collect<T: Object>(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing when the check raises; a panic in the destructor stays in the guard.
    unsafe {
        let place = place::<T>(l);
        let _ = guarded(move || {
            discard(place);
            Ok(Vec::new())
        })
        .is_ok();
    }
    0
}

/// Runs Rust that calls nothing that raises, and makes a panic an error.
fn guarded(work: impl FnOnce() -> Reply) -> Reply {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(reply) => reply,
        Err(_) => Err("a panic in the test host; its message is on stderr".into()),
    }
}
