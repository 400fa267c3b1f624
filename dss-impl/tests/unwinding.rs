//! Exceptions that leave a library's code: what the call was for ends all the same, and so does the call itself.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use common::{
    Call, Deliver, Library, hand_over, open, payload, poll, request, waiting_for_reply, waiting_thread,
};
use dss_impl::dispatcher::DecodeEnd;
use dss_impl::outcome::Outcome;

/// What stands for an exception.
struct Exception;

/// A library that throws in each call that `throws` picks.
fn throwing(throws: fn(Call) -> bool) -> &'static Library {
    let library = Library::new();
    library.throws.store(true, SeqCst);
    library.on_call(move |call, _| {
        if throws(call) {
            panic_any(Exception);
        }
    });
    library
}

/// Runs `work`, out of which an exception comes.
fn left_by_an_exception(work: impl FnOnce()) {
    let left = catch_unwind(AssertUnwindSafe(work)).expect_err("no exception came through");
    assert!(left.is::<Exception>());
}

#[test]
fn an_unregister_that_is_left_has_unregistered() {
    let (dispatcher, _) = open();
    let library = throwing(|call| matches!(call, Call::CancelQueued(1)));
    let handle = library.register(dispatcher, 1).unwrap();
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    let waiting = waiting_thread(dispatcher, handle, 2);
    left_by_an_exception(|| dispatcher.unregister(handle).unwrap());
    assert_eq!(waiting.join().unwrap(), Outcome::Cancelled);
    assert!(dispatcher.unregister(handle).is_err());
    assert_eq!(dispatcher.queue_size(), 0);
    // Its slot is free: the library may register again.
    let again = library.register(dispatcher, 1).unwrap();
    dispatcher.deliver_plain(again, payload(3)).unwrap();
    assert_eq!(poll(dispatcher), Some(3));
}

#[test]
fn a_close_that_is_left_empties_every_library_before_it_asks_one_to_join() {
    let (dispatcher, epoch) = open();
    let first = Library::new();
    let handle = first.register(dispatcher, 1).unwrap();
    let waiting = Mutex::new(Some(waiting_thread(dispatcher, handle, 10)));
    first.on_call(move |call, _| {
        if call == Call::Closing(1) {
            let thread = waiting.lock().unwrap().take().unwrap();
            assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
        }
    });
    let last = throwing(|call| matches!(call, Call::CancelQueued(_)));
    let throws = last.register(dispatcher, 2).unwrap();
    dispatcher.deliver_plain(throws, payload(20)).unwrap();
    left_by_an_exception(|| unsafe { dispatcher.close(epoch) });
    assert!(!dispatcher.serves(epoch));
    assert!(first.calls().contains(&Call::Closing(1)));
    assert!(!last.calls().contains(&Call::Closing(2)), "called again");
    assert!(dispatcher.claim(), "the dispatcher can serve another state");
}

#[test]
fn a_decode_that_is_cancelled_meanwhile_ends_where_that_throws() {
    let (dispatcher, epoch) = open();
    let library = throwing(|call| matches!(call, Call::CancelWaiting(_)));
    let handle = library.register(dispatcher, 1).unwrap();
    let waiting = waiting_thread(dispatcher, handle, 1);
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    let unregister = std::thread::spawn(move || dispatcher.unregister(handle));
    while dispatcher.deliver_plain(handle, payload(2)).is_ok() {
        std::thread::yield_now();
    }
    left_by_an_exception(|| {
        dispatcher.decoded(&taken, DecodeEnd::Values);
    });
    assert_eq!(waiting.join().unwrap(), Outcome::Cancelled);
    unregister.join().unwrap().unwrap();
    unsafe { dispatcher.close(epoch) };
    assert!(dispatcher.claim(), "a call is left in the library");
}

#[test]
fn a_reply_that_nobody_can_give_ends_where_its_cancelling_throws() {
    let (dispatcher, epoch) = open();
    let library = throwing(|call| matches!(call, Call::CancelWaiting(_)));
    let handle = library.register(dispatcher, 1).unwrap();
    let (waiting, ticket) = waiting_for_reply(dispatcher, handle, 1);
    left_by_an_exception(|| unsafe { dispatcher.cancel_reply(ticket) });
    assert_eq!(waiting.join().unwrap(), Outcome::Cancelled);
    dispatcher.unregister(handle).unwrap();
    unsafe { dispatcher.close(epoch) };
    assert!(dispatcher.claim(), "a call is left in the library");
}

#[test]
fn a_delivery_whose_end_throws_leaves_no_call_in_its_library() {
    let (dispatcher, epoch) = open();
    let library = throwing(|call| matches!(call, Call::Finish(1)));
    let handle = library.register(dispatcher, 1).unwrap();
    for end in [DecodeEnd::Values, DecodeEnd::Failed] {
        dispatcher.deliver_plain(handle, payload(1)).unwrap();
        let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
        left_by_an_exception(|| {
            dispatcher.decoded(&taken, end);
        });
    }
    // This waits for a call that is left in the library.
    std::thread::spawn(move || dispatcher.unregister(handle)).join().unwrap().unwrap();
    assert!(library.calls().contains(&Call::Release(1)));
    unsafe { dispatcher.close(epoch) };
    assert!(dispatcher.claim(), "a call is left in the library");
}

#[test]
fn a_request_whose_completion_throws_leaves_no_call_in_its_library() {
    let (dispatcher, epoch) = open();
    let library = throwing(|call| matches!(call, Call::Complete(..)));
    let handle = library.register(dispatcher, 1).unwrap();
    hand_over(dispatcher, handle, request(1)).unwrap();
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    left_by_an_exception(|| {
        dispatcher.decoded(&taken, DecodeEnd::Failed);
    });
    // This waits for a call that is left in the library.
    std::thread::spawn(move || dispatcher.unregister(handle)).join().unwrap().unwrap();
    assert!(library.calls().contains(&Call::Release(1)));
    unsafe { dispatcher.close(epoch) };
    assert!(dispatcher.claim(), "a call is left in the library");
}
