//! Channels: each has limits and a policy of its own, and the queue is one.

#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::time::Duration;

use common::{Call, Library, NUMBER, Numbers, bounded_house, drain, hand_over, info, item, poll, request};
use dss_impl::capacity::{Limits, Policy};
use dss_impl::channel::{ChannelId, MOST_CHANNELS};
use dss_impl::delivery::{DeliverError, Delivery};
use dss_impl::dispatcher::Dispatcher;
use dss_impl::handle::Handle;
use dss_impl::outcome::Outcome;

fn limits(items: usize, policy: Policy) -> Limits {
    Limits { items, bytes: 1000, policy }
}

fn open(dispatcher: &Dispatcher, handle: Handle, items: usize, policy: Policy) -> ChannelId {
    dispatcher.open_channel(handle, NUMBER, "channel", limits(items, policy)).unwrap()
}

/// An item in that channel.
fn within(channel: ChannelId, data: usize) -> Delivery<'static> {
    Delivery { channel, ..item(data) }
}

fn keyed(channel: ChannelId, data: usize, key: &[u8]) -> Delivery<'_> {
    Delivery { channel, key, ..item(data) }
}

#[test]
fn the_number_of_a_closed_channel_is_not_given_again() {
    let (dispatcher, _, _, handle) = bounded_house(2, Policy::Refuse);
    let first = open(dispatcher, handle, 1, Policy::Refuse);
    dispatcher.close_channel(handle, first).unwrap();
    // More than 16 bits can tell apart.
    for _ in 0..70_000 {
        let channel = open(dispatcher, handle, 1, Policy::Refuse);
        assert_ne!(channel.to_raw(), first.to_raw());
        assert_eq!(ChannelId::from_raw(channel.to_raw()), channel);
        dispatcher.close_channel(handle, channel).unwrap();
    }
    assert_eq!(dispatcher.close_channel(handle, first), Err(DeliverError::InvalidChannel));
}

#[test]
fn a_channel_that_is_full_leaves_the_others_their_room() {
    let (dispatcher, _, _, handle) = bounded_house(2, Policy::Refuse);
    let noisy = open(dispatcher, handle, 3, Policy::Refuse);
    let quiet = open(dispatcher, handle, 1, Policy::Refuse);
    for data in 0..3 {
        hand_over(dispatcher, handle, within(noisy, data)).unwrap();
    }
    assert_eq!(hand_over(dispatcher, handle, within(noisy, 9)), Err(DeliverError::Full));
    hand_over(dispatcher, handle, item(3)).unwrap();
    hand_over(dispatcher, handle, within(quiet, 4)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, within(quiet, 9)), Err(DeliverError::Full));
    hand_over(dispatcher, handle, item(5)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, item(9)), Err(DeliverError::Full));
    let shown = info(dispatcher);
    assert_eq!((shown.queued, shown.bytes, shown.refused), (6, 6, 3));
    let each: Vec<_> =
        shown.channels.iter().map(|it| (it.queued, it.bytes, it.high_water, it.refused)).collect();
    assert_eq!(each, [(3, 3, 3, 1), (1, 1, 1, 1)]);
    // One queue: first in, first out.
    assert_eq!(drain(dispatcher), [0, 1, 2, 3, 4, 5]);
    assert_eq!(info(dispatcher).queued, 0);
    hand_over(dispatcher, handle, within(quiet, 6)).unwrap();
}

#[test]
fn a_policy_governs_its_own_channel_alone() {
    let (dispatcher, _, library, handle) = bounded_house(10, Policy::Refuse);
    let progress = open(dispatcher, handle, 10, Policy::Latest);
    let lossy = open(dispatcher, handle, 2, Policy::DropOldest);
    hand_over(dispatcher, handle, keyed(progress, 0, b"file")).unwrap();
    hand_over(dispatcher, handle, keyed(ChannelId::FIRST, 1, b"file")).unwrap();
    for data in 2..5 {
        hand_over(dispatcher, handle, within(lossy, data)).unwrap();
    }
    hand_over(dispatcher, handle, keyed(progress, 5, b"file")).unwrap();
    // The final one is not replaced, whatever its key.
    hand_over(dispatcher, handle, keyed(ChannelId::FIRST, 6, b"file")).unwrap();
    assert_eq!(library.calls(), [2, 0].map(|data| [Call::CancelQueued(data), Call::Finish(data)]).concat());
    let shown = info(dispatcher);
    assert_eq!((shown.dropped, shown.coalesced), (1, 1));
    let each: Vec<_> = shown.channels.iter().map(|it| (it.dropped, it.coalesced)).collect();
    assert_eq!(each, [(0, 1), (1, 0)]);
    assert_eq!(drain(dispatcher), [5, 1, 3, 4, 6]);
}

