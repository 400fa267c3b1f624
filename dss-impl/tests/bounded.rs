//! Bounds: what does not fit is refused, or waits for room.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use common::{
    Call, Deliver, Library, NUMBER, bounded_house, drain, hand_over, info, item, payload, poll, request,
    sized,
};
use dss_impl::capacity::{DEFAULT_BYTES, DEFAULT_ITEMS, Limits, Policy};
use dss_impl::channel::ChannelId;
use dss_impl::delivery::{DeliverError, Delivery};
use dss_impl::dispatcher::Dispatcher;
use dss_impl::handle::Handle;
use dss_impl::outcome::Outcome;

/// Far longer than a test may take: what sleeps it out fails by the runner's own limit.
const FOREVER: Policy = Policy::Wait(Duration::MAX);

/// A thread that hands over `data` and is most likely asleep by now for want of room.
fn sleeper(
    dispatcher: &'static Dispatcher,
    handle: Handle,
    delivery: Delivery<'static>,
) -> JoinHandle<Result<u64, DeliverError>> {
    let thread = std::thread::spawn(move || hand_over(dispatcher, handle, delivery));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!thread.is_finished(), "there is no room");
    thread
}

#[test]
fn a_library_that_says_nothing_has_the_default_bounds() {
    let limits = Limits::default();
    assert_eq!((limits.items, limits.bytes, limits.policy), (65_536, DEFAULT_BYTES, Policy::Refuse));
    assert_eq!(DEFAULT_ITEMS, limits.items);
}

#[test]
fn what_does_not_fit_is_refused_and_not_touched() {
    for policy in [Policy::Refuse, Policy::Latest] {
        let (dispatcher, _, library, handle) = bounded_house(3, policy);
        for data in 0..3 {
            assert_eq!(hand_over(dispatcher, handle, item(data)), Ok(data as u64 + 1));
        }
        assert_eq!(hand_over(dispatcher, handle, item(3)), Err(DeliverError::Full));
        assert_eq!(hand_over(dispatcher, handle, request(4)), Err(DeliverError::Full));
        assert_eq!(library.calls(), []);
        assert_eq!(dispatcher.queue_size(), 3);
        assert_eq!(poll(dispatcher), Some(0));
        assert_eq!(hand_over(dispatcher, handle, item(5)), Ok(4), "one left, one fits");
        assert_eq!(hand_over(dispatcher, handle, item(6)), Err(DeliverError::Full));
        assert_eq!(drain(dispatcher), [1, 2, 5]);
        let info = info(dispatcher);
        assert_eq!((info.refused, info.delivered, info.high_water, info.bytes), (3, 4, 3, 0));
    }
}

#[test]
fn the_bound_in_bytes_holds() {
    let (dispatcher, _, _, handle) = bounded_house(100, Policy::Refuse);
    hand_over(dispatcher, handle, sized(0, 600)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, sized(1, 401)), Err(DeliverError::Full));
    hand_over(dispatcher, handle, sized(2, 400)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, sized(3, 1)), Err(DeliverError::Full));
    hand_over(dispatcher, handle, sized(4, 0)).unwrap();
    assert_eq!(info(dispatcher).bytes, 1000);
    assert_eq!(poll(dispatcher), Some(0));
    assert_eq!(info(dispatcher).bytes, 400);
    hand_over(dispatcher, handle, sized(5, 600)).unwrap();
    assert_eq!(drain(dispatcher), [2, 4, 5]);
}

#[test]
fn what_can_never_fit_is_too_large_whatever_the_policy() {
    for policy in [Policy::Refuse, FOREVER, Policy::DropOldest, Policy::Latest] {
        let (dispatcher, _, library, handle) = bounded_house(2, policy);
        hand_over(dispatcher, handle, item(0)).unwrap();
        assert_eq!(hand_over(dispatcher, handle, sized(1, 1001)), Err(DeliverError::TooLarge));
        assert_eq!(library.calls(), [], "nothing makes room in vain");
        assert_eq!(info(dispatcher).refused, 1);
        assert_eq!(drain(dispatcher), [0]);
    }
}

#[test]
fn libraries_do_not_feel_each_others_bounds() {
    let (dispatcher, _, _, handle) = bounded_house(1, Policy::Refuse);
    let other = Library::new();
    let second =
        other.register_bounded(dispatcher, 2, Limits { items: 1, bytes: 10, policy: Policy::DropOldest });
    let third = Library::new().register(dispatcher, 3).unwrap();
    hand_over(dispatcher, handle, item(0)).unwrap();
    hand_over(dispatcher, second, item(1)).unwrap();
    dispatcher.deliver_plain(third, payload(2)).unwrap();
    hand_over(dispatcher, second, item(3)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, item(4)), Err(DeliverError::Full));
    assert_eq!(drain(dispatcher), [0, 2, 3]);
}

