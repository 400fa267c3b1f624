//! Ending a delivery before its time.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{
    Call, Deliver, Library, bounded_house, hand_over, info, item, poll, request, take_request,
    waiting_for_reply, waiting_thread,
};
use dss_impl::callbacks::CallbackId;
use dss_impl::capacity::{Limits, Policy};
use dss_impl::delivery::Delivery;
use dss_impl::dispatcher::{DecodeEnd, Dispatcher, ReplyEnd};
use dss_impl::handle::Handle;
use dss_impl::outcome::Outcome;
use dss_impl::port::Answers;

fn house() -> (&'static Dispatcher, u64, &'static Library, Handle) {
    let house = bounded_house(100, Policy::Refuse);
    house.2.answers.store(true, SeqCst);
    house
}

#[test]
fn what_is_queued_is_ended_at_the_intake_and_at_the_desk() {
    for queued_only in [true, false] {
        let (dispatcher, _, library, handle) = house();
        let numbers = [0, 1, 2, 3, 4].map(|data| hand_over(dispatcher, handle, item(data)).unwrap());
        let end = |at: usize| dispatcher.end(handle, numbers[at], Outcome::Withdrawn, queued_only);
        assert!(end(1), "at the intake");
        assert_eq!(library.calls(), [Call::CancelQueued(1), Call::Finish(1)]);
        assert!(!end(1), "it has ended");
        assert_eq!(dispatcher.queue_size(), 4);
        assert_eq!(poll(dispatcher), Some(0));
        library.calls();
        assert!(!end(0), "it was taken");
        assert!(end(3), "at the desk");
        assert_eq!(library.calls(), [Call::CancelQueued(3), Call::Finish(3)]);
        assert!(end(2));
        assert!(end(4), "the last");
        assert!(!end(2));
        assert_eq!(dispatcher.queue_size(), 0);
        assert_eq!(poll(dispatcher), None);
        let info = info(dispatcher);
        assert_eq!((info.cancelled, info.delivered, info.queued, info.bytes), (4, 1, 0, 0));
    }
}

#[test]
fn a_library_is_told_once_how_its_request_ended() {
    for outcome in [Outcome::Withdrawn, Outcome::TimedOut] {
        for begun in [false, true] {
            let (dispatcher, _, library, handle) = house();
            let number = hand_over(dispatcher, handle, request(0)).unwrap();
            let ticket = begun.then(|| take_request(dispatcher));
            assert_eq!((info(dispatcher).waiting, dispatcher.pending()), (1, usize::from(begun)));
            assert!(dispatcher.end(handle, number, outcome, false));
            let cancelled = if begun { Call::CancelWaiting(0) } else { Call::CancelQueued(0) };
            assert_eq!(library.calls(), [cancelled, Call::Complete(0, outcome)]);
            assert!(!dispatcher.end(handle, number, outcome, false), "ended twice");
            if let Some(ticket) = ticket {
                assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none(), "the reply comes too late");
                unsafe { dispatcher.cancel_reply(ticket) };
            }
            assert_eq!((poll(dispatcher), dispatcher.pending()), (None, 0));
            assert_eq!(library.calls(), []);
            let info = info(dispatcher);
            let timed_out = u64::from(outcome == Outcome::TimedOut);
            assert_eq!((info.cancelled, info.timed_out, info.waiting), (1 - timed_out, timed_out, 0));
            dispatcher.unregister(handle).unwrap();
            assert_eq!(library.calls(), [Call::Release(1)]);
        }
    }
}

#[test]
fn a_request_that_runs_its_way_is_told_how_it_ended() {
    for (end, outcome) in [
        (ReplyEnd::Replied, Outcome::Replied),
        (ReplyEnd::Collected, Outcome::Collected),
        (ReplyEnd::Failed, Outcome::Failed),
    ] {
        let (dispatcher, _, library, handle) = house();
        let number = hand_over(dispatcher, handle, request(0)).unwrap();
        let ticket = take_request(dispatcher);
        let replying = unsafe { dispatcher.begin_reply(ticket) }.unwrap();
        assert!(matches!(replying.adapter.answers(), Answers::Return(_)));
        assert!(!dispatcher.end(handle, number, Outcome::TimedOut, false), "the answer is on its way");
        assert_eq!(library.calls(), []);
        dispatcher.replied(&replying, end);
        assert_eq!(library.calls(), [Call::Complete(0, outcome)]);
        assert!(!dispatcher.end(handle, number, Outcome::TimedOut, false));
        let info = info(dispatcher);
        let replied = u64::from(end == ReplyEnd::Replied);
        assert_eq!((info.replied, info.failed, info.timed_out), (replied, 1 - replied, 0));
    }
    for (end, outcome) in [(DecodeEnd::Over, Outcome::Decoded), (DecodeEnd::Failed, Outcome::Failed)] {
        let (dispatcher, _, library, handle) = house();
        hand_over(dispatcher, handle, request(0)).unwrap();
        let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
        assert!(!dispatcher.decoded(&taken, end).reply);
        assert_eq!(library.calls(), [Call::Complete(0, outcome)]);
        let info = info(dispatcher);
        let failed = u64::from(end == DecodeEnd::Failed);
        assert_eq!((info.delivered, info.failed), (1 - failed, failed));
    }
}

