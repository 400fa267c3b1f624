//! The reserve: code that cannot be refused memory gets some of it when the system has none, and code that can be refused gets none.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

use dss_impl::memory::{OutOfMemory, TryRoom, try_box, try_bytes, try_lossy, try_string};
use dss_impl::reserve::{Allocator, is_low};

thread_local! {
    /// This thread gets no memory of the system.
    static SHORT: Cell<bool> = const { Cell::new(false) };
}

/// The system's, or nothing.
struct Short;

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Short {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        if SHORT.get() { null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        if SHORT.get() { null_mut() } else { unsafe { System.realloc(at, layout, size) } }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator<Short> = Allocator(Short);

/// Runs `work` without memory of the system.
fn short<R>(work: impl FnOnce() -> R) -> R {
    SHORT.set(true);
    let result = work();
    SHORT.set(false);
    result
}

/// One test: the reserve is the process's, and so are its figures.
#[test]
fn what_cannot_be_refused_is_served_and_what_can_is_refused() {
    // Texts that grow, from the system and from the reserve.
    let mut begun = "begun".to_owned();
    let made = short(|| {
        begun.push_str(&"-".repeat(1000));
        format!("{begun} and {}", 7)
    });
    assert_eq!(made, format!("begun{} and 7", "-".repeat(1000)));
    let mut made = made;
    made.push_str(" with memory again");
    made.shrink_to_fit();
    assert!(made.ends_with("7 with memory again"));
    assert!(short(|| vec![0_u8; 5000]).iter().all(|byte| *byte == 0));

    // What can be refused.
    let mut full = vec![1];
    full.shrink_to_fit();
    short(|| {
        assert_eq!(try_box(7_u64), Err(OutOfMemory));
        assert_eq!(try_bytes(b"bytes"), Err(OutOfMemory));
        assert_eq!(try_string("text"), Err(OutOfMemory));
        assert_eq!(try_lossy(b"te\xFFt"), Err(OutOfMemory));
        assert_eq!(full.try_room(1), Err(OutOfMemory));
        assert_eq!(full.try_room(0), Ok(()));
    });
    assert_eq!(full, [1]);
    assert_eq!(try_lossy(b"te\xFFt\xE2\x82").as_deref(), Ok(&*String::from_utf8_lossy(b"te\xFFt\xE2\x82")));

    // Pieces do not overlap, and all come back: it can be used up as often as one likes.
    for _ in 0..3 {
        assert!(!is_low());
        let mut pieces: Vec<Box<[u64; 20]>> = Vec::with_capacity(1000);
        short(|| (0..900_u64).for_each(|at| pieces.push(Box::new([at; 20]))));
        assert!(is_low());
        assert!(pieces.iter().enumerate().all(|(at, piece)| **piece == [at as u64; 20]));
    }
    assert!(!is_low());
}
