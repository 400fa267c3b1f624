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
    /// An object of the library's that Lua has; in arguments alone, and for the length of the call.
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
    /// Which function; never 0.
    pub id: u64,
    /// Gives the reference back.
    pub release: ReleaseFn,
}

impl Drop for RawCallback {
    fn drop(&mut self) {
        // SAFETY: the function came with the reference, and this is the one time that it is given back.
        unsafe { (self.release.0)(self.id) };
    }
}

/// An object that is owned by who holds this.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawObject {
    /// The library's data.
    pub data: *mut c_void,
    /// What it is.
    pub class: &'static RawClass,
}

impl Drop for RawObject {
    fn drop(&mut self) {
        // SAFETY: the class came with the data, and its owner drops it once.
        unsafe { (self.class.drop.0)(self.data) };
    }
}

// SAFETY: the library's layer makes them of what is `Send` alone.
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
