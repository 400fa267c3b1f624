//! Promise 7: after `unregister` returned, no code of that library runs or is called.

use std::sync::atomic::Ordering::SeqCst;

use dss_impl::dispatcher::DecodeEnd;
use loom::thread;

use crate::fake::{Deliver, House, house, payload, two};

#[test]
fn no_call_runs_after_unregister_returned() {
    two(|| {
        let House { dispatcher, fake, handle, .. } = house();
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || {
                dispatcher.unregister(handle).expect("nobody else unregisters it");
                assert_eq!(fake.inside.load(SeqCst), 0, "a call runs");
                fake.left.store(true, SeqCst);
            })
        };
        fake.poll(&dispatcher);
        leaver.join().unwrap();
        fake.assert_ended(0, true);
        assert_eq!(fake.released.load(SeqCst), 1);
    });
}

#[test]
fn a_decode_may_unregister_its_own_library() {
    two(|| {
        let House { dispatcher, fake, handle, .. } = house();
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        dispatcher.deliver_plain(handle, payload(1)).unwrap();
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || {
                let done = dispatcher.unregister(handle).is_ok();
                if done {
                    assert_eq!(fake.inside.load(SeqCst), 0, "a call runs");
                    fake.left.store(true, SeqCst);
                }
                done
            })
        };
        let mut done = false;
        if let Some(taken) = unsafe { dispatcher.take_one() }.unwrap() {
            // Inside the decode: it returns at once, whoever else is at it.
            done = dispatcher.unregister(handle).is_ok();
            fake.decode(&dispatcher, &taken, DecodeEnd::Over);
        }
        assert!(leaver.join().unwrap() != done, "both, or none");
        fake.assert_ended(0, true);
        fake.assert_ended(1, true);
        assert_eq!(fake.released.load(SeqCst), 1);
        assert!(unsafe { dispatcher.take_one() }.unwrap().is_none());
    });
}

#[test]
fn a_slot_is_not_reused_under_a_call() {
    two(|| {
        let House { dispatcher, fake, handle, .. } = house();
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || dispatcher.unregister(handle).unwrap())
        };
        let taken = unsafe { dispatcher.take_one() }.unwrap();
        let next = crate::fake::register(&dispatcher, Box::leak(Box::default()), 2);
        assert_ne!(next, handle);
        if let Some(taken) = taken {
            assert_eq!(taken.handle, handle);
            fake.decode(&dispatcher, &taken, DecodeEnd::Over);
        }
        leaver.join().unwrap();
        assert!(dispatcher.deliver_plain(handle, payload(1)).is_err(), "the handle is too old");
        assert!(dispatcher.unregister(handle).is_err(), "the handle is too old");
        assert!(dispatcher.unregister(next).is_ok());
        fake.assert_ended(0, true);
        fake.assert_ended(1, false);
    });
}
