//! Sleeping in `wait`.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::time::Duration;

use common::{Deliver, house, payload, poll};
use dss_impl::dispatcher::{Dispatcher, Waited};

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

/// A thousand items arrive, one after the other, in a program that sleeps by `wait` while there is none.
fn assert_that_a_deliver_ends(wait: impl Fn(&Dispatcher) -> Waited) {
    let (dispatcher, _, _, handle) = house();
    let producer = std::thread::spawn(move || {
        for data in 0..1000 {
            dispatcher.deliver_plain(handle, payload(data)).unwrap();
        }
    });
    for data in 0..1000 {
        while wait(dispatcher) != Waited::Queued {}
        assert_eq!(poll(dispatcher), Some(data));
    }
    producer.join().unwrap();
}

/// The last library leaves while the program sleeps for it by `wait`.
fn assert_that_the_last_unregister_ends(wait: impl Fn(&Dispatcher) -> Waited) {
    let (dispatcher, _, _, handle) = house();
    let leaver = std::thread::spawn(move || dispatcher.unregister(handle).unwrap());
    while dispatcher.registered() > 0 {
        wait(dispatcher);
    }
    leaver.join().unwrap();
    assert_eq!(wait(dispatcher), Waited::Nothing, "nobody is left to wait for");
}

#[test]
fn a_deliver_ends_a_wait() {
    assert_that_a_deliver_ends(|dispatcher| dispatcher.wait(LONG));
}

#[test]
fn the_last_unregister_ends_a_wait() {
    assert_that_the_last_unregister_ends(|dispatcher| dispatcher.wait_registered(LONG));
}

#[cfg(unix)]
mod with_descriptors {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use dss_impl::pair::{Found, Other};

    use super::*;

    fn wait(dispatcher: &Dispatcher, others: &mut [Other], for_a_library: bool) -> Waited {
        unsafe { dispatcher.wait_on(others, LONG, for_a_library) }.unwrap()
    }

    #[test]
    fn a_deliver_ends_a_wait() {
        assert_that_a_deliver_ends(|dispatcher| wait(dispatcher, &mut [], false));
    }

    #[test]
    fn the_last_unregister_ends_a_wait() {
        assert_that_the_last_unregister_ends(|dispatcher| wait(dispatcher, &mut [], true));
    }

    #[test]
    fn a_descriptor_of_the_program_ends_a_wait() {
        let (dispatcher, _, _, handle) = house();
        let (reader, mut writer) = UnixStream::pair().unwrap();
        let mut others = [Other { number: reader.as_raw_fd(), found: Found::Nothing }];
        std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(b"x").unwrap());
            while others[0].found == Found::Nothing {
                assert_eq!(wait(dispatcher, &mut others, false), Waited::Nothing);
            }
        });
        assert_eq!(others[0].found, Found::Ready);
        // Both are told of.
        dispatcher.deliver_plain(handle, payload(1)).unwrap();
        others[0].found = Found::Nothing;
        assert_eq!(wait(dispatcher, &mut others, false), Waited::Queued);
        assert_eq!(others[0].found, Found::Ready);
        assert_eq!(poll(dispatcher), Some(1));
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_told_of() {
        let (dispatcher, ..) = house();
        let mut others = [Other { number: 1_000_000, found: Found::Nothing }];
        assert_eq!(wait(dispatcher, &mut others, false), Waited::Nothing);
        assert_eq!(others[0].found, Found::Closed);
    }
}
