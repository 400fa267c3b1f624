//! What items cost: nothing while the queue is warm, and up to 64 bytes each where they pile up.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{Deliver, Library, SILENT, item, open, payload};
use dss_impl::capacity::{Limits, Policy};
use dss_impl::delivery::Delivery;
use dss_impl::delivery::{Announced, DeliverError};
use dss_impl::dispatcher::DecodeEnd;
use dss_impl::outcome::Outcome;
use dss_impl::payload::Payload;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
    /// This thread gets no memory.
    static SHORT: Cell<bool> = const { Cell::new(false) };
}

/// Counts what the running thread allocates, so that tests run beside each other.
struct Counting;

fn count(calls: usize, bytes: isize) {
    CALLS.set(CALLS.get() + calls);
    BYTES.set(BYTES.get() + bytes);
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if SHORT.get() {
            return std::ptr::null_mut();
        }
        count(1, layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if SHORT.get() {
            return std::ptr::null_mut();
        }
        count(1, size as isize - layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A payload that ends without a call, which a test could count.
fn silent(data: usize) -> Payload {
    Payload([data, SILENT, 0])
}

#[test]
fn a_warm_queue_allocates_nothing() {
    let (dispatcher, _) = open();
    let handle = Library::new().register(dispatcher, 1).unwrap();
    let round = |burst: usize| {
        for data in 0..burst {
            dispatcher.deliver_plain(handle, silent(data)).unwrap();
        }
        while let Some(taken) = unsafe { dispatcher.take_one() }.unwrap() {
            dispatcher.decoded(&taken, DecodeEnd::Values);
        }
    };
    for burst in [1, 100, 1000, 8000] {
        // The spare segments move to and fro between intake and desk.
        round(burst);
        round(burst);
        round(burst);
        let before = CALLS.get();
        for _ in 0..20 {
            round(burst);
        }
        assert_eq!(CALLS.get() - before, 0, "allocations in bursts of {burst}");
    }
}

#[test]
fn one_at_a_time_allocates_nothing() {
    let (dispatcher, _) = open();
    let handle = Library::new().register(dispatcher, 1).unwrap();
    let mut before = 0;
    for data in 0..10_000 {
        if data == 300 {
            before = CALLS.get();
        }
        dispatcher.deliver_plain(handle, silent(data)).unwrap();
        let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
        dispatcher.decoded(&taken, DecodeEnd::Values);
    }
    assert_eq!(CALLS.get() - before, 0);
}

#[test]
fn a_million_items_cost_up_to_64_bytes_each_and_are_given_back() {
    const ITEMS: usize = 1_000_000;
    let (dispatcher, epoch) = open();
    let handle = Library::new().register(dispatcher, 1).unwrap();
    let before = BYTES.get();
    for data in 0..ITEMS {
        dispatcher.deliver_plain(handle, silent(data)).unwrap();
    }
    let each = (BYTES.get() - before) as f64 / ITEMS as f64;
    assert!(each <= 64.0, "{each} bytes an item");
    for _ in 0..ITEMS {
        let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
        dispatcher.decoded(&taken, DecodeEnd::Values);
    }
    let kept = BYTES.get() - before;
    // The segments that are spared for the next burst.
    assert!(kept <= 7 << 20, "{kept} bytes kept by an empty queue");
    unsafe { dispatcher.close(epoch) };
    let kept = BYTES.get() - before;
    assert!(kept <= 4096, "{kept} bytes kept by a closed state");
}

#[test]
fn without_memory_a_deliver_is_refused_and_nothing_is_lost() {
    let (dispatcher, _) = open();
    let library = Library::new();
    let handle = library.register(dispatcher, 1).unwrap();
    // Room for a few is there from the beginning: see `Queue::prepare`.
    SHORT.set(true);
    let mut taken = 0;
    let mut refused = Ok(Announced::Yes);
    for data in 0..10_000 {
        refused = dispatcher.deliver_plain(handle, payload(data));
        if refused.is_err() {
            taken = data;
            break;
        }
    }
    SHORT.set(false);
    assert_eq!(refused, Err(DeliverError::OutOfMemory));
    assert!(taken > 0);
    assert_eq!(library.calls(), [], "what was refused was not touched");
    dispatcher.deliver_plain(handle, payload(taken)).unwrap();
    assert_eq!(dispatcher.queue_size(), taken + 1);
    for data in 0..=taken {
        assert_eq!(common::poll(dispatcher), Some(data));
    }
    assert_eq!(dispatcher.libraries().unwrap()[0].refused, 1);
}

#[test]
fn keys_of_what_has_gone_are_forgotten() {
    for ended in [false, true] {
        let (dispatcher, _) = open();
        let limits = Limits { policy: Policy::Latest, ..Limits::default() };
        let handle = Library::new().register_bounded(dispatcher, 1, limits);
        let mut deliver = |number: u64| {
            let key = number.to_le_bytes();
            let delivery = Delivery { payload: silent(0), key: &key, ..item(0) };
            let sequence = dispatcher.hand_over(handle, delivery).unwrap().sequence;
            if ended {
                assert!(dispatcher.end(handle, sequence, Outcome::Withdrawn, true));
            } else {
                let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
                dispatcher.decoded(&taken, DecodeEnd::Over);
            }
        };
        // The made-up library keeps a record of its calls.
        (0..10_000).for_each(&mut deliver);
        let before = BYTES.get();
        (10_000..20_000).for_each(&mut deliver);
        let record = if ended { 10_000 * 2 * size_of::<common::Call>() } else { 0 };
        let grown = BYTES.get() - before - record as isize;
        assert!(grown < 10_000, "{grown} bytes for keys of which nothing is queued");
    }
}

#[test]
fn a_library_that_left_has_given_its_keys_back() {
    let (dispatcher, _) = open();
    let limits = Limits { policy: Policy::Latest, ..Limits::default() };
    let library = Library::new();
    let handle = library.register_bounded(dispatcher, 1, limits);
    let before = BYTES.get();
    for number in 0..10_000_u64 {
        let key = [number.to_le_bytes(); 32].concat();
        dispatcher.hand_over(handle, Delivery { payload: silent(0), key: &key, ..item(0) }).unwrap();
    }
    assert!(BYTES.get() - before > 2_560_000, "the keys are kept while they are queued");
    dispatcher.unregister(handle).unwrap();
    drop(library.calls());
    let left = BYTES.get() - before;
    // Of the queue's segments some are kept.
    assert!(left < 1_000_000, "{left} bytes");
}

#[test]
fn tombstones_cost_no_more_than_items() {
    let (dispatcher, _) = open();
    let limits = Limits { items: 100, policy: Policy::DropOldest, ..Limits::default() };
    let handle = Library::new().register_bounded(dispatcher, 1, limits);
    let mut deliver = |_| {
        let delivery = Delivery { payload: silent(0), ..item(0) };
        dispatcher.hand_over(handle, delivery).unwrap();
    };
    (0..1000).for_each(&mut deliver);
    let before = BYTES.get();
    (0..16_384).for_each(&mut deliver);
    let record = 2 * 16_384 * size_of::<common::Call>();
    let grown = BYTES.get() - before;
    assert!(grown < record as isize, "{grown} bytes");
    assert_eq!(dispatcher.queue_size(), 100);
}
