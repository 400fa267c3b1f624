//! Promise 3, for items that no thread waits for: each that is accepted ends once, one that is refused is not touched.

use std::sync::atomic::Ordering::SeqCst;

use loom::thread;

use crate::fake::{Deliver, House, house, payload, three, two};

#[test]
fn each_item_ends_once_where_take_and_unregister_race() {
    three(|| {
        let House { dispatcher, fake, handle, .. } = house();
        let producer = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || dispatcher.deliver_plain(handle, payload(0)).is_ok())
        };
        let leaver = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || {
                let accepted = dispatcher.deliver_plain(handle, payload(1)).is_ok();
                dispatcher.unregister(handle).expect("nobody else unregisters it");
                assert_eq!(fake.released.load(SeqCst), 1, "let go of before unregister returns");
                fake.left.store(true, SeqCst);
                accepted
            })
        };
        fake.poll(&dispatcher);
        fake.poll(&dispatcher);
        let (first, second) = (producer.join().unwrap(), leaver.join().unwrap());
        assert!(second, "delivered before it unregistered");
        assert!(!fake.poll(&dispatcher), "nothing is left of a library that left");
        fake.assert_ended(0, first);
        fake.assert_ended(1, second);
        assert_eq!(dispatcher.queue_size(), 0);
    });
}

#[test]
fn one_of_two_that_unregister_does_it() {
    two(|| {
        let House { dispatcher, fake, handle, .. } = house();
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        let other = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || dispatcher.unregister(handle).is_ok())
        };
        let here = dispatcher.unregister(handle).is_ok();
        let there = other.join().unwrap();
        assert!(here != there, "both, or none");
        fake.assert_ended(0, true);
        assert_eq!(fake.released.load(SeqCst), 1);
    });
}

#[test]
fn items_of_one_thread_stay_in_order() {
    two(|| {
        let House { dispatcher, fake, handle, .. } = house();
        let producer = {
            let dispatcher = dispatcher.clone();
            thread::spawn(move || {
                for data in 0..3 {
                    dispatcher.deliver_plain(handle, payload(data)).unwrap();
                }
            })
        };
        let mut next = 0;
        let mut drain = || {
            while let Some(taken) = unsafe { dispatcher.take_one() }.unwrap() {
                assert_eq!(taken.payload.0[0], next);
                next += 1;
                fake.decode(&dispatcher, &taken, dss_impl::dispatcher::DecodeEnd::Over);
            }
        };
        drain();
        producer.join().unwrap();
        drain();
        assert_eq!(next, 3);
    });
}
