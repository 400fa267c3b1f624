//! Bounds, and what each policy does at them.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use common::{Call, Library, bounded_house, hand_over, item, open, parcel, poll, request};
use dss_impl::bounds::{DEFAULT_BYTES, DEFAULT_ITEMS, Limits, Policy};
use dss_impl::delivery::{Announced, DeliverError, Outcome};
use dss_impl::dispatcher::{BoundedError, Consignment, Dispatcher};
use dss_impl::handle::Handle;
use dss_impl::library::LibraryInfo;
use dss_impl::notifier::Notifier;

/// Far longer than a test may take: what sleeps it out fails by the runner's own limit.
const FOREVER: Policy = Policy::Wait(Duration::MAX);

fn info(dispatcher: &Dispatcher) -> LibraryInfo {
    dispatcher.libraries().remove(0)
}

fn sized(data: usize, bytes: u32) -> Consignment<'static> {
    Consignment { bytes, ..item(data) }
}

fn keyed(data: usize, key: &[u8]) -> Consignment<'_> {
    Consignment { key, ..item(data) }
}

fn drain(dispatcher: &Dispatcher) -> Vec<usize> {
    std::iter::from_fn(|| poll(dispatcher)).collect()
}

/// A thread that hands over `data` and is most likely asleep by now for want of room.
fn sleeper(
    dispatcher: &'static Dispatcher,
    handle: Handle,
    consignment: Consignment<'static>,
) -> JoinHandle<Result<u64, BoundedError>> {
    let thread = std::thread::spawn(move || hand_over(dispatcher, handle, consignment));
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
        assert_eq!(hand_over(dispatcher, handle, item(3)), Err(BoundedError::Full));
        assert_eq!(hand_over(dispatcher, handle, request(4)), Err(BoundedError::Full));
        assert_eq!(library.calls(), []);
        assert_eq!(dispatcher.queue_size(), 3);
        assert_eq!(poll(dispatcher), Some(0));
        assert_eq!(hand_over(dispatcher, handle, item(5)), Ok(4), "one left, one fits");
        assert_eq!(hand_over(dispatcher, handle, item(6)), Err(BoundedError::Full));
        assert_eq!(drain(dispatcher), [1, 2, 5]);
        let info = info(dispatcher);
        assert_eq!((info.refused, info.delivered, info.high_water, info.bytes), (3, 4, 3, 0));
    }
}

#[test]
fn the_bound_in_bytes_holds() {
    let (dispatcher, _, _, handle) = bounded_house(100, Policy::Refuse);
    hand_over(dispatcher, handle, sized(0, 600)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, sized(1, 401)), Err(BoundedError::Full));
    hand_over(dispatcher, handle, sized(2, 400)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, sized(3, 1)), Err(BoundedError::Full));
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
        assert_eq!(hand_over(dispatcher, handle, sized(1, 1001)), Err(BoundedError::TooLarge));
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
    dispatcher.deliver(third, parcel(2)).unwrap();
    hand_over(dispatcher, second, item(3)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, item(4)), Err(BoundedError::Full));
    assert_eq!(drain(dispatcher), [0, 2, 3]);
}

#[test]
fn a_library_without_bounds_has_nothing_to_be_bounded_by() {
    let (dispatcher, _, _, handle) = common::house();
    let invalid = DeliverError::InvalidHandle;
    assert_eq!(hand_over(dispatcher, handle, item(0)), Err(BoundedError::Deliver(invalid)));
    assert_eq!(dispatcher.limit(handle, Limits::default()), Err(invalid));
    assert_eq!(info(dispatcher).limits, None);
}

