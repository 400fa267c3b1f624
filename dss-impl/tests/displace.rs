//! Bounds: what the later ones do to those before, where the oldest make room or the latest of a key counts.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use common::{
    Call, Deliver, Library, NUMBER, bounded_house, drain, hand_over, info, item, keyed, payload, poll,
    request, sized,
};
use dss_impl::capacity::{Limits, Policy};
use dss_impl::channel::ChannelId;
use dss_impl::delivery::Announced;
use dss_impl::delivery::{DeliverError, Delivery};
use dss_impl::notifier::Notifier;
use dss_impl::outcome::Outcome;

#[test]
fn the_oldest_is_dropped_at_the_intake_and_at_the_desk() {
    for at_the_desk in [false, true] {
        let (dispatcher, _, library, handle) = bounded_house(3, Policy::DropOldest);
        let other = Library::new().register(dispatcher, 2).unwrap();
        if at_the_desk {
            dispatcher.deliver_plain(other, payload(100)).unwrap();
        }
        for data in 0..3 {
            hand_over(dispatcher, handle, item(data)).unwrap();
            dispatcher.deliver_plain(other, payload(101)).unwrap();
        }
        if at_the_desk {
            assert_eq!(poll(dispatcher), Some(100), "which took all of them over");
        }
        for data in 3..5 {
            hand_over(dispatcher, handle, item(data)).unwrap();
            let dropped = data - 3;
            assert_eq!(library.calls(), [Call::CancelQueued(dropped), Call::Finish(dropped)]);
        }
        assert_eq!(dispatcher.queue_size(), 6);
        assert_eq!(drain(dispatcher), [101, 101, 2, 101, 3, 4]);
        let info = info(dispatcher);
        assert_eq!((info.dropped, info.delivered, info.refused, info.high_water), (2, 3, 0, 3));
    }
}

#[test]
fn as_many_are_dropped_as_the_bytes_want() {
    let (dispatcher, _, library, handle) = bounded_house(100, Policy::DropOldest);
    for data in 0..4 {
        hand_over(dispatcher, handle, sized(data, 250)).unwrap();
    }
    assert_eq!(poll(dispatcher), Some(0));
    hand_over(dispatcher, handle, sized(4, 750)).unwrap();
    assert_eq!(
        library.calls(),
        [Call::Finish(0), Call::CancelQueued(1), Call::Finish(1), Call::CancelQueued(2), Call::Finish(2)]
    );
    assert_eq!(info(dispatcher).bytes, 1000);
    assert_eq!(drain(dispatcher), [3, 4]);
}

#[test]
fn what_was_taken_or_ended_is_not_dropped_again() {
    let (dispatcher, _, library, handle) = bounded_house(3, Policy::DropOldest);
    let second = [0, 1, 2].map(|data| hand_over(dispatcher, handle, item(data)).unwrap())[1];
    assert_eq!(poll(dispatcher), Some(0));
    assert!(dispatcher.end(handle, second, Outcome::Withdrawn, true));
    library.calls();
    for data in 3..5 {
        hand_over(dispatcher, handle, item(data)).unwrap();
    }
    assert_eq!(library.calls(), [], "there is room");
    hand_over(dispatcher, handle, item(5)).unwrap();
    assert_eq!(library.calls(), [Call::CancelQueued(2), Call::Finish(2)]);
    assert_eq!(drain(dispatcher), [3, 4, 5]);
}

#[test]
fn who_waits_for_what_is_dropped_is_told_so() {
    let (dispatcher, _, library, handle) = bounded_house(1, Policy::DropOldest);
    hand_over(dispatcher, handle, request(0)).unwrap();
    hand_over(dispatcher, handle, request(1)).unwrap();
    assert_eq!(library.calls(), [Call::CancelQueued(0), Call::Complete(0, Outcome::Dropped)]);
    assert_eq!(info(dispatcher).waiting, 1);
}

#[test]
fn no_room_at_all_is_none_for_the_latest_either() {
    for policy in [Policy::DropOldest, Policy::Latest] {
        let (dispatcher, _, _, handle) = bounded_house(0, policy);
        assert_eq!(hand_over(dispatcher, handle, keyed(0, b"key")), Err(DeliverError::Full));
        let batch = dispatcher.deliver_many(handle, &[item(0), item(1)]);
        assert_eq!((batch.taken, batch.first, batch.refused), (0, 0, Some(DeliverError::Full)));
        assert_eq!(dispatcher.queue_size(), 0);
    }
}

