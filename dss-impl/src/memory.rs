//! Allocation that can fail. If there is no memory, it returns an error; the standard library would end the process.

use std::alloc::{Layout, alloc, dealloc};
use std::ops::Deref;
use std::ptr::NonNull;

use crate::sync::{AtomicUsize, Ordering};

/// There is not enough memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not enough memory")
    }
}

impl std::error::Error for OutOfMemory {}

/// Puts a value on the heap. [any-thread]
///
/// # Errors
/// There is no memory for it. The value was dropped.
pub fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    // A `Vec` of one item has the memory of a box, and is the stable way to allocate one that can fail.
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| OutOfMemory)?;
    one.push(value);
    let slice: *mut [T] = Box::into_raw(one.into_boxed_slice());
    // SAFETY: a boxed slice of one item has the layout of a box of that item, and came from the same allocator.
    Ok(unsafe { Box::from_raw(slice.cast::<T>()) })
}

/// A copy of some bytes. [any-thread]
///
/// # Errors
/// There is no memory for it.
pub(crate) fn try_bytes(bytes: &[u8]) -> Result<Box<[u8]>, OutOfMemory> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| OutOfMemory)?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}

/// A copy of a string. [any-thread]
///
/// # Errors
/// There is no memory for it.
pub(crate) fn try_str(text: &str) -> Result<Box<str>, OutOfMemory> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| OutOfMemory)?;
    copy.push_str(text);
    Ok(copy.into_boxed_str())
}

/// What a [`Shared`] points to.
struct Counted<T> {
    owners: AtomicUsize,
    value: T,
}

/// A value that several threads own, like an `Arc`. Making one may fail.
pub struct Shared<T>(NonNull<Counted<T>>);

// SAFETY: as for `Arc`: owners on several threads have references to the value, and any of them may drop it.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Makes a shared value. If there is no memory, the value is dropped.
    pub(crate) fn try_new(value: T) -> Result<Self, OutOfMemory> {
        let layout = Layout::new::<Counted<T>>();
        // SAFETY: the layout contains the count, so it is not empty.
        let place = NonNull::new(unsafe { alloc(layout) }.cast::<Counted<T>>()).ok_or(OutOfMemory)?;
        // SAFETY: fresh memory of that layout.
        unsafe { place.write(Counted { owners: AtomicUsize::new(1), value }) };
        Ok(Shared(place))
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: the last owner frees it, and this is an owner.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // Relaxed: the caller already owns it, so it exists. The count cannot overflow: memory cannot hold that many owners.
        self.counted().owners.fetch_add(1, Ordering::Relaxed);
        Shared(self.0)
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // AcqRel: everything that the owners did happens before the value is dropped.
        if self.counted().owners.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        // SAFETY: this was the last owner.
        unsafe { std::ptr::drop_in_place(self.0.as_ptr()) };
        // SAFETY: `try_new` allocated it with that layout.
        unsafe { dealloc(self.0.as_ptr().cast(), Layout::new::<Counted<T>>()) };
    }
}
