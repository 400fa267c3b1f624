//! Callbacks: one is forgotten once, whoever holds it and whoever lets it go.

use dss_impl::callbacks::CallbackId;
use dss_impl::capacity::Policy;
use dss_impl::dispatcher::Dispatcher;
use loom::sync::Arc;

use crate::fake::{beside, bounded_house, three, two};

/// The only reference to a new callback; the models give it back by number.
fn callback(dispatcher: &Arc<Dispatcher>) -> CallbackId {
    dispatcher.insert_callback().unwrap()
}

#[test]
fn a_callback_is_forgotten_once_where_release_and_retain_race() {
    three(|| {
        let house = bounded_house(1, Policy::Refuse);
        let dispatcher = &house.dispatcher;
        let id = callback(dispatcher);
        let releasing = beside(&house, move |dispatcher| dispatcher.release_callback(id));
        let retaining = beside(&house, move |dispatcher| {
            let held = dispatcher.retain_callback(id);
            if held {
                assert!(dispatcher.retain_callback(id), "held, and dead");
                dispatcher.release_callback(id);
                dispatcher.release_callback(id);
            }
        });
        let mut forgotten = crate::fake::released(&dispatcher);
        releasing.join().unwrap();
        retaining.join().unwrap();
        forgotten.extend(crate::fake::released(&dispatcher));
        assert_eq!(forgotten, [id.slot()]);
        assert!(!dispatcher.retain_callback(id));
        let fresh = callback(dispatcher);
        assert_eq!(fresh.slot(), id.slot(), "given again");
        assert_ne!(fresh, id);
        assert_ne!(callback(dispatcher).slot(), id.slot(), "and once");
    });
}

#[test]
fn a_late_release_does_not_touch_the_next_state() {
    two(|| {
        let house = bounded_house(1, Policy::Refuse);
        let dispatcher = &house.dispatcher;
        // A call of a library's in the close would let the other thread go first.
        dispatcher.unregister(house.handle).unwrap();
        let id = callback(dispatcher);
        let releasing = beside(&house, move |dispatcher| {
            let held = dispatcher.retain_callback(id);
            dispatcher.release_callback(id);
            if held {
                dispatcher.release_callback(id);
            }
        });
        unsafe { dispatcher.close(house.epoch) };
        assert!(dispatcher.claim());
        dispatcher.open();
        let (first, second) = (callback(dispatcher), callback(dispatcher));
        assert_ne!(first.slot(), second.slot(), "one place for two");
        assert!(first != id && second != id);
        assert!(!dispatcher.retain_callback(id), "dead since the close");
        releasing.join().unwrap();
        for held in [first, second] {
            assert!(dispatcher.retain_callback(held), "the next state's own");
        }
        let forgotten = crate::fake::released(&dispatcher);
        assert!(forgotten.iter().all(|place| ![first.slot(), second.slot()].contains(place)));
    });
}
