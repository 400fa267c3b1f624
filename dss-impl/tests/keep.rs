//! What keeps `run` going.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::time::Duration;

use common::{Library, bounded_house, info};
use dss_impl::capacity::Policy;

#[test]
fn who_does_not_keep_run_going_is_not_counted() {
    let (dispatcher, _, _, handle) = bounded_house(3, Policy::Refuse);
    let plain = Library::new().register(dispatcher, 2).unwrap();
    assert_eq!(dispatcher.registered(), 2);
    for keeps in [false, false, true, true, false] {
        dispatcher.keep_alive(handle, keeps).unwrap();
        assert_eq!(dispatcher.registered(), 1 + usize::from(keeps));
        assert_eq!(info(dispatcher).keeps_alive, keeps);
    }
    dispatcher.unregister(handle).unwrap();
    assert_eq!(dispatcher.registered(), 1, "it was not counted");
    dispatcher.unregister(plain).unwrap();
    assert_eq!(dispatcher.registered(), 0);
}

#[test]
fn run_ends_its_sleep_where_the_last_library_lets_it_go() {
    let (dispatcher, _, _, handle) = bounded_house(3, Policy::Refuse);
    let thread = std::thread::spawn(move || dispatcher.keep_alive(handle, false).unwrap());
    while dispatcher.registered() > 0 {
        dispatcher.wait_registered(Duration::MAX);
    }
    thread.join().unwrap();
}

#[test]
fn what_a_library_holds_keeps_run_going() {
    let (dispatcher, _, _, handle) = bounded_house(3, Policy::Refuse);
    dispatcher.keep_alive(handle, false).unwrap();
    for held in [1, 2, 3] {
        dispatcher.hold(handle).unwrap();
        assert_eq!((dispatcher.registered(), info(dispatcher).keeps_alive), (1, true), "{held}");
    }
    dispatcher.let_go(handle);
    dispatcher.keep_alive(handle, true).unwrap();
    dispatcher.let_go(handle);
    dispatcher.let_go(handle);
    assert_eq!(dispatcher.registered(), 1, "it says so itself");
    dispatcher.let_go(handle);
    dispatcher.keep_alive(handle, false).unwrap();
    assert_eq!((dispatcher.registered(), info(dispatcher).keeps_alive), (0, false), "and is owed nothing");
    dispatcher.hold(handle).unwrap();
    dispatcher.unregister(handle).unwrap();
    assert_eq!(dispatcher.registered(), 0, "it left with what it held");
    dispatcher.let_go(handle);
    assert!(dispatcher.hold(handle).is_err());
    assert_eq!(dispatcher.registered(), 0);
}

#[test]
fn run_ends_its_sleep_where_the_last_thing_held_is_let_go() {
    let (dispatcher, _, _, handle) = bounded_house(3, Policy::Refuse);
    dispatcher.hold(handle).unwrap();
    dispatcher.keep_alive(handle, false).unwrap();
    let thread = std::thread::spawn(move || dispatcher.let_go(handle));
    while dispatcher.registered() > 0 {
        dispatcher.wait_registered(Duration::MAX);
    }
    thread.join().unwrap();
}