#[test]
fn what_leaves_or_closes_is_completed_as_cancelled() {
    for close in [false, true] {
        let (dispatcher, epoch, library, handle) = house();
        hand_over(dispatcher, handle, request(0)).unwrap();
        hand_over(dispatcher, handle, request(1)).unwrap();
        take_request(dispatcher);
        if close {
            unsafe { dispatcher.close(epoch) };
        } else {
            dispatcher.unregister(handle).unwrap();
        }
        let calls: Vec<_> = library.calls().into_iter().filter(|call| *call != Call::Closing(1)).collect();
        assert_eq!(
            calls,
            [
                Call::CancelWaiting(0),
                Call::Complete(0, Outcome::Cancelled),
                Call::CancelQueued(1),
                Call::Complete(1, Outcome::Cancelled),
                Call::Release(1)
            ]
        );
    }
}

#[test]
fn what_has_begun_is_left_alone_where_that_is_asked_for() {
    let (dispatcher, _, library, handle) = house();
    let number = hand_over(dispatcher, handle, request(0)).unwrap();
    let ticket = take_request(dispatcher);
    assert!(!dispatcher.end(handle, number, Outcome::TimedOut, true));
    assert_eq!(library.calls(), []);
    let replying = unsafe { dispatcher.begin_reply(ticket) }.unwrap();
    dispatcher.replied(&replying, ReplyEnd::Replied);
    assert_eq!(library.calls(), [Call::Complete(0, Outcome::Replied)]);
}

/// A deadline that is over while the decode runs is not lost, and nobody waits for that decode.
#[test]
fn inside_its_decode_it_is_ended_when_that_is_over() {
    for end in [DecodeEnd::Values, DecodeEnd::Over, DecodeEnd::Failed] {
        let (dispatcher, _, library, handle) = house();
        let number = hand_over(dispatcher, handle, request(0)).unwrap();
        let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
        let other = std::thread::spawn(move || {
            let queued = dispatcher.end(handle, number, Outcome::Withdrawn, true);
            (queued, dispatcher.end(handle, number, Outcome::TimedOut, false))
        });
        assert_eq!(other.join().unwrap(), (false, true), "queued no more, and ended");
        assert!(!dispatcher.end(handle, number, Outcome::Withdrawn, false), "once");
        assert_eq!(library.calls(), [], "its decode runs");
        assert!(!dispatcher.decoded(&taken, end).reply);
        let mut wanted = vec![Call::Complete(0, Outcome::TimedOut)];
        if end == DecodeEnd::Values {
            wanted.insert(0, Call::CancelWaiting(0));
        }
        assert_eq!(library.calls(), wanted);
        assert!(unsafe { dispatcher.begin_reply(taken.pending.unwrap()) }.is_none());
        let counted = &dispatcher.libraries().unwrap()[0];
        assert_eq!((counted.timed_out, counted.cancelled, counted.failed), (1, 0, 0));
    }
}

/// The number that stands for a callback here; see `Library::is_for`.
fn callback(number: u64) -> CallbackId {
    CallbackId::from_raw(number)
}

