//! A Lua state for which the system has no memory is refused. In a process of its own, for the first dispatchers of one are made
//! once.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use dss_impl::dispatcher::Dispatcher;
use dss_impl::states::{self, OpenError};

static REFUSE: AtomicBool = AtomicBool::new(false);

/// Has no memory for as much as a dispatcher is, where it is to refuse.
struct Refusing;

// SAFETY: it is the system's, or nothing.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if REFUSE.load(Ordering::Relaxed) && layout.size() >= size_of::<Dispatcher>() {
            return std::ptr::null_mut();
        }
        // SAFETY: as its caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as its caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

#[test]
fn no_memory_for_a_state_is_told_and_the_next_is_served() {
    REFUSE.store(true, Ordering::Relaxed);
    let refused = states::open();
    REFUSE.store(false, Ordering::Relaxed);
    assert_eq!(refused.map(|_| ()), Err(OpenError::OutOfMemory));
    let mut open: Vec<_> = (0..8).map(|_| states::open().expect("there is memory")).collect();
    // The ninth is the first of the next chunk.
    REFUSE.store(true, Ordering::Relaxed);
    let refused = states::open();
    REFUSE.store(false, Ordering::Relaxed);
    assert_eq!(refused.map(|_| ()), Err(OpenError::OutOfMemory));
    open.push(states::open().expect("there is memory"));
    assert!(open.iter().all(|state| state.get().is_some()));
    open.iter().for_each(|state| unsafe { state.close() });
}
