//! Promise 9: closing a state always ends, in order, with every thread released and nothing left for the next state.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{
    Call, Deliver, Library, hand_over, house, item, open, payload, plain, poll, waiting_for_reply,
    waiting_thread,
};
use dss_impl::capacity::{Limits, Policy};
use dss_impl::delivery::DeliverError;
use dss_impl::dispatcher::{DecodeEnd, RegisterError, ReplyEnd};
use dss_impl::notifier::Notifier;
use dss_impl::outcome::Outcome;

struct Counter(AtomicUsize);

impl Notifier for Counter {
    fn notify(&self, _: usize) -> io::Result<()> {
        self.0.fetch_add(1, SeqCst);
        Ok(())
    }
}

#[test]
fn libraries_are_told_last_registered_first_after_their_items() {
    let (dispatcher, epoch) = open();
    let library = Library::new();
    let first = library.register(dispatcher, 1).unwrap();
    let second = library.register(dispatcher, 2).unwrap();
    dispatcher.deliver_plain(first, payload(10)).unwrap();
    dispatcher.deliver_plain(second, payload(20)).unwrap();
    unsafe { dispatcher.close(epoch) };
    assert_eq!(
        library.calls(),
        [
            Call::CancelQueued(20),
            Call::Finish(20),
            Call::CancelQueued(10),
            Call::Finish(10),
            Call::Closing(2),
            Call::Release(2),
            Call::Closing(1),
            Call::Release(1),
        ]
    );
    assert!(!dispatcher.serves(epoch));
    assert_eq!((dispatcher.registered(), dispatcher.queue_size()), (0, 0));
}

#[test]
fn a_library_may_unregister_when_it_is_told_or_not() {
    let (dispatcher, epoch, library, handle) = house();
    let second = library.register(dispatcher, 2).unwrap();
    library.on_call(move |call, told| {
        if call == Call::Closing(2) {
            assert_eq!(told, second);
            dispatcher.unregister(second).unwrap();
            // And another, that has not been told.
            dispatcher.unregister(handle).unwrap();
        }
    });
    unsafe { dispatcher.close(epoch) };
    assert_eq!(library.calls(), [Call::Closing(2), Call::Release(1), Call::Release(2)]);
    assert!(dispatcher.claim());
}

#[test]
fn nothing_comes_in_while_the_state_closes() {
    let (dispatcher, epoch, library, _) = house();
    let called = Arc::new(AtomicBool::new(false));
    library.on_call({
        let called = Arc::clone(&called);
        move |call, handle| {
            if call != Call::Closing(1) || called.swap(true, SeqCst) {
                return;
            }
            assert_eq!(dispatcher.deliver_plain(handle, payload(1)), Err(DeliverError::Stopping));
            let waited = dispatcher.deliver_and_wait(handle, plain(1));
            assert_eq!(waited, Err(DeliverError::WouldDeadlock));
            let there = std::thread::spawn(move || dispatcher.deliver_and_wait(handle, plain(1)));
            assert_eq!(there.join().unwrap(), Err(DeliverError::Stopping));
            assert_eq!(library.register(dispatcher, 2), Err(RegisterError::Stopping));
            // And again, which does nothing.
            unsafe { dispatcher.close(epoch) };
        }
    });
    unsafe { dispatcher.close(epoch) };
    assert!(called.load(SeqCst));
    assert_eq!(library.calls(), [Call::Closing(1), Call::Release(2), Call::Release(1)]);
}

#[test]
fn a_notifier_set_while_the_state_closes_is_not_the_next_ones() {
    let (dispatcher, epoch, library, _) = house();
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    library.on_call({
        let counter = Arc::clone(&counter);
        move |call, _| {
            if call == Call::Closing(1) {
                dispatcher.set_notifier(Some(Box::new(counter.clone()))).unwrap();
            }
        }
    });
    unsafe { dispatcher.close(epoch) };
    assert!(dispatcher.claim());
    dispatcher.open();
    let handle = Library::new().register(dispatcher, 1).unwrap();
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    assert_eq!(counter.0.load(SeqCst), 0, "another state's port");
}

#[test]
fn every_waiting_thread_is_released() {
    let (dispatcher, epoch, library, handle) = house();
    let (waiting, ticket) = waiting_for_reply(dispatcher, handle, 1);
    let queued: Vec<_> = (2..10).map(|data| waiting_thread(dispatcher, handle, data)).collect();
    library.on_call({
        // A library that joins its threads when it is told.
        let threads = std::sync::Mutex::new(Some((waiting, queued)));
        move |call, _| {
            if call == Call::Closing(1) {
                let (waiting, queued) = threads.lock().unwrap().take().unwrap();
                assert_eq!(waiting.join().unwrap(), Outcome::Cancelled);
                for thread in queued {
                    assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
                }
            }
        }
    });
    unsafe { dispatcher.close(epoch) };
    assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none());
    assert_eq!(library.calls().len(), 11);
}

#[test]
fn a_library_may_join_a_thread_that_unregisters_it_when_it_is_told() {
    let (dispatcher, epoch, library, handle) = house();
    library.on_call(move |call, _| {
        if call == Call::Closing(1) {
            std::thread::spawn(move || dispatcher.unregister(handle).unwrap()).join().unwrap();
        }
    });
    unsafe { dispatcher.close(epoch) };
    assert_eq!(library.calls(), [Call::Closing(1), Call::Release(1)], "released after the call ended");
    assert!(dispatcher.claim());
}

