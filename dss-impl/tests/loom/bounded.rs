//! Bounds, ends before the time, and callbacks: who waits for room is not left asleep, and what is ended is ended once,
//! whoever else is at it.

use std::sync::atomic::Ordering::SeqCst;

use dss_impl::bounds::{DEFAULT_BYTES, Limits, Policy};
use dss_impl::callbacks::CallbackId;
use dss_impl::delivery::{DeliverError, Outcome};
use dss_impl::dispatcher::{BoundedError, Consignment, DecodeEnd, Dispatcher, ReplyEnd};
use dss_impl::handle::Handle;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::fake::{FOREVER, House, bounded_house, parcel, three, three_sleepers, two, waited};

const WAIT: Policy = Policy::Wait(FOREVER);

fn item(data: usize) -> Consignment<'static> {
    Consignment { parcel: parcel(data), bytes: 1, key: &[], completes: false }
}

fn request(data: usize) -> Consignment<'static> {
    Consignment { parcel: waited(data), completes: true, ..item(data) }
}

fn deliver(dispatcher: &Dispatcher, handle: Handle, it: Consignment<'_>) -> Result<u64, BoundedError> {
    dispatcher.deliver_bounded(handle, it, true).map(|accepted| accepted.sequence)
}

/// A thread that hands over parcel `data`, and waits for room where it must.
fn producer(house: &House, data: usize) -> JoinHandle<Result<u64, BoundedError>> {
    let (dispatcher, handle) = (house.dispatcher.clone(), house.handle);
    thread::spawn(move || deliver(&dispatcher, handle, item(data)))
}

/// A thread that runs `work` with the dispatcher.
fn beside<T: 'static>(house: &House, work: impl FnOnce(&Dispatcher) -> T + 'static) -> JoinHandle<T> {
    let dispatcher = house.dispatcher.clone();
    thread::spawn(move || work(&dispatcher))
}

fn leave(house: &House) -> JoinHandle<()> {
    let (fake, handle) = (house.fake, house.handle);
    beside(house, move |dispatcher| {
        dispatcher.unregister(handle).expect("nobody else unregisters it");
        assert_eq!(fake.inside.load(SeqCst), 0, "a call runs");
        fake.left.store(true, SeqCst);
    })
}

/// A request that was taken was completed once, as `outcome`, after any cancel.
fn assert_completed(house: &House, data: usize, outcome: Outcome) {
    let fate = &house.fake.fates[data];
    assert_eq!(fate.completed.load(SeqCst), 1, "completed");
    assert_eq!(*fate.outcome.lock().unwrap(), Some(outcome));
    assert_eq!(fate.finished.load(SeqCst), 0, "finished, too");
    assert!(fate.cancelled.load(SeqCst) + fate.cancelled_waiting.load(SeqCst) <= 1);
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
        house.dispatcher.limit(house.handle, Limits { items: 2, policy: WAIT, ..Limits::default() }).unwrap();
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
        assert!(matches!(answer, Ok(_) | Err(BoundedError::Deliver(DeliverError::InvalidHandle))));
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
        house.dispatcher.close(house.epoch);
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
        let info = house.dispatcher.libraries().remove(0);
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
        let keyed = |data| Consignment { key: b"key", ..item(data) };
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
        let large = Consignment { bytes: DEFAULT_BYTES as u32, ..item(2) };
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
        house.dispatcher.limit(house.handle, Limits { items: 2, ..Limits::default() }).unwrap();
        deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        assert!(house.fake.poll(&house.dispatcher), "the other lies at the desk now");
        let drop_oldest = Limits { items: 1, policy: Policy::DropOldest, ..Limits::default() };
        house.dispatcher.limit(house.handle, drop_oldest).unwrap();
        let waiting = producer(&house, 2);
        house.dispatcher.limit(house.handle, Limits { policy: WAIT, ..drop_oldest }).unwrap();
        while house.fake.poll(&house.dispatcher) {}
        waiting.join().unwrap().unwrap();
    });
}

#[test]
fn end_and_take_race_for_an_item() {
    two(|| {
        let house = bounded_house(2, Policy::Refuse);
        let number = deliver(&house.dispatcher, house.handle, item(0)).unwrap();
        deliver(&house.dispatcher, house.handle, item(1)).unwrap();
        let handle = house.handle;
        let ending =
            beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::Withdrawn, true));
        let mut taken = 0;
        while house.fake.poll(&house.dispatcher) {
            taken += 1;
        }
        let ended = ending.join().unwrap();
        assert_eq!(taken, if ended { 1 } else { 2 });
        house.fake.assert_ended(0, true);
        house.fake.assert_ended(1, true);
        let info = house.dispatcher.libraries().remove(0);
        assert_eq!((info.delivered, info.cancelled, info.bytes), (taken, 2 - taken, 0));
        assert_eq!(house.dispatcher.queue_size(), 0);
    });
}

