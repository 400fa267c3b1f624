//! Bounds: who waits for room is not left asleep, and what makes room ends once, whoever else is at it.

use std::sync::atomic::Ordering::SeqCst;

use dss_impl::capacity::{DEFAULT_BYTES, Limits, Policy};
use dss_impl::channel::ChannelId;
use dss_impl::delivery::{DeliverError, Delivery};
use dss_impl::outcome::Outcome;
use loom::thread::{self, JoinHandle};

use crate::fake::{
    FOREVER, House, NUMBER, beside, bounded_house, deliver, item, leave, three, three_sleepers, two,
};

const WAIT: Policy = Policy::Wait(FOREVER);

/// A thread that hands over payload `data`, and waits for room where it must.
fn producer(house: &House, data: usize) -> JoinHandle<Result<u64, DeliverError>> {
    let (dispatcher, handle) = (house.dispatcher.clone(), house.handle);
    thread::spawn(move || deliver(&dispatcher, handle, item(data)))
}

#[test]
fn a_producer_that_waits_is_not_left_asleep_when_lua_takes() {
    two(|| {
        let house = bounded_house(1, WAIT);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        let waiting = producer(&house, 1);
        assert!(house.fake.poll(&house.dispatcher), "the first is there");
        // Where it sleeps on, this is a deadlock.
        waiting.join().unwrap().unwrap();
        assert!(house.fake.poll(&house.dispatcher));
        house.fake.assert_ended(0, true);
        house.fake.assert_ended(1, true);
    });
}

#[test]
fn two_producers_that_wait_are_not_left_asleep() {
    three_sleepers(|| {
        let house = bounded_house(1, WAIT);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        let waiting = [producer(&house, 1), producer(&house, 2)];
        let mut taken = 0;
        while taken < 3 {
            house.dispatcher.wait(FOREVER);
            taken += usize::from(house.fake.poll(&house.dispatcher));
        }
        for waiting in waiting {
            waiting.join().unwrap().unwrap();
        }
        (0..3).for_each(|data| house.fake.assert_ended(data, true));
    });
}

#[test]
fn a_producer_that_waits_is_not_left_asleep_when_an_item_is_ended() {
    two(|| {
        let house = bounded_house(1, WAIT);
        let first = deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        let waiting = producer(&house, 1);
        assert!(house.dispatcher.end(house.handle, first, Outcome::Withdrawn, true));
        waiting.join().unwrap().unwrap();
        assert!(house.fake.poll(&house.dispatcher));
        assert!(!house.fake.poll(&house.dispatcher));
    });
}

#[test]
fn a_producer_that_waits_is_not_left_asleep_when_the_bound_changes() {
    two(|| {
        let house = bounded_house(1, WAIT);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        let waiting = producer(&house, 1);
        house
            .dispatcher
            .limit(
                house.handle,
                NUMBER,
                ChannelId::FIRST,
                Limits { items: 2, policy: WAIT, ..Limits::default() },
            )
            .unwrap();
        waiting.join().unwrap().unwrap();
        assert_eq!(house.dispatcher.queue_size(), 2);
    });
}

#[test]
fn a_producer_that_waits_is_released_when_its_library_leaves() {
    three(|| {
        let house = bounded_house(1, WAIT);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        let (waiting, leaving) = (producer(&house, 1), leave(&house));
        house.fake.poll(&house.dispatcher);
        let answer = waiting.join().unwrap();
        leaving.join().unwrap();
        assert!(matches!(answer, Ok(_) | Err(DeliverError::InvalidHandle)));
        house.fake.assert_ended(0, true);
        house.fake.assert_ended(1, answer.is_ok());
        assert_eq!(house.dispatcher.queue_size(), 0);
    });
}

#[test]
fn a_producer_that_waits_is_released_before_its_library_joins_it() {
    two(|| {
        let house = bounded_house(1, WAIT);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        let fake = house.fake;
        fake.join_when_told();
        let handle = house.handle;
        let waiting = beside(&house, move |dispatcher| {
            let answer = deliver(dispatcher, handle, item(1));
            fake.joinable();
            answer
        });
        unsafe { house.dispatcher.close(house.epoch) };
        let answer = waiting.join().unwrap();
        fake.assert_ended(0, true);
        fake.assert_ended(1, answer.is_ok());
        assert!(house.dispatcher.claim(), "free for the next state");
    });
}

