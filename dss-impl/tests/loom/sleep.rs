//! Sleeping in `wait`: no wake-up is lost. A model has no clock, so one that is lost is a deadlock.

use dss_impl::dispatcher::Waited;
use loom::thread;

use crate::fake::{Deliver, FOREVER, House, house, payload, three, two};

#[test]
fn a_deliver_wakes() {
    three(|| {
        let House { dispatcher, fake, handle, .. } = house();
        let producers = [0, 1].map(|data| {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || dispatcher.deliver_plain(handle, payload(data)).unwrap())
        });
        for _ in 0..2 {
            while dispatcher.wait(FOREVER) != Waited::Queued {}
            assert!(fake.poll(&dispatcher), "said to be queued");
        }
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

#[test]
fn the_last_unregister_wakes() {
    two(|| {
        let House { dispatcher, handle, .. } = house();
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || dispatcher.unregister(handle).unwrap())
        };
        while dispatcher.registered() > 0 {
            dispatcher.wait_registered(FOREVER);
        }
        leaver.join().unwrap();
    });
}

#[test]
fn a_deliver_that_is_cancelled_again_does_not_spoil_the_next_sleep() {
    two(|| {
        let House { dispatcher, handle, .. } = house();
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || {
                dispatcher.deliver_plain(handle, payload(0)).unwrap();
                dispatcher.unregister(handle).unwrap();
            })
        };
        while dispatcher.registered() > 0 {
            // Left in the queue: what the sleeper was woken for may be gone before it looks.
            if dispatcher.wait_registered(FOREVER) == Waited::Queued {
                thread::yield_now();
            }
        }
        leaver.join().unwrap();
    });
}
