//! Values as they cross the boundary.
//!
//! Each is owned by who holds it, whichever image allocated it: what has memory carries the function that frees it.

use std::os::raw::c_void;

use abi_stable::std_types::{RBox, RVec};
use abi_stable::StableAbi;

use crate::contract::RawClass;

/// Lists and maps within each other, at most.
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
    /// An object of the library's, on its way to Lua.
    Object(RawObject),
    /// An object of the library's that Lua has; in arguments and results alone, and for the length of the call.
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

/// Gives a reference to a callback back. [any-thread] Never unwinds.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct ReleaseFn(
    /// The function.
    pub unsafe extern "C" fn(callback: u64),
);

/// A reference to a Lua function. Any thread may hold and drop it; a callback whose state has closed is dead, and a late
/// use of it is refused.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawCallback {
    id: u64,
    release: ReleaseFn,
}

impl RawCallback {
    /// A reference that `release` gives back.
    ///
    /// # Safety
    /// The reference is the new owner's, and `release` may be called with `id` on any thread, once, at any time.
    #[must_use]
    pub const unsafe fn new(id: u64, release: ReleaseFn) -> Self {
        RawCallback { id, release }
    }

    /// Which function; never 0.
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

/// An object that is owned by who holds this.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawObject {
    data: *mut c_void,
    class: &'static RawClass,
}

impl RawObject {
    /// An object of a library's.
    ///
    /// # Safety
    /// `data` is of that class and the new owner's; the class's `drop` may be called with it on any thread, once, at any time.
    #[must_use]
    pub const unsafe fn new(data: *mut c_void, class: &'static RawClass) -> Self {
        RawObject { data, class }
    }

    /// The library's data.
    #[must_use]
    pub const fn data(&self) -> *mut c_void {
        self.data
    }

    /// What it is.
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
    /// What it is: the address of a class.
    pub class: &'static RawClass,
}

// SAFETY: as a `RawObject`, and it is used on the Lua thread alone.
unsafe impl Send for RawBorrowed {}