#[test]
fn a_close_inside_a_decode_leaves_its_thread_waiting_until_the_decode_ends() {
    let (dispatcher, epoch, library, handle) = house();
    let thread = waiting_thread(dispatcher, handle, 1);
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    unsafe { dispatcher.close(epoch) };
    assert_eq!(library.calls(), [Call::Closing(1)], "the library is held by the decode");
    assert!(!dispatcher.claim(), "not free while a call of the old state runs");
    assert!(!thread.is_finished());
    let decoded = dispatcher.decoded(&taken, DecodeEnd::Values);
    assert!(!decoded.reply);
    assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
    assert_eq!(library.calls(), [Call::CancelWaiting(1), Call::Release(1)]);
    assert!(dispatcher.claim());
}

#[test]
fn a_close_inside_a_reply_leaves_its_end_to_the_reply() {
    let (dispatcher, epoch, library, handle) = house();
    let (thread, ticket) = waiting_for_reply(dispatcher, handle, 1);
    let replying = unsafe { dispatcher.begin_reply(ticket) }.unwrap();
    unsafe { dispatcher.close(epoch) };
    assert!(!thread.is_finished());
    dispatcher.replied(&replying, ReplyEnd::Replied);
    assert_eq!(thread.join().unwrap(), Outcome::Replied);
    assert_eq!(library.calls(), [Call::Closing(1), Call::Release(1)]);
    assert!(dispatcher.claim());
}

#[test]
fn the_dispatcher_is_not_reused_before_the_last_thread_has_left() {
    let (dispatcher, epoch, library, handle) = house();
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    let (entered, go_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    library.on_call({
        let (entered, go_on) = (Arc::clone(&entered), Arc::clone(&go_on));
        move |call, _| {
            if call == Call::CancelQueued(1) {
                entered.store(true, SeqCst);
                while !go_on.load(SeqCst) {
                    std::thread::yield_now();
                }
            }
        }
    });
    let leaver = std::thread::spawn(move || dispatcher.unregister(handle));
    while !entered.load(SeqCst) {
        std::thread::yield_now();
    }
    // It ends although another thread stands in the library's code.
    unsafe { dispatcher.close(epoch) };
    assert!(!dispatcher.serves(epoch));
    assert!(!dispatcher.claim());
    go_on.store(true, SeqCst);
    leaver.join().unwrap().unwrap();
    assert_eq!(library.calls(), [Call::CancelQueued(1), Call::Finish(1), Call::Release(1)]);
    assert!(dispatcher.claim());
}

#[test]
fn what_comes_too_late_does_not_touch_the_next_state() {
    let (dispatcher, epoch, _, handle) = house();
    let (thread, ticket) = waiting_for_reply(dispatcher, handle, 1);
    unsafe { dispatcher.close(epoch) };
    assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
    assert!(dispatcher.claim());
    let (opened, late) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = dispatcher.open();
            let fresh = Library::new().register(dispatcher, 1).unwrap();
            dispatcher.deliver_plain(fresh, payload(2)).unwrap();
            opened.wait();
            late.wait();
            assert!(dispatcher.on_lua_thread());
            let refused = dispatcher.deliver_and_wait(fresh, plain(1));
            assert_eq!(refused, Err(DeliverError::WouldDeadlock));
            assert_eq!(poll(dispatcher), Some(2));
            unsafe { dispatcher.close(next) };
        });
        opened.wait();
        // The collector of the old state, on its own thread, in whatever order it takes things.
        assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none());
        unsafe { dispatcher.close(epoch) };
        late.wait();
    });
}

/// While a state closes, an unregister on another thread waits for the others that are in the library's code; not for the cancel
/// function, which may be joining it.
#[test]
fn in_a_close_too_unregister_waits_for_who_is_inside() {
    let (dispatcher, epoch) = open();
    let library = Library::new();
    let limits = Limits { items: 1, bytes: 1000, policy: Policy::DropOldest };
    let handle = library.register_bounded(dispatcher, 1, limits);
    hand_over(dispatcher, handle, item(0)).unwrap();
    let (inside, entered) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let (over, waited) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    library.on_call({
        let (over, waited) = (Arc::clone(&over), Arc::clone(&waited));
        move |call, handle| match call {
            Call::Finish(0) => {
                inside.send(()).unwrap();
                gone.lock().unwrap().recv().unwrap();
                over.store(true, SeqCst);
            }
            Call::Closing(_) => {
                let (over, waited) = (Arc::clone(&over), Arc::clone(&waited));
                let leaver = std::thread::spawn(move || {
                    dispatcher.unregister(handle).unwrap();
                    waited.store(over.load(SeqCst), SeqCst);
                });
                std::thread::sleep(Duration::from_millis(20));
                go.send(()).unwrap();
                leaver.join().unwrap();
            }
            _ => {}
        }
    });
    let producer = std::thread::spawn(move || hand_over(dispatcher, handle, item(1)).unwrap());
    entered.recv().unwrap();
    unsafe { dispatcher.close(epoch) };
    producer.join().unwrap();
    assert!(waited.load(SeqCst), "its code ran on the producer's thread when unregister returned");
    assert_eq!(library.calls().last(), Some(&Call::Release(1)));
}