#[test]
fn the_latest_of_a_key_takes_the_place_of_the_one_before() {
    for at_the_desk in [false, true] {
        let (dispatcher, _, library, handle) = bounded_house(4, Policy::Latest);
        if at_the_desk {
            hand_over(dispatcher, handle, item(100)).unwrap();
        }
        hand_over(dispatcher, handle, keyed(0, b"a")).unwrap();
        hand_over(dispatcher, handle, keyed(1, b"b")).unwrap();
        hand_over(dispatcher, handle, item(2)).unwrap();
        if at_the_desk {
            assert_eq!(poll(dispatcher), Some(100), "which took all of them over");
            library.calls();
        }
        hand_over(dispatcher, handle, item(3)).unwrap();
        hand_over(dispatcher, handle, keyed(4, b"a")).unwrap();
        assert_eq!(library.calls(), [Call::CancelQueued(0), Call::Finish(0)], "at the bound");
        assert_eq!(hand_over(dispatcher, handle, keyed(5, b"c")), Err(DeliverError::Full));
        hand_over(dispatcher, handle, keyed(6, b"a")).unwrap();
        assert_eq!(library.calls(), [Call::CancelQueued(4), Call::Finish(4)]);
        assert_eq!(
            drain(dispatcher),
            [6, 1, 2, 3],
            "in the place of the first; others stay, and what has no key"
        );
        library.calls();
        hand_over(dispatcher, handle, keyed(7, b"a")).unwrap();
        assert_eq!(library.calls(), [], "the one before was taken");
        let info = info(dispatcher);
        assert_eq!((info.coalesced, info.refused, info.dropped, info.high_water), (2, 1, 0, 4));
    }
}

#[test]
fn a_key_of_an_ended_item_names_nothing() {
    let (dispatcher, _, library, handle) = bounded_house(1, Policy::Latest);
    let first = hand_over(dispatcher, handle, keyed(0, b"a")).unwrap();
    assert!(dispatcher.end(handle, first, Outcome::Withdrawn, true));
    library.calls();
    hand_over(dispatcher, handle, keyed(1, b"a")).unwrap();
    assert_eq!(library.calls(), []);
    assert_eq!(info(dispatcher).coalesced, 0);
}

#[test]
fn one_that_is_too_large_for_the_place_leaves_the_one_before() {
    let (dispatcher, _, library, handle) = bounded_house(10, Policy::Latest);
    hand_over(dispatcher, handle, sized(0, 500)).unwrap();
    let large = |data, bytes| Delivery { bytes, ..keyed(data, b"a") };
    hand_over(dispatcher, handle, large(1, 400)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, large(2, 501)), Err(DeliverError::Full));
    assert_eq!(library.calls(), [], "it was refused, and the one before is not lost for it");
    hand_over(dispatcher, handle, large(3, 500)).unwrap();
    assert_eq!(info(dispatcher).bytes, 1000);
    assert_eq!(drain(dispatcher), [0, 3]);
}

#[test]
fn coalescing_goes_on_where_the_bound_was_lowered() {
    let (dispatcher, _, _, handle) = bounded_house(10, Policy::Latest);
    for (data, key) in [b"a", b"b", b"c"].into_iter().enumerate() {
        hand_over(dispatcher, handle, keyed(data, key)).unwrap();
    }
    dispatcher
        .limit(handle, NUMBER, ChannelId::FIRST, Limits { items: 1, bytes: 1, policy: Policy::Latest })
        .unwrap();
    hand_over(dispatcher, handle, keyed(3, b"a")).unwrap();
    assert_eq!(hand_over(dispatcher, handle, keyed(4, b"d")), Err(DeliverError::Full));
    assert_eq!(drain(dispatcher), [3, 1, 2]);
}

/// A key that is delivered again and again is not put off again and again.
#[test]
fn the_latest_is_as_old_as_the_first_of_its_key() {
    let (dispatcher, _, _, handle) = bounded_house(100, Policy::Latest);
    let mut seen = Vec::new();
    for round in 0..20 {
        for other in 0..4 {
            hand_over(dispatcher, handle, item(1000 + 4 * round + other)).unwrap();
        }
        hand_over(dispatcher, handle, keyed(round, b"a")).unwrap();
        // A Lua that takes fewer than come.
        seen.extend((0..3).filter_map(|_| poll(dispatcher)).filter(|data| *data < 1000));
    }
    assert!(seen.len() >= 4, "{seen:?}");
    assert!(seen.is_sorted(), "{seen:?}");
}