#[test]
fn closing_a_channel_cancels_what_it_has_and_its_name_is_dead() {
    let (dispatcher, _, library, handle) = bounded_house(10, Policy::Refuse);
    let first = open(dispatcher, handle, 10, Policy::Refuse);
    let second = open(dispatcher, handle, 10, Policy::Latest);
    hand_over(dispatcher, handle, within(first, 0)).unwrap();
    hand_over(dispatcher, handle, item(1)).unwrap();
    hand_over(dispatcher, handle, Delivery { channel: first, ..request(2) }).unwrap();
    hand_over(dispatcher, handle, within(second, 3)).unwrap();
    dispatcher.close_channel(handle, first).unwrap();
    assert_eq!(
        library.calls(),
        [
            Call::CancelQueued(0),
            Call::Finish(0),
            Call::CancelQueued(2),
            Call::Complete(2, Outcome::Cancelled)
        ]
    );
    let shown = info(dispatcher);
    assert_eq!((shown.queued, shown.waiting, shown.cancelled, shown.channels.len()), (2, 0, 2, 1));
    let invalid = Err(DeliverError::InvalidChannel);
    assert_eq!(hand_over(dispatcher, handle, within(first, 4)), invalid);
    assert_eq!(dispatcher.close_channel(handle, first), Err(DeliverError::InvalidChannel));
    assert_eq!(dispatcher.close_channel(handle, ChannelId::FIRST), Err(DeliverError::InvalidChannel));
    assert_eq!(dispatcher.limit(handle, NUMBER, first, Limits::default()), Err(DeliverError::InvalidChannel));
    // Its number is not handed out again.
    let third = open(dispatcher, handle, 1, Policy::Refuse);
    assert_ne!(third, first);
    assert_eq!(ChannelId::from_raw(third.to_raw()), third);
    assert_eq!(hand_over(dispatcher, handle, within(first, 4)), invalid);
    hand_over(dispatcher, handle, within(third, 5)).unwrap();
    assert_eq!(drain(dispatcher), [1, 3, 5]);
}

#[test]
fn a_number_that_is_made_up_names_no_channel() {
    let (dispatcher, _, _, handle) = bounded_house(1000, Policy::Refuse);
    let open = open(dispatcher, handle, 1000, Policy::Refuse);
    let mut numbers = Numbers(7);
    for _ in 0..1000 {
        let channel = ChannelId::from_raw(numbers.next() as u32);
        if channel != open && channel != ChannelId::FIRST {
            assert_eq!(hand_over(dispatcher, handle, within(channel, 0)), Err(DeliverError::InvalidChannel));
        }
    }
    assert_eq!(info(dispatcher).refused, 1000);
}

#[test]
fn a_producer_waits_for_room_in_its_own_channel() {
    let (dispatcher, _, _, handle) = bounded_house(10, Policy::Refuse);
    let patient = open(dispatcher, handle, 1, Policy::Wait(Duration::from_secs(60)));
    hand_over(dispatcher, handle, within(patient, 0)).unwrap();
    let waiting = std::thread::spawn(move || hand_over(dispatcher, handle, within(patient, 1)));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!waiting.is_finished());
    assert_eq!(poll(dispatcher), Some(0));
    waiting.join().unwrap().unwrap();
    assert_eq!(poll(dispatcher), Some(1));
    // One whose channel is closed meanwhile goes on, too.
    hand_over(dispatcher, handle, within(patient, 2)).unwrap();
    let waiting = std::thread::spawn(move || hand_over(dispatcher, handle, within(patient, 3)));
    std::thread::sleep(Duration::from_millis(20));
    dispatcher.close_channel(handle, patient).unwrap();
    assert_eq!(waiting.join().unwrap(), Err(DeliverError::InvalidChannel));
    assert_eq!(drain(dispatcher), []);
}

#[test]
fn a_library_that_comes_back_has_the_first_channel_alone() {
    let (dispatcher, epoch, library, handle) = bounded_house(1, Policy::Refuse);
    let old = open(dispatcher, handle, 1, Policy::Refuse);
    hand_over(dispatcher, handle, within(old, 0)).unwrap();
    dispatcher.unregister(handle).unwrap();
    library.calls();
    let fresh = library.register_bounded(dispatcher, 1, limits(1, Policy::Refuse));
    assert_eq!(info(dispatcher).channels.len(), 0);
    assert_eq!(hand_over(dispatcher, fresh, within(old, 1)), Err(DeliverError::InvalidChannel));
    let new = open(dispatcher, fresh, 1, Policy::Refuse);
    assert_ne!(new, old);
    assert_eq!(hand_over(dispatcher, fresh, within(old, 1)), Err(DeliverError::InvalidChannel));
    hand_over(dispatcher, fresh, within(new, 2)).unwrap();
    assert_eq!(info(dispatcher).channels[0].queued, 1);
    unsafe { dispatcher.close(epoch) };
    assert_eq!(library.calls()[..2], [Call::CancelQueued(2), Call::Finish(2)]);
}