#[test]
fn a_library_without_limits_has_room_for_all_until_it_gets_some() {
    let (dispatcher, _, _, handle) = common::house();
    // Together they are as many as 32 bits can count.
    for data in 0..3 {
        hand_over(dispatcher, handle, sized(data, u32::MAX / 3)).unwrap();
    }
    let shown = info(dispatcher);
    assert_eq!((shown.limits, shown.queued, shown.bytes), (None, 3, 0));
    let limits = Limits { items: 3, ..Limits::default() };
    dispatcher.limit(handle, NUMBER, ChannelId::FIRST, limits).unwrap();
    assert_eq!((info(dispatcher).limits, info(dispatcher).bytes), (Some(limits), u32::MAX as usize));
    // What is queued counts.
    assert_eq!(hand_over(dispatcher, handle, item(3)), Err(DeliverError::Full));
    assert_eq!(drain(dispatcher), [0, 1, 2]);
    hand_over(dispatcher, handle, item(4)).unwrap();
    assert_eq!((info(dispatcher).queued, info(dispatcher).bytes), (1, 1));
}

#[test]
fn a_handle_that_is_too_old_is_refused() {
    let (dispatcher, epoch, library, handle) = bounded_house(1, Policy::DropOldest);
    dispatcher.unregister(handle).unwrap();
    let fresh = library.register_bounded(dispatcher, 1, Limits::default());
    let invalid = DeliverError::InvalidHandle;
    assert_eq!(hand_over(dispatcher, handle, item(0)), Err(invalid));
    assert_eq!(dispatcher.limit(handle, NUMBER, ChannelId::FIRST, Limits::default()), Err(invalid));
    assert_eq!(dispatcher.keep_alive(handle, false), Err(invalid));
    assert_eq!(info(dispatcher).refused, 0, "it is not the new one's refusal");
    unsafe { dispatcher.close(epoch) };
    assert_eq!(hand_over(dispatcher, fresh, item(0)), Err(invalid));
}

#[test]
fn a_producer_goes_on_when_lua_takes() {
    let (dispatcher, _, _, handle) = bounded_house(1, FOREVER);
    hand_over(dispatcher, handle, item(0)).unwrap();
    let threads = [1, 2, 3].map(|data| sleeper(dispatcher, handle, item(data)));
    let mut got = Vec::new();
    while got.len() < 4 {
        got.extend(poll(dispatcher));
    }
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2, 3]);
    assert_eq!(info(dispatcher).high_water, 1);
}

#[test]
fn a_producer_waits_for_bytes_too() {
    let (dispatcher, _, _, handle) = bounded_house(10, FOREVER);
    hand_over(dispatcher, handle, sized(0, 500)).unwrap();
    hand_over(dispatcher, handle, sized(1, 500)).unwrap();
    let thread = sleeper(dispatcher, handle, sized(2, 501));
    assert_eq!(poll(dispatcher), Some(0));
    std::thread::sleep(Duration::from_millis(5));
    assert!(!thread.is_finished(), "a byte is wanting");
    assert_eq!(poll(dispatcher), Some(1));
    thread.join().unwrap().unwrap();
    assert_eq!(drain(dispatcher), [2]);
}

#[test]
fn a_producer_goes_on_when_an_item_is_ended() {
    let (dispatcher, _, _, handle) = bounded_house(1, FOREVER);
    let first = hand_over(dispatcher, handle, item(0)).unwrap();
    let thread = sleeper(dispatcher, handle, item(1));
    assert!(dispatcher.end(handle, first, Outcome::Withdrawn, true));
    thread.join().unwrap().unwrap();
    assert_eq!(drain(dispatcher), [1]);
}

#[test]
fn a_producer_goes_on_when_the_bound_is_raised() {
    let (dispatcher, _, _, handle) = bounded_house(1, FOREVER);
    hand_over(dispatcher, handle, item(0)).unwrap();
    let thread = sleeper(dispatcher, handle, item(1));
    dispatcher
        .limit(handle, NUMBER, ChannelId::FIRST, Limits { items: 2, bytes: 1000, policy: FOREVER })
        .unwrap();
    thread.join().unwrap().unwrap();
    let thread = sleeper(dispatcher, handle, item(2));
    dispatcher
        .limit(handle, NUMBER, ChannelId::FIRST, Limits { items: 2, bytes: 1000, policy: Policy::Refuse })
        .unwrap();
    assert_eq!(thread.join().unwrap(), Err(DeliverError::Full), "the policy is another now");
    assert_eq!(drain(dispatcher), [0, 1]);
}

#[test]
fn a_producer_is_released_when_its_library_leaves() {
    let (dispatcher, _, library, handle) = bounded_house(1, FOREVER);
    hand_over(dispatcher, handle, item(0)).unwrap();
    let threads = [1, 2].map(|data| sleeper(dispatcher, handle, item(data)));
    dispatcher.unregister(handle).unwrap();
    for thread in threads {
        assert_eq!(
            thread.join().unwrap(),
            Err(DeliverError::InvalidHandle),
            "what is refused stays its caller's"
        );
    }
    assert_eq!(library.calls(), [Call::CancelQueued(0), Call::Finish(0), Call::Release(1)]);
}

