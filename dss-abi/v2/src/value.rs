//! Values as they cross the boundary. Library authors use [`Value`](crate::Value).
//!
//! The side that holds a value owns it, whichever side allocated it. A value that has memory carries the function
//! that frees it.

use std::os::raw::c_void;

use abi_stable::std_types::{RBox, RVec};
use abi_stable::StableAbi;

use crate::contract::RawClass;

/// How deep lists and maps may be nested.
pub const MAX_DEPTH: usize = 64;

/// One value.
#[repr(u8)]
#[derive(StableAbi)]
pub enum RawValue {
    /// `nil`.
    Nil,
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A string of bytes.
    Bytes(RBox<RVec<u8>>),
    /// A table of values at 1, 2, 3 and so on.
    List(RBox<RVec<RawValue>>),
    /// A table of keys and values.
    Map(RBox<RVec<RawEntry>>),
    /// A Lua function.
    Callback(RawCallback),
    /// An object of the library, on its way to Lua.
    Object(RawObject),
    /// An object of the library that Lua has. It is in arguments and results only, and valid during the call.
    Borrowed(RawBorrowed),
}

/// One entry of a map.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawEntry {
    /// The key.
    pub key: RawValue,
    /// The value.
    pub value: RawValue,
}

/// Releases a reference to a callback. [any-thread] Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct ReleaseFn(
    /// The function.
    pub unsafe extern "C" fn(callback: u64),
);

/// A reference to a Lua function. Any thread may hold and drop it. When its state has closed, every use is refused.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawCallback {
    id: u64,
    release: ReleaseFn,
}

impl RawCallback {
    /// A reference that `release` releases.
    ///
    /// # Safety
    /// The result owns the reference. `release` may be called with `id` once, on any thread, at any time.
    #[must_use]
    pub const unsafe fn new(id: u64, release: ReleaseFn) -> Self {
        RawCallback { id, release }
    }

    /// The number of the function. It is never 0.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for RawCallback {
    fn drop(&mut self) {
        // SAFETY: as who made it has promised: this is the one time that it is given back.
        unsafe { (self.release.0)(self.id) };
    }
}

/// An object. The holder of this value owns it.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawObject {
    data: *mut c_void,
    class: &'static RawClass,
}

impl RawObject {
    /// An object of a library.
    ///
    /// # Safety
    /// `data` belongs to that class, and the result owns it. The class's `drop` may be called with it once, on any
    /// thread, at any time.
    #[must_use]
    pub const unsafe fn new(data: *mut c_void, class: &'static RawClass) -> Self {
        RawObject { data, class }
    }

    /// The library's data.
    #[must_use]
    pub const fn data(&self) -> *mut c_void {
        self.data
    }

    /// The class.
    #[must_use]
    pub const fn class(&self) -> &'static RawClass {
        self.class
    }
}

impl Drop for RawObject {
    fn drop(&mut self) {
        // SAFETY: as who made it has promised: its owner drops it once.
        unsafe { (self.class.drop.0)(self.data) };
    }
}

// SAFETY: as who made it has promised: it may be dropped on any thread, and is used in calls of its library alone.
unsafe impl Send for RawObject {}

/// An object that Lua owns.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawBorrowed {
    /// The library's data.
    pub data: *mut c_void,
    /// The class. Its address identifies it.
    pub class: &'static RawClass,
}

// SAFETY: as a `RawObject`, and it is used on the Lua thread alone.
unsafe impl Send for RawBorrowed {}
