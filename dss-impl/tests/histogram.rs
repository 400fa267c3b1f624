//! How long deliveries wait.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use common::{bounded_house, hand_over, item, poll};
use dss_impl::capacity::Policy;
use dss_impl::clock::{self, Stamp};
use dss_impl::delivery::Delivery;
use dss_impl::histogram::{BUCKETS, Histogram};

/// The bucket that `nanoseconds` alone comes into.
fn bucket(nanoseconds: u64) -> usize {
    let mut histogram = Histogram::default();
    histogram.add(nanoseconds);
    assert_eq!((histogram.count(), histogram.sum()), (1, nanoseconds));
    histogram.counts().iter().position(|count| *count == 1).unwrap()
}

#[test]
fn a_bucket_holds_what_is_up_to_its_upper_end() {
    assert_eq!(bucket(0), 0);
    assert_eq!(Histogram::upper(0), Some(1000));
    for at in 0..BUCKETS - 1 {
        let upper = Histogram::upper(at).unwrap();
        assert_eq!(upper, 1000 << at, "each is twice the one before");
        assert_eq!(bucket(upper), at);
        assert_eq!(bucket(upper + 1), at + 1);
    }
    assert_eq!(Histogram::upper(BUCKETS - 1), None);
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
}

#[test]
fn a_sum_that_is_too_large_stays_at_the_largest() {
    let mut histogram = Histogram::default();
    histogram.add(u64::MAX);
    histogram.add(5);
    assert_eq!((histogram.count(), histogram.sum()), (2, u64::MAX));
}

#[test]
fn the_clock_is_never_at_0_and_does_not_go_back() {
    let mut last = 0;
    for _ in 0..1000 {
        let now = clock::now();
        assert!(now > 0 && now >= last);
        last = now;
    }
}

/// An item that was delivered at that time.
fn stamped(data: usize, at: u64) -> Delivery<'static> {
    Delivery { stamp: Stamp::at(at), ..item(data) }
}

#[test]
fn what_is_taken_is_counted_where_its_time_is_noted() {
    let (dispatcher, _, library, handle) = bounded_house(10, Policy::Refuse);
    let waits = || dispatcher.libraries().unwrap()[0].waits.clone();
    assert_eq!(waits(), Some(Histogram::default()));
    hand_over(dispatcher, handle, stamped(0, clock::now() & !1)).unwrap();
    hand_over(dispatcher, handle, item(1)).unwrap();
    assert_eq!(waits().unwrap().count(), 0, "queued still");
    poll(dispatcher);
    assert_eq!(waits().unwrap().count(), 1);
    poll(dispatcher);
    assert_eq!(waits().unwrap().count(), 1, "the second has no time");
    // A time that is to come is none that was waited.
    hand_over(dispatcher, handle, stamped(2, (u64::MAX >> 1) & !1)).unwrap();
    let sum = waits().unwrap().sum();
    poll(dispatcher);
    assert_eq!((waits().unwrap().count(), waits().unwrap().sum()), (2, sum));
    // It goes on where the library comes back.
    dispatcher.unregister(handle).unwrap();
    library.register_bounded(dispatcher, 1, dss_impl::capacity::Limits::default());
    assert_eq!(waits().unwrap().count(), 2);
}

#[test]
fn where_many_are_queued_one_in_eight_stands_for_all() {
    let stands_for = |count, queued| Stamp::take(count, queued).age().map(|(_, stands_for)| stands_for);
    assert!((0..100).all(|count| stands_for(count, 63) == Some(1)));
    let sum: u64 = (0..800).filter_map(|count| stands_for(count, 64)).sum();
    assert_eq!(sum, 800);
    assert_eq!((0..800).filter(|count| stands_for(*count, 64).is_some()).count(), 100);
    assert_eq!(Stamp::NONE.age(), None);
    let mut histogram = Histogram::default();
    histogram.add_many(1500, 8);
    assert_eq!((histogram.count(), histogram.sum(), histogram.counts()[1]), (8, 12_000, 8));
}

#[test]
fn a_revision_that_notes_no_time_has_no_histogram() {
    let (dispatcher, _, _, _) = common::house();
    assert_eq!(dispatcher.libraries().unwrap()[0].waits, None);
}