#[test]
fn a_producer_is_released_when_the_state_closes_before_its_library_joins_it() {
    let (dispatcher, epoch, library, handle) = bounded_house(1, FOREVER);
    hand_over(dispatcher, handle, item(0)).unwrap();
    let thread = Mutex::new(Some(sleeper(dispatcher, handle, item(1))));
    let answer = Arc::new(Mutex::new(None));
    library.on_call({
        let answer = Arc::clone(&answer);
        move |call, _| {
            if matches!(call, Call::Closing(_)) {
                let thread = thread.lock().unwrap().take().unwrap();
                *answer.lock().unwrap() = Some(thread.join().unwrap());
            }
        }
    });
    unsafe { dispatcher.close(epoch) };
    let stopping = DeliverError::Stopping;
    assert_eq!(*answer.lock().unwrap(), Some(Err(stopping)));
}

#[test]
fn a_producer_whose_time_is_over_is_refused_and_counted_as_that() {
    for limit in [Duration::ZERO, Duration::from_millis(5)] {
        let (dispatcher, _, library, handle) = bounded_house(1, Policy::Wait(limit));
        hand_over(dispatcher, handle, item(0)).unwrap();
        let late = std::thread::spawn(move || hand_over(dispatcher, handle, item(1)));
        assert_eq!(late.join().unwrap(), Err(DeliverError::TimedOut));
        let info = info(dispatcher);
        assert_eq!((info.timed_out, info.refused), (1, 0));
        assert_eq!(library.calls(), []);
        assert_eq!(drain(dispatcher), [0]);
    }
}

#[test]
fn the_lua_thread_is_refused_where_it_would_wait_and_only_there() {
    let (dispatcher, _, library, handle) = bounded_house(1, FOREVER);
    assert_eq!(hand_over(dispatcher, handle, item(0)), Ok(1), "there is room");
    let refused = hand_over(dispatcher, handle, item(1));
    assert_eq!(refused, Err(DeliverError::WouldDeadlock));
    assert_eq!(library.calls(), []);
    assert_eq!(info(dispatcher).refused, 1);
    assert_eq!(drain(dispatcher), [0]);
    assert_eq!(hand_over(dispatcher, handle, item(2)), Ok(2));
}

#[test]
fn a_request_and_a_batch_do_not_wait_for_room() {
    let (dispatcher, _, _, handle) = bounded_house(1, FOREVER);
    dispatcher.hand_over(handle, item(0)).unwrap();
    assert_eq!(dispatcher.hand_over(handle, request(1)), Err(DeliverError::Full));
    let batch = dispatcher.deliver_many(handle, &[item(2)]);
    assert_eq!((batch.taken, batch.refused), (0, Some(DeliverError::Full)));
}

#[test]
fn the_bound_may_be_changed_while_items_are_queued() {
    let (dispatcher, _, library, handle) = bounded_house(5, Policy::Refuse);
    let limit = |items, policy| {
        dispatcher.limit(handle, NUMBER, ChannelId::FIRST, Limits { items, bytes: 1000, policy }).unwrap()
    };
    for data in 0..5 {
        hand_over(dispatcher, handle, item(data)).unwrap();
    }
    assert_eq!(poll(dispatcher), Some(0));
    hand_over(dispatcher, handle, item(5)).unwrap();
    limit(3, Policy::Refuse);
    assert_eq!(dispatcher.queue_size(), 5, "what is queued stays");
    assert_eq!(hand_over(dispatcher, handle, item(6)), Err(DeliverError::Full));
    // What came before the policy is dropped by it, at the desk and at the intake.
    limit(2, Policy::DropOldest);
    library.calls();
    hand_over(dispatcher, handle, item(7)).unwrap();
    let dropped = library.calls().into_iter().filter(|call| matches!(call, Call::Finish(_)));
    assert_eq!(dropped.collect::<Vec<_>>(), [1, 2, 3, 4].map(Call::Finish));
    assert_eq!(info(dispatcher).limits.unwrap().items, 2);
    assert_eq!(drain(dispatcher), [5, 7]);
}

/// Unregister waits for a producer that tells the library what made room for its item.
#[test]
fn unregister_waits_for_who_drops() {
    let (dispatcher, _, library, handle) = bounded_house(1, Policy::DropOldest);
    hand_over(dispatcher, handle, item(0)).unwrap();
    let (inside, entered) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let over = Arc::new(AtomicBool::new(false));
    library.on_call({
        let over = Arc::clone(&over);
        move |call, _| {
            if call == Call::Finish(0) {
                inside.send(()).unwrap();
                gone.lock().unwrap().recv().unwrap();
                over.store(true, SeqCst);
            }
        }
    });
    let producer = std::thread::spawn(move || hand_over(dispatcher, handle, item(1)).unwrap());
    entered.recv().unwrap();
    let leaver = std::thread::spawn(move || {
        dispatcher.unregister(handle).unwrap();
        assert!(over.load(SeqCst), "its code runs");
    });
    while dispatcher.registered() > 0 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(5));
    go.send(()).unwrap();
    producer.join().unwrap();
    leaver.join().unwrap();
    assert_eq!(library.calls().last(), Some(&Call::Release(1)));
}
