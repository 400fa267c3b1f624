//! Allocation that can fail. If there is no memory, it returns an error; the standard library would end the process. It never uses
//! the [`reserve`].

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::ptr::NonNull;
use std::str::Utf8Chunk;

use crate::reserve;
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

/// Memory of that layout, which is not empty. [any-thread]
#[inline]
pub(crate) fn allocate(layout: Layout) -> Result<NonNull<u8>, OutOfMemory> {
    debug_assert_ne!(layout.size(), 0, "an empty layout");
    // SAFETY: the layout is not empty.
    let memory = NonNull::new(unsafe { alloc(layout) }).ok_or(OutOfMemory)?;
    if reserve::contains(memory.as_ptr()) {
        // SAFETY: it was allocated just now.
        unsafe { dealloc(memory.as_ptr(), layout) };
        return Err(OutOfMemory);
    }
    Ok(memory)
}

/// Puts a value on the heap. [any-thread]
///
/// # Errors
/// There is no memory for it. The value was dropped.
pub fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    const { assert!(size_of::<T>() > 0, "such a box needs no memory") }
    let place = allocate(Layout::new::<T>())?.cast::<T>();
    // SAFETY: fresh memory of that layout.
    unsafe { place.write(value) };
    // SAFETY: the layout is a box's, and the memory came from the allocator that boxes use.
    Ok(unsafe { Box::from_raw(place.as_ptr()) })
}

/// A copy of some bytes. [any-thread]
///
/// # Errors
/// There is no memory for it.
pub fn try_bytes(bytes: &[u8]) -> Result<Box<[u8]>, OutOfMemory> {
    let mut copy = Vec::new();
    copy.try_room_exact(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}

/// A copy of a string. [any-thread]
///
/// # Errors
/// There is no memory for it.
pub fn try_str(text: &str) -> Result<Box<str>, OutOfMemory> {
    try_string(text).map(String::into_boxed_str)
}

/// The same, for a string that may grow. [any-thread]
///
/// # Errors
/// There is no memory for it.
pub fn try_string(text: &str) -> Result<String, OutOfMemory> {
    let mut copy = String::new();
    copy.try_room_exact(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// A copy of bytes as text, with a replacement character for each part that is not UTF-8. [any-thread]
///
/// # Errors
/// There is no memory for it.
pub fn try_lossy(bytes: &[u8]) -> Result<String, OutOfMemory> {
    let length = |chunk: Utf8Chunk<'_>| {
        let replaced = if chunk.invalid().is_empty() { 0 } else { char::REPLACEMENT_CHARACTER.len_utf8() };
        chunk.valid().len() + replaced
    };
    let mut text = String::new();
    text.try_room_exact(bytes.utf8_chunks().map(length).sum())?;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Ok(text)
}

/// Room in a collection, or an error. [any-thread]
///
/// ```
/// use dss_impl::memory::TryRoom;
///
/// let mut names: Vec<&str> = Vec::new();
/// names.try_room(1)?;
/// names.push("needs no memory");
/// # Ok::<(), dss_impl::memory::OutOfMemory>(())
/// ```
pub trait TryRoom {
    /// Room for that many more items.
    ///
    /// # Errors
    /// There is no memory for them.
    fn try_room(&mut self, more: usize) -> Result<(), OutOfMemory>;

    /// The same, but not for more than these.
    ///
    /// # Errors
    /// There is no memory for them.
    fn try_room_exact(&mut self, more: usize) -> Result<(), OutOfMemory> {
        self.try_room(more)
    }
}

/// Makes room only if there is none: most calls find some.
macro_rules! try_room {
    ($name:ident, $reserve:ident) => {
        #[inline]
        fn $name(&mut self, more: usize) -> Result<(), OutOfMemory> {
            if self.capacity() - self.len() >= more {
                return Ok(());
            }
            reserve::refusable(|| self.$reserve(more)).map_err(|_| OutOfMemory)
        }
    };
}

impl<T> TryRoom for Vec<T> {
    try_room!(try_room, try_reserve);
    try_room!(try_room_exact, try_reserve_exact);
}

impl TryRoom for String {
    try_room!(try_room, try_reserve);
    try_room!(try_room_exact, try_reserve_exact);
}

impl<T> TryRoom for VecDeque<T> {
    try_room!(try_room, try_reserve);
}

impl<T: Ord> TryRoom for BinaryHeap<T> {
    try_room!(try_room, try_reserve);
}

impl<K: Eq + Hash, V, S: BuildHasher> TryRoom for HashMap<K, V, S> {
    try_room!(try_room, try_reserve);
}

impl<T: Eq + Hash, S: BuildHasher> TryRoom for HashSet<T, S> {
    try_room!(try_room, try_reserve);
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
        let place = allocate(layout)?.cast::<Counted<T>>();
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
