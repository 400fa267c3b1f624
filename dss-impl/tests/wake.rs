//! Sleeping in `wait`.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::time::Duration;

use common::{Deliver, house, payload, poll};
use dss_impl::dispatcher::Waited;

/// Far longer than a test may take: what sleeps it out fails by the runner's own limit.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_wait_does_not_sleep_where_something_is_queued() {
    let (dispatcher, _, _, handle) = house();
    assert_eq!(dispatcher.wait(Duration::ZERO), Waited::Nothing);
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    dispatcher.deliver_plain(handle, payload(2)).unwrap();
    assert_eq!(dispatcher.wait(LONG), Waited::Queued, "at the intake");
    assert_eq!(poll(dispatcher), Some(1));
    assert_eq!(dispatcher.wait(LONG), Waited::Queued, "at the desk");
    assert_eq!(poll(dispatcher), Some(2));
    assert_eq!(dispatcher.wait(Duration::from_millis(1)), Waited::Nothing);
}

#[test]
fn a_deliver_ends_a_wait() {
    let (dispatcher, _, _, handle) = house();
    let producer = std::thread::spawn(move || {
        for data in 0..1000 {
            dispatcher.deliver_plain(handle, payload(data)).unwrap();
        }
    });
    for data in 0..1000 {
        while dispatcher.wait(LONG) != Waited::Queued {}
        assert_eq!(poll(dispatcher), Some(data));
    }
    producer.join().unwrap();
}

#[test]
fn the_last_unregister_ends_a_wait() {
    let (dispatcher, _, _, handle) = house();
    let leaver = std::thread::spawn(move || dispatcher.unregister(handle).unwrap());
    while dispatcher.registered() > 0 {
        dispatcher.wait_registered(LONG);
    }
    leaver.join().unwrap();
    assert_eq!(dispatcher.wait_registered(LONG), Waited::Nothing, "nobody is left to wait for");
}
