//! The memory of ended deliveries, kept for later ones of the same state.
//!
//! A producer allocates what a delivery consists of, and the Lua thread frees it. An allocator is slow at that: it has to bring the memory
//! back from one thread to the other. Here, the Lua thread collects what it would free, and hands it over by the hundred. A producer takes
//! one without a system call, a search, or a look at the memory itself.
//!
//! Nobody ever waits here: if another thread is just taking or handing over, the caller uses the allocator. So a signal handler may
//! deliver, and a process that was forked in the middle of it goes on.

use std::alloc::{Layout, dealloc};
use std::ptr::NonNull;

use arrayvec::ArrayVec;

use crate::memory::{self, TryRoom};
use crate::sync::{AtomicBool, Ordering, UnsafeCell};

/// The sizes that are kept: the callback with two values, and with four. A smaller layout gets the next size.
const SIZES: [Layout; 2] = [layout(56), layout(104)];

const fn layout(bytes: usize) -> Layout {
    match Layout::from_size_align(bytes, 8) {
        Ok(layout) => layout,
        Err(_) => panic!("a size is too large"),
    }
}

/// The most memory that is kept of each size: as much as a queue keeps for its items.
const KEPT_BYTES: usize = 6 << 20;

/// How many the Lua thread collects before it hands them over. Few in the models.
const COLLECTED: usize = if cfg!(loom) { 1 } else { 128 };

/// A block of one of the sizes that nobody uses.
type Block = NonNull<u8>;

/// The spare blocks of one size.
struct Size {
    shared: Shared,
    /// Only the Lua thread uses this.
    collected: UnsafeCell<ArrayVec<Block, COLLECTED>>,
}

/// What producers take from. Apart from what only the Lua thread uses, so that they do not share a cache line.
#[repr(align(64))]
struct Shared {
    /// Some thread uses `blocks`.
    busy: AtomicBool,
    blocks: UnsafeCell<Vec<Block>>,
    /// In a model, notices if two threads use `blocks` at a time.
    #[cfg(loom)]
    watched: loom::cell::UnsafeCell<()>,
}

/// The spare blocks of a state.
pub struct Spares([Size; SIZES.len()]);

// SAFETY: blocks belong to no thread. `busy` guards the shared ones, and the callers of `keep` and `clear` promise that no two
// threads use the collected ones at a time.
unsafe impl Send for Spares {}
// SAFETY: as above.
unsafe impl Sync for Spares {}

/// Which size a layout gets, if it is kept, and the layout that is allocated for it.
#[inline]
fn rounded(layout: Layout) -> (Option<usize>, Layout) {
    for (index, size) in SIZES.into_iter().enumerate() {
        if layout.size() <= size.size() && layout.align() <= size.align() {
            return (Some(index), size);
        }
    }
    (None, layout)
}

/// Frees what [`Spares::allocate`] gave, without keeping it. [any-thread]
///
/// # Safety
/// It was allocated with that layout, and nobody uses it.
#[inline]
pub unsafe fn free(block: NonNull<u8>, layout: Layout) {
    // SAFETY: as the caller promises.
    unsafe { dealloc(block.as_ptr(), rounded(layout).1) };
}

impl Spares {
    /// No spare blocks.
    #[must_use]
    pub fn new() -> Self {
        Spares(SIZES.map(|_| Size {
            shared: Shared {
                busy: AtomicBool::new(false),
                blocks: UnsafeCell::new(Vec::new()),
                #[cfg(loom)]
                watched: loom::cell::UnsafeCell::new(()),
            },
            collected: UnsafeCell::new(ArrayVec::new()),
        }))
    }

    /// Memory for `layout`, whose size is not 0; None if there is none. [any-thread]
    #[inline]
    pub fn allocate(&self, layout: Layout) -> Option<NonNull<u8>> {
        let (size, layout) = rounded(layout);
        if let Some(block) = size.and_then(|size| self.0[size].shared.with(Vec::pop).flatten()) {
            return Some(block);
        }
        // The caller's size is not 0, and the layout is not smaller.
        memory::allocate(layout).ok()
    }

    /// Takes a block back for later deliveries. [lua-thread]
    ///
    /// # Safety
    /// It was allocated with that layout, by these spares or others, and nobody uses it. The caller is on the Lua thread, inside a call that
    /// Lua made, so that no other thread calls this or [`Self::clear`] at the same time.
    #[inline]
    pub unsafe fn keep(&self, block: NonNull<u8>, layout: Layout) {
        let (size, layout) = rounded(layout);
        let kept = size.is_some_and(|size| {
            // SAFETY: as the caller promises.
            unsafe { self.0[size].keep(block, layout.size()) }
        });
        if !kept {
            // SAFETY: as the caller promises.
            unsafe { dealloc(block.as_ptr(), layout) };
        }
    }

    /// Frees all spare blocks. [lua-thread]
    ///
    /// # Safety
    /// As for [`Self::keep`].
    pub unsafe fn clear(&self) {
        for (size, layout) in self.0.iter().zip(SIZES) {
            // SAFETY: as the caller promises.
            let collected = unsafe { &mut *size.collected.get() };
            // If a producer is just taking one, what is left stays for the next state.
            let shared = size.shared.with(std::mem::take).unwrap_or_default();
            for block in collected.drain(..).chain(shared) {
                // SAFETY: every block of this size was allocated with this layout.
                unsafe { dealloc(block.as_ptr(), layout) };
            }
        }
    }
}

impl Default for Spares {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        // SAFETY: nobody else has them.
        unsafe { self.clear() };
    }
}

impl Size {
    /// Keeps a block of `bytes` bytes; false if there are enough.
    ///
    /// # Safety
    /// As for [`Spares::keep`].
    #[inline]
    unsafe fn keep(&self, block: Block, bytes: usize) -> bool {
        // SAFETY: as the caller promises.
        let collected = unsafe { &mut *self.collected.get() };
        if collected.is_full() {
            self.shared.hand_over(collected, KEPT_BYTES / bytes);
        }
        collected.try_push(block).is_ok()
    }
}

impl Shared {
    /// Calls `f` with the blocks; None if another thread uses them.
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut Vec<Block>) -> R) -> Option<R> {
        // Acquire, and Release below: what the last user did to the blocks happens before `f`.
        if self.busy.swap(true, Ordering::Acquire) {
            return None;
        }
        #[cfg(loom)]
        self.watched.with_mut(|_| ());
        // SAFETY: `busy` was false, so nobody else uses them until it is false again.
        let result = f(unsafe { &mut *self.blocks.get() });
        self.busy.store(false, Ordering::Release);
        Some(result)
    }

    /// Moves the collected blocks here, unless there are `most` already, or no memory.
    #[inline(never)]
    fn hand_over(&self, collected: &mut ArrayVec<Block, COLLECTED>, most: usize) {
        self.with(|blocks| {
            if blocks.len() + collected.len() <= most && blocks.try_room(collected.len()).is_ok() {
                blocks.extend(collected.drain(..));
            }
        });
    }
}
