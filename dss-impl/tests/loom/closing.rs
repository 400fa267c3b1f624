//! Promise 9: closing ends, whatever other threads do meanwhile, and leaves the dispatcher to the next state.

use std::sync::atomic::Ordering::SeqCst;

use dss_impl::capacity::Policy;
use dss_impl::delivery::DeliverError;
use loom::thread;

use crate::fake::{
    Deliver, House, bounded_house, deliver, house, item, payload, plain, register, three, two,
    two_with_many_locks,
};
use crate::waiting::{assert_told, waiting_thread};

#[test]
fn close_and_deliver() {
    three(|| {
        let House { dispatcher, fake, handle, epoch } = house();
        let producer = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || [0, 1].map(|data| dispatcher.deliver_plain(handle, payload(data))))
        };
        unsafe { dispatcher.close(epoch) };
        let results = producer.join().unwrap();
        for (data, result) in results.into_iter().enumerate() {
            fake.assert_ended(data, result.is_ok());
            if let Err(error) = result {
                assert!(matches!(error, DeliverError::Stopping | DeliverError::InvalidHandle));
            }
        }
        assert_eq!(fake.told.load(SeqCst), 1);
        assert_eq!(fake.released.load(SeqCst), 1);
        assert!(!dispatcher.serves(epoch));
        assert!(dispatcher.claim(), "free for the next state");
    });
}

#[test]
fn close_and_unregister() {
    two_with_many_locks(|| {
        let House { dispatcher, fake, handle, epoch } = house();
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || dispatcher.unregister(handle).is_ok())
        };
        unsafe { dispatcher.close(epoch) };
        // The next state may be served here as soon as the thread that leaves is through, not before.
        let reused = dispatcher.claim();
        if reused {
            assert!(dispatcher.open() > epoch);
            let next = register(&dispatcher, Box::leak(Box::default()), 1);
            assert_ne!(next, handle);
        }
        let left = leaver.join().unwrap();
        fake.assert_ended(0, true);
        assert_eq!(fake.released.load(SeqCst), 1);
        assert!(left || fake.told.load(SeqCst) == 1, "told, or it left by itself");
        assert_eq!(dispatcher.claim(), !reused);
    });
}

#[test]
fn close_and_deliver_and_wait_and_unregister() {
    three(|| {
        let house = house();
        let waiting = waiting_thread(&house);
        let leaver = {
            let (dispatcher, handle) = (house.dispatcher.clone(), house.handle);
            thread::spawn(move || dispatcher.unregister(handle).is_ok())
        };
        unsafe { house.dispatcher.close(house.epoch) };
        let answer = waiting.join().unwrap();
        leaver.join().unwrap();
        assert_told(house.fake, answer);
        assert_eq!(house.fake.released.load(SeqCst), 1);
        assert!(house.dispatcher.claim(), "free for the next state");
    });
}

#[test]
fn a_reply_too_late_does_not_claim_the_next_state() {
    three(|| {
        let house = house();
        let waiting = waiting_thread(&house);
        let ticket = unsafe { house.dispatcher.take_one() }.unwrap().and_then(|taken| {
            house.fake.decode(&house.dispatcher, &taken, dss_impl::dispatcher::DecodeEnd::Values);
            taken.pending
        });
        unsafe { house.dispatcher.close(house.epoch) };
        assert_told(house.fake, waiting.join().unwrap());
        let other = {
            let dispatcher = house.dispatcher.clone();
            thread::spawn(move || {
                assert!(dispatcher.claim());
                let epoch = dispatcher.open();
                let handle = register(&dispatcher, Box::leak(Box::default()), 1);
                let refused = dispatcher.deliver_and_wait(handle, plain(1));
                assert_eq!(refused, Err(DeliverError::WouldDeadlock));
                unsafe { dispatcher.close(epoch) };
            })
        };
        // The old state's collector comes late.
        if let Some(ticket) = ticket {
            assert!(unsafe { house.dispatcher.begin_reply(ticket) }.is_none());
        }
        unsafe { house.dispatcher.close(house.epoch) };
        other.join().unwrap();
    });
}

/// A library whose cancel function joins the thread that unregisters it: neither may wait for the other.
#[test]
fn a_cancel_function_may_join_the_thread_that_unregisters() {
    two(|| {
        let House { dispatcher, fake, handle, epoch } = house();
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        fake.join_when_told();
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || {
                let left = dispatcher.unregister(handle).is_ok();
                fake.joinable();
                left
            })
        };
        unsafe { dispatcher.close(epoch) };
        leaver.join().unwrap();
        fake.assert_ended(0, true);
        assert_eq!(fake.released.load(SeqCst), 1);
        assert!(dispatcher.claim(), "free for the next state");
    });
}

/// The same, where a producer is in the library's code meanwhile: the one that unregisters waits for that.
#[test]
fn a_cancel_function_may_join_a_thread_that_waits_for_another() {
    three(|| {
        let House { dispatcher, fake, handle, epoch } = bounded_house(1, Policy::DropOldest);
        deliver(&dispatcher, handle, item(0)).unwrap();
        fake.join_when_told();
        let producer = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || deliver(&dispatcher, handle, item(1)).is_ok())
        };
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || {
                if dispatcher.unregister(handle).is_ok() {
                    // The Lua thread may be in the cancel function, which sleeps until this thread says so.
                    let others = fake.inside.load(SeqCst) - fake.joining.load(SeqCst);
                    assert_eq!(others, 0, "the producer is in its code");
                }
                fake.joinable();
            })
        };
        unsafe { dispatcher.close(epoch) };
        leaver.join().unwrap();
        let accepted = producer.join().unwrap();
        fake.assert_ended(0, true);
        fake.assert_ended(1, accepted);
        assert_eq!(fake.released.load(SeqCst), 1);
    });
}