/// Each of a key has a ticket of its own, though it has the place of the one before.
#[test]
fn the_ticket_of_what_was_replaced_names_nothing() {
    for at_the_desk in [false, true] {
        let (dispatcher, _, library, handle) = bounded_house(10, Policy::Latest);
        let end = |number| dispatcher.end(handle, number, Outcome::Withdrawn, true);
        hand_over(dispatcher, handle, item(9)).unwrap();
        let numbers = [0, 1, 2].map(|data| hand_over(dispatcher, handle, keyed(data, b"a")).unwrap());
        let other = hand_over(dispatcher, handle, keyed(5, b"b")).unwrap();
        if at_the_desk {
            assert_eq!(poll(dispatcher), Some(9));
        }
        library.calls();
        assert_eq!((end(numbers[0]), end(numbers[1])), (false, false));
        assert_eq!(library.calls(), []);
        assert!(end(numbers[2]));
        assert_eq!(library.calls(), [Call::CancelQueued(2), Call::Finish(2)]);
        assert!(!end(numbers[2]), "once");
        // The place is nobody's: the next of the key is at the end.
        let fresh = hand_over(dispatcher, handle, keyed(3, b"a")).unwrap();
        let again = hand_over(dispatcher, handle, keyed(4, b"a")).unwrap();
        dispatcher
            .limit(handle, NUMBER, ChannelId::FIRST, Limits { items: 9, bytes: 100, policy: Policy::Refuse })
            .unwrap();
        assert!(!end(fresh), "under another policy, too");
        let rest = drain(dispatcher);
        assert_eq!(rest[rest.len() - 2..], [5, 4]);
        assert_eq!((end(other), end(again)), (false, false), "taken");
        assert_eq!((info(dispatcher).coalesced, info(dispatcher).bytes), (3, 0));
    }
}

/// What is remembered of keys and tickets does not grow with what was delivered.
#[test]
fn many_of_one_key_leave_nothing_behind() {
    let (dispatcher, _, library, handle) = bounded_house(10, Policy::Latest);
    let first = hand_over(dispatcher, handle, keyed(0, b"a")).unwrap();
    let mut last = first;
    for data in 1..100_000 {
        last = hand_over(dispatcher, handle, keyed(data, b"a")).unwrap();
        if data % 1000 == 0 {
            assert_eq!(poll(dispatcher), Some(data));
        }
        if data % 100 == 0 {
            library.calls();
        }
    }
    assert!(last > first + 99_000);
    assert!(dispatcher.end(handle, last, Outcome::Withdrawn, true));
    assert_eq!(info(dispatcher).queued, 0);
}

/// A notifier that fails when it is told to, and counts what it sent.
#[derive(Default)]
struct Wavering {
    fails: AtomicBool,
    sent: AtomicUsize,
}

impl Notifier for Wavering {
    fn notify(&self, _: usize) -> io::Result<()> {
        if self.fails.load(SeqCst) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.sent.fetch_add(1, SeqCst);
        Ok(())
    }
}

/// What lies unannounced, for the notification failed, is announced by the next of its key, though that adds no item.
#[test]
fn what_takes_a_place_announces_it_where_nothing_is_outstanding() {
    let (dispatcher, _, _, handle) = bounded_house(10, Policy::Latest);
    let notifier = Arc::new(Wavering::default());
    dispatcher.set_notifier(Some(Box::new(Arc::clone(&notifier)))).unwrap();
    hand_over(dispatcher, handle, item(9)).unwrap();
    hand_over(dispatcher, handle, keyed(0, b"a")).unwrap();
    assert_eq!(notifier.sent.load(SeqCst), 1);
    notifier.fails.store(true, SeqCst);
    assert_eq!(poll(dispatcher), Some(9), "and the other lies at the desk, unannounced");
    notifier.fails.store(false, SeqCst);
    let accepted = dispatcher.hand_over(handle, keyed(1, b"a")).unwrap();
    assert_eq!((accepted.announced, notifier.sent.load(SeqCst)), (Announced::Yes, 2));
    assert_eq!(drain(dispatcher), [1]);
}
