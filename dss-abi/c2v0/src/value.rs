//! Values: reading what a library hands over, and laying out what it is handed.

use std::ffi::c_void;

use crate::*;

/// What a value is. What it points to is borrowed.
pub enum Read<'a> {
    /// `nil`.
    Nil,
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A float.
    Number(f64),
    /// A string.
    Bytes(&'a [u8]),
    /// A list.
    List(&'a [dss_value]),
    /// A map: key, value, key, value, ...
    Map(&'a [dss_value]),
    /// A Lua function.
    Callback(dss_callback),
    /// An object.
    Object(dss_object),
}

impl dss_value {
    /// What it is; none if it is not a value: of an unknown kind, or without the memory that it speaks of. [any-thread]
    ///
    /// # Safety
    /// A pointer that is not NULL leads to as much as the value says.
    #[inline]
    pub unsafe fn read(&self) -> Option<Read<'_>> {
        // SAFETY: any 64 bits are an integer.
        let integer = unsafe { self.payload.integer };
        // SAFETY: and a pointer, which is not followed.
        let items = unsafe { self.payload.items };
        let count = self.count as usize;
        Some(match self.kind {
            DSS_NIL => Read::Nil,
            DSS_BOOLEAN => Read::Boolean(integer != 0),
            DSS_INTEGER => Read::Integer(integer),
            DSS_NUMBER => Read::Number(f64::from_bits(integer as u64)),
            // SAFETY: as the caller promises.
            DSS_STRING => Read::Bytes(unsafe { slice(items.cast(), self.size) }?),
            // SAFETY: as the caller promises.
            DSS_LIST => Read::List(unsafe { slice(items, count) }?),
            // SAFETY: as the caller promises.
            DSS_MAP => Read::Map(unsafe { slice(items, count.checked_mul(2)?) }?),
            DSS_CALLBACK => Read::Callback(integer as u64),
            // SAFETY: as the caller promises.
            DSS_OBJECT => Read::Object(*unsafe { slice(items.cast::<dss_object>(), 1) }?.first()?),
            _ => return None,
        })
    }
}

/// So many from `first` on; none if they cannot be there. [any-thread]
///
/// # Safety
/// If `first` is not NULL, so many are there, and stay for as long as the slice is used.
#[inline]
pub unsafe fn slice<'a, T>(first: *const T, count: usize) -> Option<&'a [T]> {
    if count == 0 {
        return Some(&[]);
    }
    if first.is_null() || !first.is_aligned() || count > isize::MAX as usize / size_of::<T>() {
        return None;
    }
    // SAFETY: as the caller promises.
    Some(unsafe { std::slice::from_raw_parts(first, count) })
}

/// Memory that values point to which are laid out for a library. What cannot be laid out for want of memory is none.
#[derive(Default)]
pub struct Arena {
    lists: Vec<Vec<dss_value>>,
    objects: Vec<Vec<dss_object>>,
}

impl Arena {
    /// A value that needs no memory. [any-thread]
    #[must_use]
    pub fn plain(kind: u32, payload: dss_payload) -> dss_value {
        dss_value { kind, count: 0, payload, size: 0 }
    }

    /// A string, which gets a 0 behind it, and stays where it is for as long as the value is used. [any-thread]
    #[must_use]
    pub fn string(bytes: &mut Vec<u8>) -> Option<dss_value> {
        let size = bytes.len();
        push(bytes, 0)?;
        Some(dss_value { size, ..Self::plain(DSS_STRING, dss_payload { string: bytes.as_ptr().cast() }) })
    }

    /// A list, or a map of the kind [`DSS_MAP`], of so many items or pairs. [any-thread]
    pub fn list(&mut self, kind: u32, items: Vec<dss_value>, count: usize) -> Option<dss_value> {
        let payload = dss_payload { items: items.as_ptr() };
        push(&mut self.lists, items)?;
        Some(dss_value { count: count as u32, ..Self::plain(kind, payload) })
    }

    /// An object. [any-thread]
    pub fn object(&mut self, cls: *const dss_class, data: *mut c_void) -> Option<dss_value> {
        // In a memory of its own: the list of all moves while it grows.
        let mut object = Vec::new();
        push(&mut object, dss_object { cls, data })?;
        let payload = dss_payload { object: object.as_ptr() };
        push(&mut self.objects, object)?;
        Some(Self::plain(DSS_OBJECT, payload))
    }
}

/// None if there is no memory.
fn push<T>(to: &mut Vec<T>, item: T) -> Option<()> {
    to.try_reserve(1).ok()?;
    to.push(item);
    Some(())
}