#[test]
fn all_of_one_callback_is_ended_wherever_it_is() {
    let (dispatcher, _, library, handle) = house();
    // One that Lua answers later, one being decoded, two at the desk, one at the intake; and what is for another callback.
    hand_over(dispatcher, handle, request(7)).unwrap();
    let later = take_request(dispatcher);
    hand_over(dispatcher, handle, request(7)).unwrap();
    for data in [7, 8, 7] {
        hand_over(dispatcher, handle, item(data)).unwrap();
    }
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    hand_over(dispatcher, handle, request(7)).unwrap();
    hand_over(dispatcher, handle, item(8)).unwrap();
    assert_eq!(dispatcher.end_all_for(handle, callback(9), Outcome::Withdrawn), 0);
    assert_eq!(library.calls(), []);
    assert_eq!(dispatcher.end_all_for(handle, callback(7), Outcome::Withdrawn), 5);
    let withdrawn = Call::Complete(7, Outcome::Withdrawn);
    let plain = [Call::CancelQueued(7), Call::Finish(7)];
    let calls =
        [&[Call::CancelWaiting(7), withdrawn][..], &plain, &plain, &[Call::CancelQueued(7), withdrawn]];
    assert_eq!(library.calls(), calls.concat());
    assert!(unsafe { dispatcher.begin_reply(later) }.is_none(), "the answer comes too late");
    assert!(!dispatcher.decoded(&taken, DecodeEnd::Values).reply);
    assert_eq!(library.calls(), [Call::CancelWaiting(7), withdrawn]);
    assert_eq!(dispatcher.end_all_for(handle, callback(7), Outcome::Withdrawn), 0, "once");
    assert_eq!((poll(dispatcher), poll(dispatcher), poll(dispatcher)), (Some(8), Some(8), None));
    let info = info(dispatcher);
    assert_eq!((info.cancelled, info.queued, info.bytes, info.waiting), (5, 0, 0, 0));
}

#[test]
fn what_is_ended_for_a_callback_makes_room_under_each_policy() {
    for policy in [Policy::Refuse, Policy::Wait(Duration::from_secs(60)), Policy::DropOldest, Policy::Latest]
    {
        let (dispatcher, _, library, handle) = bounded_house(4, policy);
        let keyed = |data: usize| Delivery { key: if data == 7 { b"seven" } else { b"eight" }, ..item(data) };
        for data in [7, 8, 1, 2] {
            hand_over(dispatcher, handle, keyed(data)).unwrap();
        }
        let queued = info(dispatcher).queued;
        // One goes to the desk, where it is found, too.
        assert_eq!(poll(dispatcher), Some(7));
        hand_over(dispatcher, handle, keyed(7)).unwrap();
        assert_eq!(dispatcher.end_all_for(handle, callback(7), Outcome::Withdrawn), 1);
        assert_eq!(info(dispatcher).queued, queued - 1);
        library.calls();
        // Neither its number nor its key names anything any more, and there is room for another.
        hand_over(dispatcher, handle, keyed(7)).unwrap();
        assert_eq!(
            info(dispatcher).dropped + info(dispatcher).coalesced,
            if policy == Policy::Latest { 2 } else { 0 }
        );
        assert_eq!(library.calls(), []);
        let mut rest = Vec::new();
        while let Some(data) = poll(dispatcher) {
            rest.push(data);
        }
        assert_eq!(rest.last(), Some(&7), "{policy:?}");
        assert_eq!((info(dispatcher).queued, info(dispatcher).bytes), (0, 0));
    }
}

#[test]
fn a_producer_that_waits_goes_on_where_a_callback_is_ended() {
    let (dispatcher, _, _, handle) = bounded_house(2, Policy::Wait(Duration::from_secs(60)));
    hand_over(dispatcher, handle, item(7)).unwrap();
    hand_over(dispatcher, handle, item(8)).unwrap();
    let producer = std::thread::spawn(move || hand_over(dispatcher, handle, item(9)).is_ok());
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(dispatcher.end_all_for(handle, callback(7), Outcome::Withdrawn), 1);
    assert!(producer.join().unwrap());
    assert_eq!((poll(dispatcher), poll(dispatcher)), (Some(8), Some(9)));
}

#[test]
fn a_library_ends_what_is_its_own() {
    let (dispatcher, _, library, handle) = house();
    let other = Library::new();
    let second = other.register_bounded(dispatcher, 2, Limits::default());
    let begun = hand_over(dispatcher, handle, request(0)).unwrap();
    let queued = hand_over(dispatcher, handle, request(1)).unwrap();
    take_request(dispatcher);
    for made_up in [begun, queued, 0, queued + 1, u64::MAX] {
        assert!(!dispatcher.end(second, made_up, Outcome::Withdrawn, false));
    }
    // Of another generation, on 64 and on 32 bits.
    let late = Handle::from_raw(handle.to_raw() ^ 1 << (usize::BITS / 2 + 8));
    assert!(!dispatcher.end(late, queued, Outcome::Withdrawn, false));
    assert!(!dispatcher.end(Handle::from_raw(usize::MAX), queued, Outcome::Withdrawn, false));
    assert_eq!((library.calls(), other.calls()), (vec![], vec![]));
    assert!(dispatcher.end(handle, queued, Outcome::Withdrawn, false));
    assert!(dispatcher.end(handle, begun, Outcome::Withdrawn, false));
    dispatcher.unregister(handle).unwrap();
    assert!(!dispatcher.end(handle, queued, Outcome::Withdrawn, false), "the library left");
}