#[test]
fn the_oldest_is_taken_or_dropped() {
    two(|| {
        let house = bounded_house(1, Policy::DropOldest);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        let dropping = producer(&house, 1);
        let taken = house.fake.poll(&house.dispatcher);
        dropping.join().unwrap().expect("there is always an oldest to make room");
        let again = house.fake.poll(&house.dispatcher);
        assert!(taken || again);
        assert!(!house.fake.poll(&house.dispatcher));
        house.fake.assert_ended(0, true);
        house.fake.assert_ended(1, true);
        let info = house.dispatcher.libraries().unwrap().remove(0);
        assert_eq!((info.delivered + info.dropped, info.high_water, info.queued), (2, 1, 0));
    });
}

#[test]
fn the_oldest_at_the_desk_is_taken_or_dropped() {
    two(|| {
        let house = bounded_house(2, Policy::DropOldest);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        deliver(&house.dispatcher, house.handle, item(1)).unwrap();
        let dropping = producer(&house, 2);
        for _ in 0..2 {
            house.fake.poll(&house.dispatcher);
        }
        dropping.join().unwrap().expect("there is always an oldest to make room");
        while house.fake.poll(&house.dispatcher) {}
        (0..3).for_each(|data| house.fake.assert_ended(data, true));
        assert_eq!(house.dispatcher.queue_size(), 0);
    });
}

#[test]
fn the_latest_of_a_key_always_finds_its_place() {
    two(|| {
        let house = bounded_house(1, Policy::Latest);
        let keyed = |data| Delivery { key: b"key", ..item(data) };
        deliver(&house.dispatcher, house.handle, keyed(0)).unwrap();
        let handle = house.handle;
        let producing = beside(&house, move |dispatcher| deliver(dispatcher, handle, keyed(1)));
        house.fake.poll(&house.dispatcher);
        producing.join().unwrap().expect("it takes the place of the first, or that was taken");
        while house.fake.poll(&house.dispatcher) {}
        house.fake.assert_ended(0, true);
        house.fake.assert_ended(1, true);
    });
}

#[test]
fn no_code_runs_after_unregister_where_a_producer_drops() {
    two(|| {
        let house = bounded_house(2, Policy::DropOldest);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        deliver(&house.dispatcher, house.handle, item(1)).unwrap();
        let leaving = leave(&house);
        // It drops two, which takes longer than to cancel one: the calls of a model take turns.
        let large = Delivery { bytes: DEFAULT_BYTES as u32, ..item(2) };
        let accepted = deliver(&house.dispatcher, house.handle, large).is_ok();
        leaving.join().unwrap();
        house.fake.assert_ended(0, true);
        house.fake.assert_ended(1, true);
        house.fake.assert_ended(2, accepted);
        assert_eq!(house.fake.released.load(SeqCst), 1);
    });
}

/// Who needed the desk to make room gives it up before it sleeps.
#[test]
fn a_producer_that_waits_under_a_new_policy_has_no_lock() {
    two(|| {
        let house = bounded_house(1, Policy::DropOldest);
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        deliver(&house.dispatcher, house.handle, item(1)).unwrap();
        house
            .dispatcher
            .limit(house.handle, NUMBER, ChannelId::FIRST, Limits { items: 2, ..Limits::default() })
            .unwrap();
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        assert!(house.fake.poll(&house.dispatcher), "the other lies at the desk now");
        let drop_oldest = Limits { items: 1, policy: Policy::DropOldest, ..Limits::default() };
        house.dispatcher.limit(house.handle, NUMBER, ChannelId::FIRST, drop_oldest).unwrap();
        let waiting = producer(&house, 2);
        house
            .dispatcher
            .limit(house.handle, NUMBER, ChannelId::FIRST, Limits { policy: WAIT, ..drop_oldest })
            .unwrap();
        while house.fake.poll(&house.dispatcher) {}
        waiting.join().unwrap().unwrap();
    });
}
