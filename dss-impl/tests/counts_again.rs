//! A library that registers again while calls of its earlier registration still run: its counts go on.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::sync::mpsc;

use common::{Call, Deliver, house, info, item, open, payload, poll};
use dss_impl::capacity::{Limits, Policy};
use dss_impl::dispatcher::DecodeEnd;

/// Lua's next item, which is being decoded.
macro_rules! take {
    ($dispatcher:expr) => {
        unsafe { $dispatcher.take_one() }.unwrap().expect("an item is queued")
    };
}

#[test]
fn it_leaves_in_its_own_decode_and_comes_back_there() {
    let (dispatcher, _, library, mut handle) = house();
    let mut decoding = Vec::new();
    for round in 0..3 {
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        dispatcher.deliver_plain(handle, payload(1)).unwrap();
        dispatcher.deliver_plain(handle, payload(2)).unwrap();
        assert_eq!(poll(dispatcher), Some(0));
        decoding.push(take!(dispatcher));
        // One is left in the queue.
        dispatcher.unregister(handle).unwrap();
        handle = library.register(dispatcher, 1).unwrap();
        let info = info(dispatcher);
        assert_eq!((info.delivered, info.cancelled), (round + 1, round + 1));
    }
    // The decodes of all three registrations end, from the last on.
    for (ended, taken) in (1..).zip(decoding.drain(..).rev()) {
        dispatcher.decoded(&taken, DecodeEnd::Over);
        assert_eq!(info(dispatcher).delivered, 3 + ended);
    }
    // Its counts are in one slot again.
    dispatcher.unregister(handle).unwrap();
    library.register(dispatcher, 1).unwrap();
    assert_eq!((info(dispatcher).delivered, info(dispatcher).cancelled), (6, 3));
}

#[test]
fn it_is_away_when_the_last_call_of_an_earlier_registration_ends() {
    let (dispatcher, _, library, first) = house();
    dispatcher.deliver_plain(first, payload(1)).unwrap();
    let taken = take!(dispatcher);
    dispatcher.unregister(first).unwrap();
    let second = library.register(dispatcher, 1).unwrap();
    dispatcher.deliver_plain(second, payload(2)).unwrap();
    assert_eq!(poll(dispatcher), Some(2));
    dispatcher.unregister(second).unwrap();
    dispatcher.decoded(&taken, DecodeEnd::Over);
    // Another library takes no slot of its.
    library.register(dispatcher, 2).unwrap();
    assert_eq!(info(dispatcher).delivered, 0);
    library.register(dispatcher, 1).unwrap();
    assert_eq!(dispatcher.libraries().unwrap()[1].delivered, 2);
}

#[test]
fn it_comes_back_while_another_thread_still_unregisters_it() {
    let (dispatcher, _) = open();
    let library = common::Library::new();
    let limits = Limits { items: 10, bytes: 1000, policy: Policy::DropOldest };
    let handle = library.register_bounded(dispatcher, 1, limits);
    for data in 0..12 {
        dispatcher.hand_over(handle, item(data)).unwrap();
    }
    assert_eq!(poll(dispatcher), Some(2));
    let (inside, is_inside) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    library.on_call(move |call, _| {
        if call == Call::CancelQueued(3) {
            inside.send(()).unwrap();
            gone.lock().unwrap().recv().unwrap();
        }
    });
    let leaving = std::thread::spawn(move || dispatcher.unregister(handle).unwrap());
    is_inside.recv().unwrap();
    assert!(dispatcher.libraries().unwrap().is_empty());
    let again = library.register_bounded(dispatcher, 1, limits);
    let counted = || {
        let info = info(dispatcher);
        let waits = info.waits.expect("it is bounded, so its revision notes times").count();
        (info.delivered, info.cancelled, info.dropped, info.high_water, waits)
    };
    let before = counted();
    assert_eq!((before.0, before.1, before.2, before.3), (1, 9, 2, 10));
    go.send(()).unwrap();
    leaving.join().unwrap();
    assert_eq!(counted(), before);
    dispatcher.hand_over(again, item(20)).unwrap();
    assert_eq!(poll(dispatcher), Some(20));
    assert_eq!(counted().0, 2);
}