#[test]
fn numbers_go_on_from_state_to_state() {
    let (dispatcher, epoch, _, handle) = house();
    let old = hand_over(dispatcher, handle, item(0)).unwrap();
    unsafe { dispatcher.close(epoch) };
    assert!(dispatcher.claim());
    dispatcher.open();
    let library = Library::new();
    let fresh = library.register_bounded(dispatcher, 1, Limits::default());
    assert!(hand_over(dispatcher, fresh, item(1)).unwrap() > old);
    assert!(!dispatcher.end(fresh, old, Outcome::Withdrawn, false), "it was the state's before");
    assert_eq!(dispatcher.end_all_for(handle, callback(1), Outcome::Withdrawn), 0, "the handle was, too");
    assert_eq!(library.calls(), []);
}

#[test]
fn a_thread_that_waits_is_told_the_outcome() {
    let (dispatcher, _, library, handle) = common::house();
    let queued = waiting_thread(dispatcher, handle, 1);
    assert!(dispatcher.end(handle, 1, Outcome::Withdrawn, true));
    assert_eq!(queued.join().unwrap(), Outcome::Withdrawn);
    let (begun, ticket) = waiting_for_reply(dispatcher, handle, 2);
    assert!(dispatcher.end(handle, 2, Outcome::TimedOut, false));
    assert_eq!(begun.join().unwrap(), Outcome::TimedOut);
    assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none());
    assert_eq!(library.calls(), [Call::CancelQueued(1), Call::CancelWaiting(2)]);
    let info = info(dispatcher);
    assert_eq!((info.cancelled, info.timed_out), (1, 1));
}

/// Unregister, on another thread, waits until the library was told; and then nothing of it is called.
#[test]
fn unregister_waits_for_what_is_being_completed() {
    for how in 0..4 {
        let (dispatcher, _, library, handle) = house();
        let number = hand_over(dispatcher, handle, request(0)).unwrap();
        let (inside, entered) = mpsc::channel();
        let (go, gone) = mpsc::channel::<()>();
        let gone = Mutex::new(gone);
        let over = Arc::new(AtomicBool::new(false));
        library.on_call({
            let over = Arc::clone(&over);
            move |call, _| {
                if matches!(call, Call::Complete(..)) {
                    inside.send(()).unwrap();
                    gone.lock().unwrap().recv().unwrap();
                    over.store(true, SeqCst);
                }
            }
        });
        let leaver = std::thread::spawn(move || {
            entered.recv().unwrap();
            let nobody = std::thread::spawn(move || {
                // Whoever completes goes on when the unregister is likely to have looked.
                while dispatcher.registered() > 0 {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_millis(5));
                go.send(()).unwrap();
            });
            dispatcher.unregister(handle).unwrap();
            assert!(over.load(SeqCst), "its code runs");
            nobody.join().unwrap();
        });
        match how {
            0 => assert!(dispatcher.end(handle, number, Outcome::Withdrawn, true)),
            1 => {
                take_request(dispatcher);
                assert!(dispatcher.end(handle, number, Outcome::Withdrawn, false));
            }
            2 => {
                let replying = unsafe { dispatcher.begin_reply(take_request(dispatcher)) }.unwrap();
                dispatcher.replied(&replying, ReplyEnd::Replied);
            }
            _ => assert_eq!(poll(dispatcher), Some(0)),
        }
        leaver.join().unwrap();
        assert_eq!(library.calls().last(), Some(&Call::Release(1)), "after all other calls");
    }
}

#[test]
fn a_library_may_unregister_as_it_is_told() {
    let (dispatcher, _, library, handle) = house();
    let number = hand_over(dispatcher, handle, request(0)).unwrap();
    hand_over(dispatcher, handle, item(1)).unwrap();
    library.on_call(move |call, _| {
        if matches!(call, Call::Complete(..)) {
            dispatcher.unregister(handle).unwrap();
        }
    });
    assert!(dispatcher.end(handle, number, Outcome::Withdrawn, false));
    assert_eq!(
        library.calls(),
        [
            Call::CancelQueued(0),
            Call::Complete(0, Outcome::Withdrawn),
            Call::CancelQueued(1),
            Call::Finish(1),
            Call::Release(1)
        ]
    );
}