#[test]
fn a_request_is_completed_once_where_end_and_reply_race() {
    two(|| {
        let house = bounded_house(1, Policy::Refuse);
        let number = deliver(&house.dispatcher, house.handle, request(0)).unwrap();
        let handle = house.handle;
        let ending =
            beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::TimedOut, false));
        let mut replied = false;
        if let Some(taken) = unsafe { house.dispatcher.take_one() } {
            // Where it was ended in its decode there is nothing to reply to.
            let reply = house.fake.decode(&house.dispatcher, &taken, DecodeEnd::Values).reply;
            let replying = house.dispatcher.begin_reply(taken.ticket.unwrap());
            assert!(reply || replying.is_none());
            if let Some(replying) = replying {
                house.dispatcher.replied(&replying, ReplyEnd::Replied);
                replied = true;
            }
        }
        let ended = ending.join().unwrap();
        assert!(ended != replied, "both, or none");
        assert_completed(&house, 0, if ended { Outcome::TimedOut } else { Outcome::Replied });
        assert_eq!(house.dispatcher.pending(), 0);
    });
}

/// Lua keeps the reply and never answers: the end finds it, even where it comes inside the decode.
#[test]
fn a_deadline_is_not_lost_in_the_decode() {
    two(|| {
        let house = bounded_house(1, Policy::Refuse);
        let number = deliver(&house.dispatcher, house.handle, request(0)).unwrap();
        let handle = house.handle;
        let ending =
            beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::TimedOut, false));
        if let Some(taken) = unsafe { house.dispatcher.take_one() } {
            house.fake.decode(&house.dispatcher, &taken, DecodeEnd::Values);
        }
        assert!(ending.join().unwrap(), "it has no answer");
        assert_completed(&house, 0, Outcome::TimedOut);
    });
}

#[test]
fn a_request_is_completed_once_where_end_and_unregister_race() {
    three(|| {
        let house = bounded_house(1, Policy::Refuse);
        let number = deliver(&house.dispatcher, house.handle, request(0)).unwrap();
        let handle = house.handle;
        let ending =
            beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::Withdrawn, false));
        let leaving = leave(&house);
        let mut replied = false;
        if let Some(taken) = unsafe { house.dispatcher.take_one() }
            && house.fake.decode(&house.dispatcher, &taken, DecodeEnd::Values).reply
            && let Some(replying) = house.dispatcher.begin_reply(taken.ticket.unwrap())
        {
            house.dispatcher.replied(&replying, ReplyEnd::Replied);
            replied = true;
        }
        let ended = ending.join().unwrap();
        leaving.join().unwrap();
        let outcome = match (ended, replied) {
            (true, true) => panic!("both"),
            (true, false) => Outcome::Withdrawn,
            (false, true) => Outcome::Replied,
            (false, false) => Outcome::Cancelled,
        };
        assert_completed(&house, 0, outcome);
        assert_eq!(house.fake.released.load(SeqCst), 1);
    });
}

/// The only reference to a new callback; the models give it back by number.
fn callback(dispatcher: &Arc<Dispatcher>) -> CallbackId {
    CallbackId::from_raw(dispatcher.new_callback().unwrap().into_raw())
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
        let mut forgotten = dispatcher.released_callbacks().unwrap_or_default();
        releasing.join().unwrap();
        retaining.join().unwrap();
        forgotten.extend(dispatcher.released_callbacks().unwrap_or_default());
        assert_eq!(forgotten, [id.place()]);
        assert!(!dispatcher.retain_callback(id));
        let fresh = callback(dispatcher);
        assert_eq!(fresh.place(), id.place(), "given again");
        assert_ne!(fresh, id);
        assert_ne!(callback(dispatcher).place(), id.place(), "and once");
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
        dispatcher.close(house.epoch);
        assert!(dispatcher.claim());
        dispatcher.open();
        let (first, second) = (callback(dispatcher), callback(dispatcher));
        assert_ne!(first.place(), second.place(), "one place for two");
        assert!(first != id && second != id);
        assert!(!dispatcher.retain_callback(id), "dead since the close");
        releasing.join().unwrap();
        for held in [first, second] {
            assert!(dispatcher.retain_callback(held), "the next state's own");
        }
        let forgotten = dispatcher.released_callbacks().unwrap_or_default();
        assert!(forgotten.iter().all(|place| ![first.place(), second.place()].contains(place)));
    });
}
