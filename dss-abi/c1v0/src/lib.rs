//! DarkSideSync's 1.0 C interface: a frozen binary contract since 2013.
//!
//! `include/darksidesync_api.h` is generated from this file. A library finds the interface in the Lua registry: the
//! table under [`DSS_REGISTRY_NAME`] holds, under [`DSS_API_1V0_KEY`], a light userdata that points to a
//! [`dss_api_1v0_t`], alive as long as the process.

#![deny(unsafe_op_in_unsafe_fn)] // older compilers do not read it from the workspace
#![allow(non_camel_case_types, non_snake_case)] // the names are those of the C header

use std::mem::size_of;
use std::os::raw::{c_char, c_int, c_void};

/// The registry key of the table in which DSS is published.
pub const DSS_REGISTRY_NAME: &str = "DSS.DarkSideSync";
/// The key of the version, a string, in that table.
pub const DSS_VERSION_KEY: &str = "Version";
/// The key of the 1.0 interface in that table, and the text that its `version` holds.
pub const DSS_API_1V0_KEY: &str = "DSS API 1v0";

/// Success. What is above is a warning, what is below an error: nothing was taken.
pub const DSS_SUCCESS: c_int = -100;
/// Warning: the item was taken, but the notification could not be sent.
pub const DSS_ERR_UDP_SEND_FAILED: c_int = -99;
/// The utilid is invalid: made up, or its library is unregistered, or its state closed.
pub const DSS_ERR_INVALID_UTILID: c_int = -101;
/// DSS is not started in this state, or is stopping, or has stopped.
pub const DSS_ERR_NOT_STARTED: c_int = -102;
/// No cancel function was given.
pub const DSS_ERR_NO_CANCEL_PROVIDED: c_int = -103;
/// Out of memory.
pub const DSS_ERR_OUT_OF_MEMORY: c_int = -104;
/// No decode function was given.
pub const DSS_ERR_NO_DECODE_PROVIDED: c_int = -105;
/// The state has no globals: `darksidesync` was not required in it.
pub const DSS_ERR_NO_GLOBALS: c_int = -106;
/// The library is not registered in this state.
pub const DSS_ERR_UNKNOWN_LIB: c_int = -107;
/// The library is registered already; its utilid is returned all the same, and nothing changed.
pub const DSS_ERR_ALREADY_REGISTERED: c_int = -108;
/// The call would wait for the very thread it is made on. Since 2.0.
pub const DSS_ERR_WOULD_DEADLOCK: c_int = -109;

/// Lua's own state, opaque here.
#[repr(C)]
#[derive(Debug)]
pub struct lua_State {
    _private: [u8; 0],
}

/// Turns a delivery into Lua values. [lua-thread], or with `L` NULL on the thread that cancels
///
/// With `L`, on an empty stack: returns 0 or less where the delivery is over, or n where the top n values are results,
/// the first of them the Lua function to call. With `L` NULL the delivery is cancelled: free what `data` holds.
pub type DSS_decoder_1v0_t =
    Option<unsafe extern "C" fn(L: *mut lua_State, data: *mut c_void, utilid: *mut c_void) -> c_int>;

/// Takes the answer that a waiting thread wants. [lua-thread], or with `L` NULL on the thread that cancels
///
/// With `L`, the arguments that Lua gave are on the stack, and what it returns is the number of results for Lua. With
/// `garbage` 1 nobody answered and the reply was collected. With `L` NULL the delivery is cancelled.
pub type DSS_return_1v0_t = Option<
    unsafe extern "C" fn(L: *mut lua_State, data: *mut c_void, utilid: *mut c_void, garbage: c_int) -> c_int,
>;

/// Tells a library that its state closes; it is expected to unregister. [lua-thread]
pub type DSS_cancel_1v0_t = Option<unsafe extern "C" fn(utilid: *mut c_void)>;

/// Registers a library in the state of `L`. [lua-thread]
///
/// `libid` is an address that is the library's own, the same in all states. Returns the utilid, or NULL with the reason
/// in `err` (which may be NULL).
pub type DSS_register_1v0_t = Option<
    unsafe extern "C" fn(
        L: *mut lua_State,
        libid: *mut c_void,
        cancel: DSS_cancel_1v0_t,
        err: *mut c_int,
    ) -> *mut c_void,
>;

/// The utilid of a library in the state of `L`, or NULL with the reason in `err` (which may be NULL). [lua-thread]
pub type DSS_getutilid_1v0_t =
    Option<unsafe extern "C" fn(L: *mut lua_State, libid: *mut c_void, err: *mut c_int) -> *mut c_void>;

/// Hands over one item. [any-thread] With `ret` it `[blocks]` until the delivery ends.
///
/// Where an error is returned nothing was taken, and `data` is still the caller's.
pub type DSS_deliver_1v0_t = Option<
    unsafe extern "C" fn(
        utilid: *mut c_void,
        decode: DSS_decoder_1v0_t,
        ret: DSS_return_1v0_t,
        data: *mut c_void,
    ) -> c_int,
>;

/// Unregisters: cancels all that the library still has in that state. [any-thread] `[blocks]` while its code runs elsewhere
pub type DSS_unregister_1v0_t = Option<unsafe extern "C" fn(utilid: *mut c_void) -> c_int>;

/// The interface. Owned by DSS, alive as long as the process.
#[repr(C)]
#[derive(Debug)]
pub struct dss_api_1v0_t {
    /// The text of [`DSS_API_1V0_KEY`].
    pub version: *const c_char,
    /// See [`DSS_register_1v0_t`].
    pub reg: DSS_register_1v0_t,
    /// See [`DSS_getutilid_1v0_t`].
    pub getutilid: DSS_getutilid_1v0_t,
    /// See [`DSS_deliver_1v0_t`].
    pub deliver: DSS_deliver_1v0_t,
    /// See [`DSS_unregister_1v0_t`].
    pub unreg: DSS_unregister_1v0_t,
}

// SAFETY: constant after it is made; it holds addresses of functions and of one static text.
unsafe impl Send for dss_api_1v0_t {}
// SAFETY: as above.
unsafe impl Sync for dss_api_1v0_t {}

// The layout is frozen: five pointers, nothing between them.
const _: () = assert!(size_of::<dss_api_1v0_t>() == 5 * size_of::<*const c_void>());
