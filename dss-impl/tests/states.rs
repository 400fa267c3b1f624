//! The table of dispatchers: states find their own, and share nothing.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::collections::HashSet;

use common::{Deliver, Library, payload, plain, poll};
use dss_impl::states;

#[test]
fn many_states_at_once_are_many_dispatchers() {
    let open: Vec<_> = (0..100).map(|_| states::open().unwrap()).collect();
    let dispatchers: HashSet<_> = open.iter().map(|state| std::ptr::from_ref(state.dispatcher)).collect();
    assert_eq!(dispatchers.len(), open.len());
    let library = Library::new();
    let handles: Vec<_> = open.iter().map(|state| library.register(state.dispatcher, 1).unwrap()).collect();
    let numbers: HashSet<_> = handles.iter().map(|handle| handle.to_raw()).collect();
    assert_eq!(numbers.len(), open.len());
    for (data, (state, handle)) in open.iter().zip(&handles).enumerate() {
        let found = states::dispatcher_of(*handle).unwrap();
        assert!(std::ptr::eq(found, state.dispatcher));
        found.deliver(*handle, plain(data)).unwrap();
    }
    // Every second one closes; the others do not feel it.
    for state in open.iter().step_by(2) {
        unsafe { state.close() };
        assert!(state.get().is_none());
    }
    for (data, state) in open.iter().enumerate().skip(1).step_by(2) {
        assert_eq!(poll(state.get().unwrap()), Some(data));
        unsafe { state.close() };
    }
}

#[test]
fn states_open_and_close_on_many_threads() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                let library = Library::new();
                for data in 0..500 {
                    let state = states::open().unwrap();
                    let handle = library.register(state.dispatcher, 1).unwrap();
                    let dispatcher = states::dispatcher_of(handle).unwrap();
                    let producer =
                        std::thread::spawn(move || dispatcher.deliver_plain(handle, payload(data)));
                    producer.join().unwrap().unwrap();
                    assert_eq!(poll(state.get().unwrap()), Some(data));
                    unsafe { state.close() };
                    assert!(state.get().is_none());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_state_that_closed_closes_once() {
    let state = states::open().unwrap();
    let library = Library::new();
    library.register(state.dispatcher, 1).unwrap();
    unsafe { state.close() };
    assert_eq!(library.calls(), [common::Call::Closing(1), common::Call::Release(1)]);
    unsafe { state.close() };
    assert_eq!(library.calls(), []);
}