#[test]
fn a_handle_that_is_too_old_is_refused() {
    let (dispatcher, epoch, library, handle) = bounded_house(1, Policy::DropOldest);
    dispatcher.unregister(handle).unwrap();
    let fresh = library.register_bounded(dispatcher, 1, Limits::default());
    let invalid = DeliverError::InvalidHandle;
    assert_eq!(hand_over(dispatcher, handle, item(0)), Err(BoundedError::Deliver(invalid)));
    assert_eq!(dispatcher.limit(handle, Limits::default()), Err(invalid));
    assert_eq!(dispatcher.keep_alive(handle, false), Err(invalid));
    assert_eq!(info(dispatcher).refused, 0, "it is not the new one's refusal");
    dispatcher.close(epoch);
    assert_eq!(hand_over(dispatcher, fresh, item(0)), Err(BoundedError::Deliver(invalid)));
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
    dispatcher.limit(handle, Limits { items: 2, bytes: 1000, policy: FOREVER }).unwrap();
    thread.join().unwrap().unwrap();
    let thread = sleeper(dispatcher, handle, item(2));
    dispatcher.limit(handle, Limits { items: 2, bytes: 1000, policy: Policy::Refuse }).unwrap();
    assert_eq!(thread.join().unwrap(), Err(BoundedError::Full), "the policy is another now");
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
            Err(BoundedError::Deliver(DeliverError::InvalidHandle)),
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
    dispatcher.close(epoch);
    let stopping = BoundedError::Deliver(DeliverError::Stopping);
    assert_eq!(*answer.lock().unwrap(), Some(Err(stopping)));
}

