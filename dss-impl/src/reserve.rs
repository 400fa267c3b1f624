//! The module's allocator: the system's, with a reserve for code that cannot be refused memory.
//!
//! The standard library ends the process if it gets no memory for a path, a sentence or a name. The module therefore keeps some
//! memory aside, and such code gets it when the system has none left. Code that can be refused, which is all that
//! stores deliveries, never gets it: see `memory`. So the reserve only has to last for the calls that are running.
//!
//! | memory is asked for by                 | if the system has none, it gets |
//! |----------------------------------------|---------------------------------|
//! | the functions of `memory`              | nothing, and returns an error   |
//! | anything else, in a small piece        | a piece of the reserve          |
//! | anything else, if the reserve is empty | nothing, and the process ends   |
//!
//! The last row is kept away by [`is_low`]: functions that use such code are refused while much of the reserve is in use.
//!
//! It takes no lock: a piece is some granules in a row, and each granule has a mark of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::sync::thread_id;

/// The bytes of the reserve. They cost no memory until they are used.
const SIZE: usize = 1 << 18;

/// What the reserve is handed out in. Its alignment, too.
const GRANULE: usize = 64;

const GRANULES: usize = SIZE / GRANULE;

/// The largest piece that is handed out.
const LARGEST: usize = SIZE / 4;

#[repr(C, align(64))]
struct Pool(UnsafeCell<[u8; SIZE]>);

// SAFETY: nothing here reads or writes the bytes. Who has a piece is its only user.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new([0; SIZE]));

/// Whether each granule is in use.
static BUSY: [AtomicBool; GRANULES] = [const { AtomicBool::new(false) }; GRANULES];

/// The granules in use.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Threads that are in [`refusable`]. 0 is none. It is an array and no thread-local variable, because the system may need
/// memory for the first use of such a variable on a thread.
static REFUSABLE: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

fn start() -> *mut u8 {
    POOL.0.get().cast()
}

/// Whether `memory` is in the reserve. [any-thread]
#[inline]
pub(crate) fn contains(memory: *const u8) -> bool {
    memory.addr().wrapping_sub(start().addr()) < SIZE
}

/// Whether much of the reserve is in use, so that code that cannot be refused memory should not begin. [any-thread]
#[must_use]
pub fn is_low() -> bool {
    USED.load(Ordering::Relaxed) > GRANULES / 2
}

/// Runs `ask`, which is refused what the system does not have. [any-thread]
pub(crate) fn refusable<R>(ask: impl FnOnce() -> R) -> R {
    struct Leave(Option<&'static AtomicU64>);
    impl Drop for Leave {
        fn drop(&mut self) {
            if let Some(slot) = self.0 {
                slot.store(0, Ordering::Relaxed);
            }
        }
    }
    let own = thread_id();
    let claim =
        |slot: &&AtomicU64| slot.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    // Relaxed: only this thread looks for its own number. If there is no slot, the reserve serves this call, too.
    let _leave = Leave(REFUSABLE.iter().find(claim));
    ask()
}

fn is_refusable() -> bool {
    let own = thread_id();
    REFUSABLE.iter().any(|slot| slot.load(Ordering::Relaxed) == own)
}

/// The granules that a piece of that layout has; None if it gets none.
fn granules(layout: Layout) -> Option<usize> {
    (layout.align() <= GRANULE && layout.size() <= LARGEST).then(|| layout.size().div_ceil(GRANULE).max(1))
}

fn give_back(first: usize, count: usize) {
    // Release: with the Acquire in `claim`, who gets the granule next sees it as its last user left it.
    BUSY[first..first + count].iter().for_each(|busy| busy.store(false, Ordering::Release));
}

/// Claims `count` granules in a row. Returns the first.
fn claim(count: usize) -> Option<usize> {
    let mut first = 0;
    while first + count <= GRANULES {
        let found = BUSY[first..first + count].iter().position(|busy| busy.swap(true, Ordering::Acquire));
        let Some(taken) = found else { return Some(first) };
        give_back(first, taken);
        first += taken + 1;
    }
    None
}

/// A piece of the reserve.
#[cold]
fn piece(layout: Layout) -> *mut u8 {
    if is_refusable() {
        return null_mut();
    }
    let Some(count) = granules(layout) else { return null_mut() };
    let Some(first) = claim(count) else { return null_mut() };
    USED.fetch_add(count, Ordering::Relaxed);
    start().wrapping_add(first * GRANULE)
}

/// Takes a piece back.
#[cold]
fn take_back(piece: NonNull<u8>, layout: Layout) {
    let first = (piece.addr().get() - start().addr()) / GRANULE;
    let count = granules(layout).unwrap_or_default();
    give_back(first, count);
    USED.fetch_sub(count, Ordering::Relaxed);
}

/// The allocator of the module: another one, which is the system's, and the reserve.
///
/// ```
/// use std::alloc::System;
///
/// use dss_impl::reserve::Allocator;
///
/// #[global_allocator]
/// static ALLOCATOR: Allocator = Allocator(System);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocator<A = System>(
    /// The other one.
    pub A,
);

impl<A: GlobalAlloc> Allocator<A> {
    /// Another place for what is at `memory`, if the system's or the reserve's cannot stay where it is.
    #[cold]
    unsafe fn moved(&self, memory: *mut u8, layout: Layout, new: Layout, place: *mut u8) -> *mut u8 {
        if !place.is_null() {
            let length = layout.size().min(new.size());
            // SAFETY: both are that long, and the new one is no part of the old one.
            unsafe { memory.copy_to_nonoverlapping(place, length) };
            // SAFETY: as the caller promises.
            unsafe { self.dealloc(memory, layout) };
        }
        place
    }
}

// SAFETY: what it returns comes from the other allocator, or is a piece of the reserve, of at least that size and alignment, that
// nobody else has. It does not panic: no arithmetic overflows, and every index is in range.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Allocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let memory = unsafe { self.0.alloc(layout) };
        if memory.is_null() { piece(layout) } else { memory }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let memory = unsafe { self.0.alloc_zeroed(layout) };
        if !memory.is_null() {
            return memory;
        }
        let piece = piece(layout);
        if !piece.is_null() {
            // SAFETY: it has that size.
            unsafe { piece.write_bytes(0, layout.size()) };
        }
        piece
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match NonNull::new(memory) {
            Some(piece) if contains(memory) => take_back(piece, layout),
            // SAFETY: as the caller promises.
            _ => unsafe { self.0.dealloc(memory, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if contains(memory) {
            // SAFETY: as the caller promises.
            let place = unsafe { self.alloc(new) };
            // SAFETY: as the caller promises.
            return unsafe { self.moved(memory, layout, new, place) };
        }
        // SAFETY: as the caller promises.
        let resized = unsafe { self.0.realloc(memory, layout, size) };
        if !resized.is_null() {
            return resized;
        }
        // SAFETY: as the caller promises; if it was not resized, it is as it was.
        unsafe { self.moved(memory, layout, new, piece(new)) }
    }
}
