//! DarkSideSync's C interface c2v0 as Rust types: a *preview*, which is not frozen.
//!
//! `include/dss.h` is the contract, and says of each function on which thread it may be called, who owns what, and which codes it returns. These
//! are the same types for DSS itself and for libraries in Rust that want the plain interface; a test compares layouts and constants with
//! the header. Names are the header's.

#![allow(non_camel_case_types)] // the names are those of the C header

mod declaration;
mod read;
mod table;
mod value;

use std::ffi::{c_char, c_int, c_void};

pub use declaration::{BUILT_TO_UNWIND, NO_ABI_STABLE, dss_declaration};
pub use read::Definition;
pub use table::dss_api;
pub use value::{Arena, Read, slice};

/// The revision's number.
pub const REVISION: u32 = 3;
/// The version of the interface, as semver.
pub const VERSION: &str = "0.1.0";
/// The symbol that a library exports: a [`dss_entry`].
pub const ENTRY_SYMBOL: &str = "dss_library_c2v0";

/// Gives what the library is. [any-thread]
pub type dss_entry = unsafe extern "C-unwind" fn() -> *const dss_definition;

/// A library in one Lua state.
pub type dss_library = u64;
/// A Lua function.
pub type dss_callback = u64;
/// A delivery or a request that was taken.
pub type dss_ticket = u64;
/// A call that Lua makes.
pub type dss_call = u64;
/// A channel of a library.
pub type dss_channel = u32;

/// Done.
pub const DSS_OK: c_int = 0;
/// The library is not registered.
pub const DSS_INVALID_LIBRARY: c_int = 1;
/// The state is closing.
pub const DSS_STOPPING: c_int = 2;
/// There is no memory.
pub const DSS_OUT_OF_MEMORY: c_int = 3;
/// The call would wait for the thread that it is made on.
pub const DSS_WOULD_DEADLOCK: c_int = 6;
/// The channel has as much queued as it may.
pub const DSS_FULL: c_int = 9;
/// The time to wait for room is over.
pub const DSS_TIMED_OUT: c_int = 10;
/// The Lua function is gone, or another state's.
pub const DSS_INVALID_CALLBACK: c_int = 11;
/// Lists and maps are nested too deep.
pub const DSS_TOO_DEEP: c_int = 12;
/// One delivery alone is more than the limit in bytes.
pub const DSS_TOO_LARGE: c_int = 13;
/// A NULL, a kind, a size or a policy that is not one.
pub const DSS_MALFORMED: c_int = 14;
/// The call raises an error.
pub const DSS_RAISED: c_int = 15;
/// The call is over, or runs on another thread.
pub const DSS_INVALID_CALL: c_int = 16;
/// The delivery has ended, or Lua has it.
pub const DSS_TOO_LATE: c_int = 17;
/// The channel is closed.
pub const DSS_INVALID_CHANNEL: c_int = 18;
/// An object that was given away before, or of a class that the library does not list.
pub const DSS_NOT_YOURS: c_int = 19;

/// `nil`.
pub const DSS_NIL: u32 = 0;
/// A boolean.
pub const DSS_BOOLEAN: u32 = 1;
/// An integer.
pub const DSS_INTEGER: u32 = 2;
/// A float.
pub const DSS_NUMBER: u32 = 3;
/// A string.
pub const DSS_STRING: u32 = 4;
/// A list.
pub const DSS_LIST: u32 = 5;
/// A map.
pub const DSS_MAP: u32 = 6;
/// A Lua function.
pub const DSS_CALLBACK: u32 = 7;
/// An object.
pub const DSS_OBJECT: u32 = 8;

/// A value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dss_value {
    /// One of the kinds.
    pub kind: u32,
    /// Items of a list, pairs of a map.
    pub count: u32,
    /// What it is, by its kind.
    pub payload: dss_payload,
    /// Bytes of a string.
    pub size: usize,
}

/// What a value is. In the header it has the name `as`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union dss_payload {
    /// Of a boolean and an integer.
    pub integer: i64,
    /// Of a float.
    pub number: f64,
    /// Of a string.
    pub string: *const c_char,
    /// Of a list and a map.
    pub items: *const dss_value,
    /// Of a Lua function.
    pub callback: dss_callback,
    /// Of an object.
    pub object: *const dss_object,
}

/// A function or a method, as Lua calls it. [lua-thread]
pub type dss_function = Option<
    unsafe extern "C-unwind" fn(
        call: dss_call,
        this: *mut c_void,
        arguments: *const dss_value,
        count: usize,
    ) -> c_int,
>;

/// A named function or method.
#[repr(C)]
pub struct dss_method {
    /// Its name; NULL at the end of a list.
    pub name: *const c_char,
    /// The function.
    pub run: dss_function,
    /// The library's own word.
    pub data: *mut c_void,
}