#[test]
fn what_a_closed_channel_counted_is_counted_once() {
    let (dispatcher, _, library, handle) = bounded_house(2, Policy::Refuse);
    let mut dropped = 0;
    for _ in 0..3 {
        let lossy = open(dispatcher, handle, 5, Policy::DropOldest);
        for data in 0..6 {
            hand_over(dispatcher, handle, within(lossy, data)).unwrap();
        }
        dropped += 1;
        assert_eq!(info(dispatcher).dropped, dropped);
        dispatcher.close_channel(handle, lossy).unwrap();
        assert_eq!((info(dispatcher).dropped, info(dispatcher).high_water), (dropped, 0));
    }
    dispatcher.unregister(handle).unwrap();
    library.register_bounded(dispatcher, 1, limits(2, Policy::Refuse));
    assert_eq!((info(dispatcher).dropped, info(dispatcher).high_water), (dropped, 0));
}

#[test]
fn each_channel_of_a_batch_counts_its_own_refusals() {
    let (dispatcher, _, _, handle) = bounded_house(2, Policy::Refuse);
    let (one, other) =
        (open(dispatcher, handle, 1, Policy::Refuse), open(dispatcher, handle, 9, Policy::Refuse));
    let batch = [within(one, 0), within(one, 1), within(other, 2), within(other, 3)];
    assert_eq!(dispatcher.deliver_many(handle, &batch).taken, 1);
    let shown = info(dispatcher);
    assert_eq!((shown.channels[0].refused, shown.channels[1].refused, shown.refused), (1, 2, 3));
}

#[test]
fn there_are_so_many_channels_and_no_more() {
    let (dispatcher, _, _, handle) = bounded_house(1, Policy::Refuse);
    let all: Vec<_> = (0..MOST_CHANNELS).map(|_| open(dispatcher, handle, 1, Policy::Refuse)).collect();
    let more = dispatcher.open_channel(handle, NUMBER, "more", limits(1, Policy::Refuse));
    assert_eq!(more, Err(DeliverError::Full));
    dispatcher.close_channel(handle, all[17]).unwrap();
    assert_ne!(open(dispatcher, handle, 1, Policy::Refuse), all[17]);
}

/// What each channel counts is what a simple model counts, whatever happens to the library.
#[test]
fn the_counts_of_channels_are_those_of_a_simple_model() {
    let (dispatcher, _) = common::open();
    let handle = Library::new().register_bounded(dispatcher, 1, limits(6, Policy::Refuse));
    let policies = [Policy::Refuse, Policy::DropOldest, Policy::Latest];
    let mut channels = vec![(ChannelId::FIRST, Policy::Refuse)];
    channels.extend(policies.map(|policy| (open(dispatcher, handle, 6, policy), policy)));
    // The channel, the key and the data of each that is queued.
    let mut queued: Vec<(usize, usize, usize)> = Vec::new();
    let mut numbers = Numbers(42);
    let mut ticket = Vec::new();
    for data in 0..20_000 {
        let (at, key) = ((numbers.next() % 4) as usize, (numbers.next() % 3) as usize);
        match numbers.next() % 8 {
            0..6 => {
                let (channel, policy) = channels[at];
                let name = [key as u8];
                let given = keyed(channel, data, if key == 0 { &[] } else { &name });
                let mine = queued.iter().filter(|it| it.0 == at).count();
                let same = queued.iter().position(|it| it.0 == at && it.1 == key && key != 0);
                let result = hand_over(dispatcher, handle, given);
                match (policy, same) {
                    (Policy::Latest, Some(same)) => queued[same].2 = data,
                    (Policy::DropOldest, _) if mine == 6 => {
                        let oldest = queued.iter().position(|it| it.0 == at).unwrap();
                        queued.remove(oldest);
                        queued.push((at, key, data));
                    }
                    _ if mine == 6 => assert_eq!(result, Err(DeliverError::Full)),
                    _ => queued.push((at, key, data)),
                }
                if let Ok(number) = result {
                    ticket.push((number, data));
                }
            }
            6 => {
                let taken = (!queued.is_empty()).then(|| queued.remove(0).2);
                assert_eq!(poll(dispatcher), taken);
            }
            _ => {
                let Some((number, data)) = ticket.pop() else { continue };
                let there = queued.iter().position(|it| it.2 == data);
                assert_eq!(dispatcher.end(handle, number, Outcome::Withdrawn, false), there.is_some());
                there.map(|at| queued.remove(at));
            }
        }
        let shown = info(dispatcher);
        let counted = |at: usize| queued.iter().filter(|it| it.0 == at).count();
        assert_eq!(shown.queued, queued.len());
        for at in 1..4 {
            assert_eq!(
                (shown.channels[at - 1].queued, shown.channels[at - 1].bytes),
                (counted(at), counted(at))
            );
        }
    }
    let left: Vec<_> = queued.iter().map(|it| it.2).collect();
    assert_eq!(drain(dispatcher), left);
}