#[test]
fn a_producer_whose_time_is_over_is_refused_and_counted_as_that() {
    for limit in [Duration::ZERO, Duration::from_millis(5)] {
        let (dispatcher, _, library, handle) = bounded_house(1, Policy::Wait(limit));
        hand_over(dispatcher, handle, item(0)).unwrap();
        let late = std::thread::spawn(move || hand_over(dispatcher, handle, item(1)));
        assert_eq!(late.join().unwrap(), Err(BoundedError::TimedOut));
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
    assert_eq!(refused, Err(BoundedError::Deliver(DeliverError::WouldDeadlock)));
    assert_eq!(library.calls(), []);
    assert_eq!(info(dispatcher).refused, 1);
    assert_eq!(drain(dispatcher), [0]);
    assert_eq!(hand_over(dispatcher, handle, item(2)), Ok(2));
}

#[test]
fn who_is_not_patient_does_not_wait() {
    let (dispatcher, _, _, handle) = bounded_house(1, FOREVER);
    dispatcher.deliver_bounded(handle, item(0), false).unwrap();
    assert_eq!(dispatcher.deliver_bounded(handle, item(1), false), Err(BoundedError::Full));
    let batch = dispatcher.deliver_many(handle, &[item(2)]);
    assert_eq!((batch.taken, batch.refused), (0, Some(BoundedError::Full)));
}

#[test]
fn the_oldest_is_dropped_at_the_intake_and_at_the_desk() {
    for at_the_desk in [false, true] {
        let (dispatcher, _, library, handle) = bounded_house(3, Policy::DropOldest);
        let other = Library::new().register(dispatcher, 2).unwrap();
        if at_the_desk {
            dispatcher.deliver(other, parcel(100)).unwrap();
        }
        for data in 0..3 {
            hand_over(dispatcher, handle, item(data)).unwrap();
            dispatcher.deliver(other, parcel(101)).unwrap();
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
        assert_eq!(hand_over(dispatcher, handle, keyed(0, b"key")), Err(BoundedError::Full));
        let batch = dispatcher.deliver_many(handle, &[item(0), item(1)]);
        assert_eq!((batch.taken, batch.first, batch.refused), (0, 0, Some(BoundedError::Full)));
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
        assert_eq!(hand_over(dispatcher, handle, keyed(5, b"c")), Err(BoundedError::Full));
        hand_over(dispatcher, handle, keyed(6, b"a")).unwrap();
        assert_eq!(library.calls(), [Call::CancelQueued(4), Call::Finish(4)]);
        assert_eq!(drain(dispatcher), [1, 2, 3, 6], "others stay, and what has no key");
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
    let large = |data, bytes| Consignment { bytes, ..keyed(data, b"a") };
    hand_over(dispatcher, handle, large(1, 400)).unwrap();
    assert_eq!(hand_over(dispatcher, handle, large(2, 501)), Err(BoundedError::Full));
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
    dispatcher.limit(handle, Limits { items: 1, bytes: 1, policy: Policy::Latest }).unwrap();
    hand_over(dispatcher, handle, keyed(3, b"a")).unwrap();
    assert_eq!(hand_over(dispatcher, handle, keyed(4, b"d")), Err(BoundedError::Full));
    assert_eq!(drain(dispatcher), [1, 2, 3]);
}

#[test]
fn the_bound_may_be_changed_while_items_are_queued() {
    let (dispatcher, _, library, handle) = bounded_house(5, Policy::Refuse);
    let limit = |items, policy| dispatcher.limit(handle, Limits { items, bytes: 1000, policy }).unwrap();
    for data in 0..5 {
        hand_over(dispatcher, handle, item(data)).unwrap();
    }
    assert_eq!(poll(dispatcher), Some(0));
    hand_over(dispatcher, handle, item(5)).unwrap();
    limit(3, Policy::Refuse);
    assert_eq!(dispatcher.queue_size(), 5, "what is queued stays");
    assert_eq!(hand_over(dispatcher, handle, item(6)), Err(BoundedError::Full));
    // What came before the policy is dropped by it, at the desk and at the intake.
    limit(2, Policy::DropOldest);
    library.calls();
    hand_over(dispatcher, handle, item(7)).unwrap();
    let dropped = library.calls().into_iter().filter(|call| matches!(call, Call::Finish(_)));
    assert_eq!(dropped.collect::<Vec<_>>(), [1, 2, 3, 4].map(Call::Finish));
    assert_eq!(info(dispatcher).limits.unwrap().items, 2);
    assert_eq!(drain(dispatcher), [5, 7]);
}

#[test]
fn a_batch_has_consecutive_numbers_and_one_notification() {
    for policy in [Policy::Refuse, FOREVER, Policy::DropOldest, Policy::Latest] {
        let (dispatcher, _, library, handle) = bounded_house(5, policy);
        let (notifier, sent) = counting();
        dispatcher.set_notifier(Some(notifier));
        let batch = [0, 1, 2].map(item);
        let accepted = dispatcher.deliver_many(handle, &batch);
        assert_eq!((accepted.taken, accepted.first, accepted.refused), (3, 1, None));
        assert_eq!(accepted.announced, Announced::Yes);
        assert_eq!(sent.load(SeqCst), 1);
        let accepted = dispatcher.deliver_many(handle, &[3, 4, 5, 6].map(item));
        assert_eq!(sent.load(SeqCst), 1, "one is outstanding");
        assert_eq!(accepted.first, 4);
        let info = info(dispatcher);
        if policy == Policy::DropOldest {
            assert_eq!((accepted.taken, accepted.refused), (4, None));
            assert_eq!((info.dropped, info.refused), (2, 0));
            assert_eq!(drain(dispatcher), [2, 3, 4, 5, 6]);
        } else {
            assert_eq!((accepted.taken, accepted.refused), (2, Some(BoundedError::Full)));
            assert_eq!((info.dropped, info.refused), (0, 2), "each that was not taken");
            assert_eq!(library.calls(), [], "those are their caller's");
            assert_eq!(drain(dispatcher), [0, 1, 2, 3, 4]);
        }
        assert_eq!(dispatcher.deliver_many(handle, &[]).taken, 0);
        assert_eq!(sent.load(SeqCst), 5, "a poll that leaves items sends the next");
        assert_eq!(dispatcher.deliver_many(handle, &[item(7)]).announced, Announced::Yes);
        assert_eq!(sent.load(SeqCst), 6);
    }
}

#[test]
fn a_batch_makes_room_for_itself_at_the_desk() {
    let (dispatcher, _, library, handle) = bounded_house(3, Policy::DropOldest);
    assert_eq!(dispatcher.deliver_many(handle, &[0, 1, 2].map(item)).taken, 3);
    assert_eq!(poll(dispatcher), Some(0));
    assert_eq!(dispatcher.deliver_many(handle, &[3, 4, 5, 6].map(item)).first, 4);
    let dropped = library.calls().into_iter().filter(|call| matches!(call, Call::CancelQueued(_)));
    assert_eq!(dropped.collect::<Vec<_>>(), [1, 2, 3].map(Call::CancelQueued), "its own first one too");
    assert_eq!(drain(dispatcher), [4, 5, 6]);
}

#[test]
fn a_batch_to_no_library_is_refused() {
    let (dispatcher, _, _, handle) = bounded_house(3, Policy::DropOldest);
    dispatcher.unregister(handle).unwrap();
    let batch = dispatcher.deliver_many(handle, &[item(0), item(1)]);
    let invalid = BoundedError::Deliver(DeliverError::InvalidHandle);
    assert_eq!((batch.taken, batch.first, batch.refused), (0, 0, Some(invalid)));
}

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

struct Counting(Arc<AtomicUsize>);

impl Notifier for Counting {
    fn notify(&self, _: usize) -> io::Result<()> {
        self.0.fetch_add(1, SeqCst);
        Ok(())
    }
}

fn counting() -> (Arc<dyn Notifier>, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    (Arc::new(Counting(Arc::clone(&sent))), sent)
}

struct Channel(Mutex<mpsc::Sender<()>>);

impl Notifier for Channel {
    fn notify(&self, _: usize) -> io::Result<()> {
        self.0.lock().unwrap().send(()).map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }
}

const PRODUCERS: usize = 10;

/// A handler that reads once and polls once sees all of it, whatever is dropped, coalesced or ended meanwhile.
#[test]
fn no_item_lies_unannounced() {
    const EACH: usize = 5_000;
    for policy in [Policy::Refuse, FOREVER, Policy::DropOldest, Policy::Latest] {
        let (dispatcher, _, _, handle) = bounded_house(100, policy);
        let (sender, notifications) = mpsc::channel();
        dispatcher.set_notifier(Some(Arc::new(Channel(Mutex::new(sender)))));
        let threads: Vec<_> = (0..PRODUCERS)
            .map(|at| std::thread::spawn(move || produce(dispatcher, handle, at, EACH)))
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) || dispatcher.queue_size() > 0 {
            match notifications.recv_timeout(Duration::from_millis(100)) {
                Ok(()) => drop(poll(dispatcher)),
                // Producers are at work; where all of them wait for room that nobody is told of, this never ends.
                Err(_) if threads.iter().any(|thread| !thread.is_finished()) => {}
                Err(_) => assert_eq!(dispatcher.queue_size(), 0, "an item lies unannounced"),
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

/// What a producer was told.
#[derive(Default)]
struct Told {
    accepted: Vec<usize>,
    refused: u64,
    timed_out: u64,
    ended: u64,
}

/// Hands over `each` items, alone and in batches, and ends some of them again.
fn produce(dispatcher: &'static Dispatcher, handle: Handle, at: usize, each: usize) -> Told {
    let mut told = Told::default();
    let mut data = at * each;
    while data < (at + 1) * each {
        let key = [at as u8, (data % 7) as u8];
        let key: &[u8] = if data.is_multiple_of(3) { &[] } else { &key };
        if data % 100 == 50 {
            let batch: Vec<_> = (data..data + 5).map(|data| keyed(data, key)).collect();
            let accepted = dispatcher.deliver_many(handle, &batch);
            told.accepted.extend(data..data + accepted.taken);
            told.refused += (batch.len() - accepted.taken) as u64;
            data += batch.len();
            continue;
        }
        match hand_over(dispatcher, handle, keyed(data, key)) {
            Ok(sequence) => {
                told.accepted.push(data);
                if data.is_multiple_of(64) {
                    let ended = dispatcher.end(handle, sequence, Outcome::Withdrawn, true);
                    told.ended += u64::from(ended);
                }
            }
            Err(BoundedError::Full) => told.refused += 1,
            Err(BoundedError::TimedOut) => told.timed_out += 1,
            Err(error) => panic!("{error:?}"),
        }
        data += 1;
    }
    told
}

fn every_item_is_accounted_for(policy: Policy) {
    const EACH: usize = 50_000;
    const BOUND: usize = 1000;
    let (dispatcher, _) = open();
    let library = Library::new();
    let finished: Arc<Vec<AtomicUsize>> =
        Arc::new((0..PRODUCERS * EACH).map(|_| AtomicUsize::new(0)).collect());
    library.on_call({
        let finished = Arc::clone(&finished);
        move |call, _| {
            if let Call::Finish(data) = call {
                finished[data].fetch_add(1, SeqCst);
            }
        }
    });
    let limits = Limits { items: BOUND, bytes: 1 << 20, policy };
    let handle = library.register_bounded(dispatcher, 1, limits);
    let threads: Vec<_> =
        (0..PRODUCERS).map(|at| std::thread::spawn(move || produce(dispatcher, handle, at, EACH))).collect();
    let mut delivered = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        // A Lua that is away at times, so that the bound is met.
        if delivered % 50_000 == 49_999 {
            std::thread::sleep(Duration::from_millis(2));
        }
        delivered += u64::from(poll(dispatcher).is_some());
        let queued = dispatcher.queue_size();
        assert!(queued <= 2 * BOUND, "{queued} items, or graves among them");
    }
    let told: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let sum = |of: fn(&Told) -> u64| told.iter().map(of).sum::<u64>();
    let accepted = sum(|told| told.accepted.len() as u64);
    let info = info(dispatcher);
    assert_eq!(accepted + info.refused + info.timed_out, (PRODUCERS * EACH) as u64);
    assert_eq!((info.refused, info.timed_out), (sum(|told| told.refused), sum(|told| told.timed_out)));
    assert_eq!((info.delivered, info.cancelled), (delivered, sum(|told| told.ended)));
    let left = info.delivered + info.dropped + info.coalesced + info.cancelled;
    assert_eq!(accepted, left + info.queued as u64, "{info:?}");
    assert_eq!((dispatcher.queue_size(), info.bytes), (info.queued, info.queued));
    assert!(info.high_water <= BOUND && info.high_water > 0, "{info:?}");
    match policy {
        Policy::Refuse => assert_eq!((info.dropped, info.coalesced, info.timed_out), (0, 0, 0)),
        Policy::Wait(_) => assert_eq!((info.dropped, info.coalesced), (0, 0)),
        Policy::DropOldest => assert_eq!((info.refused, info.coalesced, info.timed_out), (0, 0, 0)),
        Policy::Latest => assert_eq!((info.dropped, info.timed_out), (0, 0)),
    }
    library.calls();
    dispatcher.unregister(handle).unwrap();
    let cancelled = library.calls().into_iter().filter(|call| matches!(call, Call::CancelQueued(_)));
    assert_eq!(cancelled.count(), info.queued);
    assert_eq!(dispatcher.queue_size(), 0);
    let mut wanted = vec![0; PRODUCERS * EACH];
    told.iter().flat_map(|told| &told.accepted).for_each(|data| wanted[*data] = 1);
    for (data, finished) in finished.iter().enumerate() {
        assert_eq!(finished.load(SeqCst), wanted[data], "finish of {data}");
    }
}

#[test]
fn every_item_is_accounted_for_where_what_does_not_fit_is_refused() {
    every_item_is_accounted_for(Policy::Refuse);
}

#[test]
fn every_item_is_accounted_for_where_producers_wait() {
    every_item_is_accounted_for(Policy::Wait(Duration::from_millis(5)));
}

#[test]
fn every_item_is_accounted_for_where_the_oldest_make_room() {
    every_item_is_accounted_for(Policy::DropOldest);
}

#[test]
fn every_item_is_accounted_for_where_the_latest_count() {
    every_item_is_accounted_for(Policy::Latest);
}