/// A class of objects.
#[repr(C)]
pub struct dss_class {
    /// The size of this record, as the library has it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Its name.
    pub name: *const c_char,
    /// Its methods.
    pub methods: *const dss_method,
    /// For `object:close()`.
    pub close: dss_function,
    /// For `tostring`.
    pub text: dss_function,
    /// Frees an object's data.
    pub drop: Option<unsafe extern "C-unwind" fn(data: *mut c_void)>,
}

/// An object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dss_object {
    /// Its class.
    pub cls: *const dss_class,
    /// The library's data.
    pub data: *mut c_void,
}

/// What does not fit is refused.
pub const DSS_REFUSE: u32 = 1;
/// `deliver` waits for room.
pub const DSS_WAIT: u32 = 2;
/// The oldest make room.
pub const DSS_DROP_OLDEST: u32 = 3;
/// One with a key replaces the one of the same key.
pub const DSS_LATEST: u32 = 4;

/// Limits of a channel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dss_limits {
    /// The size of this record, as the library has it.
    pub size: u32,
    /// One of the policies; 0 is [`DSS_REFUSE`].
    pub policy: u32,
    /// Items at most; 0 for the default.
    pub items: u64,
    /// Bytes at most; 0 for the default.
    pub bytes: u64,
    /// How long a deliver waits, in nanoseconds.
    pub wait_ns: u64,
}

/// One delivery.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dss_delivery {
    /// The size of this record, as the library has it.
    pub size: u32,
    /// The channel.
    pub channel: dss_channel,
    /// The Lua function.
    pub callback: dss_callback,
    /// Its arguments.
    pub values: *const dss_value,
    /// How many.
    pub count: usize,
    /// Its key.
    pub key: *const c_void,
    /// The key's bytes.
    pub key_size: usize,
}

/// Lua answered.
pub const DSS_ANSWERED: u32 = 1;
/// The Lua function raised an error.
pub const DSS_FAILED: u32 = 2;
/// The answer was put off, and dropped.
pub const DSS_COLLECTED: u32 = 3;
/// The library cancelled it.
pub const DSS_CANCELLED: u32 = 4;
/// The library left, or the state closed.
pub const DSS_CLOSED: u32 = 5;
/// There was no answer at its deadline.
pub const DSS_LATE: u32 = 6;
/// It made room for a later one.
pub const DSS_DROPPED: u32 = 7;
/// Lua had not begun with it at its first deadline.
pub const DSS_NOT_STARTED: u32 = 8;

/// How a request ended.
#[repr(C)]
pub struct dss_answer {
    /// The size of this record, as DSS has it.
    pub size: u32,
    /// One of the ends.
    pub ended: u32,
    /// What Lua answered, or raised.
    pub values: *const dss_value,
    /// How many.
    pub count: usize,
    /// The error's text; never NULL.
    pub error: *const c_char,
    /// Its traceback; never NULL.
    pub traceback: *const c_char,
}

/// Tells how a request ended. [any-thread]
pub type dss_done = Option<unsafe extern "C-unwind" fn(context: *mut c_void, answer: *const dss_answer)>;

/// [`dss_definition::flags`]: the library keeps `run()` going.
pub const DSS_KEEPS_ALIVE: u32 = 1;

/// What a library is.
#[repr(C)]
pub struct dss_definition {
    /// The size of this record, as the library has it.
    pub size: u32,
    /// [`DSS_KEEPS_ALIVE`], or 0.
    pub flags: u32,
    /// Its functions.
    pub functions: *const dss_method,
    /// The classes of its objects.
    pub classes: *const *const dss_class,
    /// The limits of its first channel.
    pub limits: *const dss_limits,
    /// A Lua state loads the library. [lua-thread]
    pub open: Option<
        unsafe extern "C-unwind" fn(dss: *const dss_api, call: dss_call, state: *mut *mut c_void) -> c_int,
    >,
    /// The state closes. [lua-thread]
    pub closing: Option<unsafe extern "C-unwind" fn(state: *mut c_void, library: dss_library)>,
    /// The last call with that data. [any-thread]
    pub release: Option<unsafe extern "C-unwind" fn(state: *mut c_void)>,
}

// SAFETY: a library's own data, which its contract has stay as it is while the library is mapped.
unsafe impl Sync for dss_method {}
// SAFETY: as above.
unsafe impl Sync for dss_class {}
// SAFETY: as above.
unsafe impl Sync for dss_definition {}

const _: () = {
    const WORD: usize = size_of::<usize>();
    assert!(size_of::<dss_method>() == 3 * WORD);
    assert!(size_of::<dss_object>() == 2 * WORD);
    assert!(size_of::<dss_class>() == 8 + 5 * WORD);
    assert!(size_of::<dss_limits>() == 32);
    assert!(size_of::<dss_definition>() == 8 + 6 * WORD);
    assert!(size_of::<dss_answer>() == 8 + 4 * WORD);
    assert!(WORD != 8 || size_of::<dss_value>() == 24);
    assert!(WORD != 8 || size_of::<dss_delivery>() == 48);
};
