//! Promise 6: a handle that comes too late, or that is made up, is refused.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use common::{Deliver, Library, Numbers, open, payload, plain};
use dss_impl::delivery::DeliverError;
use dss_impl::dispatcher::UnregisterError;
use dss_impl::handle::Handle;
use dss_impl::states;

fn assert_refused(raw: usize) {
    let handle = Handle::from_raw(raw);
    let Some(dispatcher) = states::dispatcher_of(handle) else { return };
    assert_eq!(dispatcher.deliver_plain(handle, payload(0)), Err(DeliverError::InvalidHandle), "{raw:#x}");
    let waited = dispatcher.deliver_and_wait(handle, plain(0));
    assert_eq!(waited, Err(DeliverError::InvalidHandle), "{raw:#x}");
    assert_eq!(dispatcher.unregister(handle), Err(UnregisterError::InvalidHandle), "{raw:#x}");
}

#[test]
fn a_handle_survives_being_a_number() {
    let mut numbers = Numbers(2);
    for _ in 0..1000 {
        let raw = numbers.next() as usize;
        assert_eq!(Handle::from_raw(raw).to_raw(), raw);
    }
}

#[test]
fn no_handle_is_null_or_looks_like_an_address() {
    let (dispatcher, ..) = open();
    let handle = Library::new().register(dispatcher, 1).unwrap();
    assert_ne!(handle.to_raw(), 0);
    #[cfg(target_pointer_width = "64")]
    assert!(handle.to_raw() >> 47 != 0);
}

#[test]
fn made_up_numbers_are_refused() {
    let state = states::open().unwrap();
    let library = Library::new();
    let handle = library.register(state.dispatcher, 1).unwrap().to_raw();
    let local = 0;
    for raw in [0, 1, usize::MAX, usize::MAX - 1, 1 << (usize::BITS - 1), (&raw const local).addr()] {
        assert_refused(raw);
    }
    // Every number that differs from a valid one in a bit.
    for bit in 0..usize::BITS {
        assert_refused(handle ^ (1 << bit));
    }
    let mut numbers = Numbers(3);
    for _ in 0..100_000 {
        let raw = numbers.next() as usize;
        assert_refused(raw);
        // One whose dispatcher and slot exist.
        let near = raw & !0xFFFF_FFFF | handle & 0xFFFF_FFFF;
        if near != handle && usize::BITS == 64 {
            assert_refused(near);
        }
    }
    assert_eq!(library.calls(), []);
    assert_eq!(state.dispatcher.queue_size(), 0);
    unsafe { state.close() };
}

#[test]
fn a_stale_handle_is_refused_when_its_slot_is_reused() {
    let (dispatcher, ..) = open();
    let library = Library::new();
    let mut stale = Vec::new();
    for _ in 0..100 {
        let handle = library.register(dispatcher, 1).unwrap();
        for stale in &stale {
            assert_eq!(dispatcher.deliver_plain(*stale, payload(0)), Err(DeliverError::InvalidHandle));
            assert_eq!(dispatcher.unregister(*stale), Err(UnregisterError::InvalidHandle));
        }
        dispatcher.deliver_plain(handle, payload(1)).unwrap();
        dispatcher.unregister(handle).unwrap();
        stale.push(handle);
    }
    assert_eq!(dispatcher.queue_size(), 0);
}

#[test]
fn a_stale_handle_is_refused_when_its_dispatcher_is_closed_and_reused() {
    let (dispatcher, epoch, library, handle) = common::house();
    unsafe { dispatcher.close(epoch) };
    assert_eq!(dispatcher.deliver_plain(handle, payload(0)), Err(DeliverError::InvalidHandle));
    assert!(dispatcher.claim());
    let next = dispatcher.open();
    let fresh = library.register(dispatcher, 1).unwrap();
    assert_ne!(fresh, handle);
    assert_eq!(dispatcher.deliver_plain(handle, payload(0)), Err(DeliverError::InvalidHandle));
    assert_eq!(dispatcher.unregister(handle), Err(UnregisterError::InvalidHandle));
    unsafe { dispatcher.close(next) };
}

#[test]
fn a_handle_of_one_state_is_refused_by_another() {
    let (first, second) = (states::open().unwrap(), states::open().unwrap());
    let library = Library::new();
    let handle = library.register(first.dispatcher, 1).unwrap();
    assert!(std::ptr::eq(states::dispatcher_of(handle).unwrap(), first.dispatcher));
    assert_ne!(library.register(second.dispatcher, 1).unwrap(), handle);
    unsafe { first.close() };
    assert_refused(handle.to_raw());
    assert_eq!(second.dispatcher.registered(), 1);
    unsafe { second.close() };
}
