//! The table of functions.

use std::ffi::{c_char, c_int, c_void};

use crate::{
    dss_call, dss_callback, dss_channel, dss_delivery, dss_done, dss_library, dss_limits, dss_ticket,
    dss_value,
};

/// What DSS does for a library: see the header for each. It grows at its end alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct dss_api {
    /// The size of this table, as DSS has it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// The library of a call. [lua-thread]
    pub library: unsafe extern "C-unwind" fn(call: dss_call) -> dss_library,
    /// What `open` stored. [lua-thread]
    pub state: unsafe extern "C-unwind" fn(call: dss_call) -> *mut c_void,
    /// The word of the method that was called. [lua-thread]
    pub data: unsafe extern "C-unwind" fn(call: dss_call) -> *mut c_void,
    /// Appends a result. [lua-thread]
    pub result: unsafe extern "C-unwind" fn(call: dss_call, value: *const dss_value) -> c_int,
    /// Has the call raise an error. [lua-thread]
    pub raise: unsafe extern "C-unwind" fn(call: dss_call, error: *const dss_value) -> c_int,
    /// Has the call raise an error about an argument. [lua-thread]
    pub bad_argument:
        unsafe extern "C-unwind" fn(call: dss_call, index: usize, wanted: *const c_char) -> c_int,
    /// Takes a reference. [any-thread]
    pub retain: unsafe extern "C-unwind" fn(callback: dss_callback) -> c_int,
    /// Gives a reference back. [any-thread]
    pub release: unsafe extern "C-unwind" fn(callback: dss_callback),
    /// Queues one item. [any-thread] `[blocks]` under [`DSS_WAIT`](crate::DSS_WAIT)
    pub deliver: unsafe extern "C-unwind" fn(
        library: dss_library,
        delivery: *const dss_delivery,
        ticket: *mut dss_ticket,
    ) -> c_int,
    /// Queues some. [any-thread]
    pub deliver_many: unsafe extern "C-unwind" fn(
        library: dss_library,
        all: *const dss_delivery,
        count: usize,
        taken: *mut usize,
        first: *mut dss_ticket,
    ) -> c_int,
    /// Queues one item that wants an answer. [any-thread]
    pub request: unsafe extern "C-unwind" fn(
        library: dss_library,
        delivery: *const dss_delivery,
        start_ns: u64,
        finish_ns: u64,
        done: dss_done,
        context: *mut c_void,
        ticket: *mut dss_ticket,
    ) -> c_int,
    /// The same, and waits. [any-thread] `[blocks]`
    pub wait: unsafe extern "C-unwind" fn(
        library: dss_library,
        delivery: *const dss_delivery,
        start_ns: u64,
        finish_ns: u64,
        done: dss_done,
        context: *mut c_void,
    ) -> c_int,
    /// Ends a delivery. [any-thread]
    pub cancel: unsafe extern "C-unwind" fn(library: dss_library, ticket: dss_ticket) -> c_int,
    /// Ends all for one function. [any-thread]
    pub cancel_all: unsafe extern "C-unwind" fn(library: dss_library, callback: dss_callback) -> usize,
    /// Keeps `run()` going. [any-thread]
    pub hold: unsafe extern "C-unwind" fn(library: dss_library) -> c_int,
    /// The opposite. [any-thread]
    pub let_go: unsafe extern "C-unwind" fn(library: dss_library),
    /// Whether it keeps `run()` going by itself. [any-thread]
    pub keep_alive: unsafe extern "C-unwind" fn(library: dss_library, keeps: c_int) -> c_int,
    /// Changes a channel's limits. [any-thread]
    pub limit: unsafe extern "C-unwind" fn(
        library: dss_library,
        channel: dss_channel,
        limits: *const dss_limits,
    ) -> c_int,
    /// Opens a channel. [any-thread]
    pub open_channel: unsafe extern "C-unwind" fn(
        library: dss_library,
        name: *const c_char,
        limits: *const dss_limits,
        channel: *mut dss_channel,
    ) -> c_int,
    /// Closes one. [any-thread]
    pub close_channel: unsafe extern "C-unwind" fn(library: dss_library, channel: dss_channel) -> c_int,
    /// Leaves the state. [any-thread] `[blocks]`
    pub unregister: unsafe extern "C-unwind" fn(library: dss_library) -> c_int,
    /// Whether this is the Lua thread. [any-thread]
    pub on_lua_thread: unsafe extern "C-unwind" fn(library: dss_library) -> c_int,
    /// A sentence for a code. [any-thread]
    pub strerror: unsafe extern "C-unwind" fn(code: c_int) -> *const c_char,
    /// Another table. [any-thread]
    pub extension: unsafe extern "C-unwind" fn(name: *const c_char) -> *const c_void,
}

const _: () = assert!(size_of::<dss_api>() == 8 + 24 * size_of::<usize>());
