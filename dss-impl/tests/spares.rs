//! The memory of ended deliveries is used again, is bounded, and is freed at the end.
#![cfg(not(loom))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use dss_impl::spares::{Spares, free};

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

/// Counts the memory of the running thread, so that tests run beside each other.
struct Counting;

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 8).expect("a small layout")
}

/// Allocates `count` blocks and writes to each of their bytes.
fn blocks(spares: &Spares, count: usize, bytes: usize) -> Vec<NonNull<u8>> {
    let block = || {
        let block = spares.allocate(layout(bytes)).expect("there is memory");
        // SAFETY: it has that many bytes.
        unsafe { block.write_bytes(7, bytes) };
        block
    };
    std::iter::repeat_with(block).take(count).collect()
}

fn keep(spares: &Spares, blocks: &[NonNull<u8>], bytes: usize) {
    for block in blocks {
        // SAFETY: allocated with that layout; each test plays the Lua thread.
        unsafe { spares.keep(*block, layout(bytes)) };
    }
}

#[test]
fn the_memory_of_an_ended_delivery_is_used_again() {
    let spares = Spares::new();
    let first = blocks(&spares, 1024, 56);
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 1024);
    keep(&spares, &first, 56);
    let before = BYTES.get();
    // The last ones are still collected.
    let again = blocks(&spares, 1024 - 128, 8);
    let own = again.capacity() * size_of::<NonNull<u8>>();
    assert_eq!(BYTES.get() - before, own as isize, "nothing but the test's own");
    assert!(again.iter().all(|block| first.contains(block)));
    keep(&spares, &again, 8);
}

#[test]
fn all_of_it_is_freed_at_the_end_and_what_is_too_large_at_once() {
    let before = BYTES.get();
    let spares = Spares::new();
    for bytes in [8, 56, 57, 104, 105, 4096] {
        let taken = blocks(&spares, 1000, bytes);
        keep(&spares, &taken, bytes);
    }
    assert!(BYTES.get() - before > 1000 * (56 + 104), "some are kept");
    // SAFETY: the test plays the Lua thread.
    unsafe { spares.clear() };
    assert_eq!(BYTES.get(), before);
    let taken = blocks(&spares, 300, 30);
    keep(&spares, &taken, 30);
    drop((spares, taken));
    assert_eq!(BYTES.get(), before);
}

#[test]
fn at_most_six_mebibytes_of_a_size_are_kept() {
    let before = BYTES.get();
    let spares = Spares::new();
    let taken = blocks(&spares, 300_000, 56);
    keep(&spares, &taken, 56);
    drop(taken);
    let kept = BYTES.get() - before;
    // With the room for their addresses.
    assert!((5 << 20..9 << 20).contains(&kept), "{kept} bytes are kept");
}

#[test]
fn two_producers_and_the_lua_thread_never_share_a_block() {
    let spares = Spares::new();
    let (sender, ended) = std::sync::mpsc::sync_channel::<usize>(500);
    let wrong = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for name in [1_u8, 2] {
            let (spares, sender, wrong) = (&spares, sender.clone(), &wrong);
            scope.spawn(move || {
                for _ in 0..50_000 {
                    let block = spares.allocate(layout(56)).expect("there is memory");
                    // SAFETY: it has 56 bytes, and is this thread's until it is sent.
                    unsafe { block.write_bytes(name, 56) };
                    std::hint::spin_loop();
                    // SAFETY: as above.
                    let bytes = unsafe { std::slice::from_raw_parts(block.as_ptr(), 56) };
                    if bytes.iter().any(|byte| *byte != name) {
                        wrong.store(true, Ordering::Relaxed);
                    }
                    sender.send(block.as_ptr().expose_provenance()).expect("the other end is there");
                }
            });
        }
        drop(sender);
        for address in ended {
            let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address)).expect("not NULL");
            // SAFETY: it was allocated with that layout, and its producer has given it away. This thread plays the Lua thread.
            unsafe { spares.keep(block, layout(56)) };
        }
    });
    assert!(!wrong.load(Ordering::Relaxed), "two had one block");
}

#[test]
fn a_block_may_be_freed_without_being_kept() {
    let before = BYTES.get();
    let spares = Spares::new();
    for bytes in [8, 56, 104, 300] {
        let block = spares.allocate(layout(bytes)).expect("there is memory");
        // SAFETY: allocated with that layout.
        unsafe { free(block, layout(bytes)) };
    }
    assert_eq!(BYTES.get(), before);
}
