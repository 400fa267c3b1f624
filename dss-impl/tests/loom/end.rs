//! Ends before their time: what is ended is ended once, whoever else is at it.

use std::sync::atomic::Ordering::SeqCst;

use dss_impl::capacity::Policy;
use dss_impl::dispatcher::{DecodeEnd, ReplyEnd};
use dss_impl::outcome::Outcome;

use crate::fake::{Deliver, House, beside, bounded_house, deliver, item, leave, request, three, two};

/// A request that was taken was completed once, as `outcome`, after any cancel.
fn assert_completed(house: &House, data: usize, outcome: Outcome) {
    let fate = &house.fake.fates[data];
    assert_eq!(fate.completed.load(SeqCst), 1, "completed");
    assert_eq!(*fate.outcome.lock().unwrap(), Some(outcome));
    assert_eq!(fate.finished.load(SeqCst), 0, "finished, too");
    assert!(fate.cancelled.load(SeqCst) + fate.cancelled_waiting.load(SeqCst) <= 1);
}

/// What the Lua thread does with a request: takes it, and replies where it has not ended by then. Whether it did.
fn takes_and_replies(house: &House) -> bool {
    let Some(taken) = unsafe { house.dispatcher.take_one() }.unwrap() else { return false };
    // Where it was ended in its decode there is nothing to reply to.
    let reply = house.fake.decode(&house.dispatcher, &taken, DecodeEnd::Values).reply;
    let replying = unsafe { house.dispatcher.begin_reply(taken.pending.unwrap()) };
    assert!(reply || replying.is_none());
    let Some(replying) = replying else { return false };
    house.dispatcher.replied(&replying, ReplyEnd::Replied);
    true
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
        let info = house.dispatcher.libraries().unwrap().remove(0);
        assert_eq!((info.delivered, info.cancelled, info.bytes), (taken, 2 - taken, 0));
        assert_eq!(house.dispatcher.queue_size(), 0);
    });
}

#[test]
fn a_request_is_completed_once_where_end_and_reply_race() {
    two(|| {
        let house = bounded_house(1, Policy::Refuse);
        let number = request(&house.dispatcher, house.fake, house.handle, 0).unwrap().sequence;
        let handle = house.handle;
        let ending =
            beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::TimedOut, false));
        let replied = takes_and_replies(&house);
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
        let number = request(&house.dispatcher, house.fake, house.handle, 0).unwrap().sequence;
        let handle = house.handle;
        let ending =
            beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::TimedOut, false));
        if let Some(taken) = unsafe { house.dispatcher.take_one() }.unwrap() {
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
        let number = request(&house.dispatcher, house.fake, house.handle, 0).unwrap().sequence;
        let handle = house.handle;
        let ending =
            beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::Withdrawn, false));
        let leaving = leave(&house);
        let replied = takes_and_replies(&house);
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

#[test]
fn what_is_for_a_callback_is_taken_or_ended() {
    two(|| {
        let house = bounded_house(3, Policy::Refuse);
        let (handle, fake) = (house.handle, house.fake);
        for data in 0..2 {
            deliver(&house.dispatcher, handle, item(data)).unwrap();
        }
        let ending = beside(&house, move |dispatcher| {
            let ended = dispatcher.end_all_of(fake, handle, Outcome::Withdrawn);
            (ended, deliver(dispatcher, handle, item(2)).is_ok())
        });
        let mut taken = 0;
        while house.fake.poll(&house.dispatcher) {
            taken += 1;
        }
        let (ended, accepted) = ending.join().unwrap();
        assert!(accepted, "there is room");
        while house.fake.poll(&house.dispatcher) {
            taken += 1;
        }
        assert_eq!(taken + ended, 3, "what came after the end is not ended by it");
        (0..3).for_each(|data| house.fake.assert_ended(data, true));
        let info = house.dispatcher.libraries().unwrap().remove(0);
        assert_eq!((info.delivered, info.cancelled, info.queued), (taken as u64, ended as u64, 0));
    });
}

#[test]
fn a_request_for_a_callback_is_completed_once_where_all_of_it_is_ended() {
    three(|| {
        let house = bounded_house(1, Policy::Refuse);
        let number = request(&house.dispatcher, house.fake, house.handle, 0).unwrap().sequence;
        let (handle, fake) = (house.handle, house.fake);
        let all = beside(&house, move |dispatcher| dispatcher.end_all_of(fake, handle, Outcome::Withdrawn));
        let one = beside(&house, move |dispatcher| dispatcher.end(handle, number, Outcome::TimedOut, false));
        let replied = takes_and_replies(&house);
        let outcome = match (all.join().unwrap(), one.join().unwrap(), replied) {
            (1, false, false) => Outcome::Withdrawn,
            (0, true, false) => Outcome::TimedOut,
            (0, false, true) => Outcome::Replied,
            ends => panic!("not by one of the three: {ends:?}"),
        };
        assert_completed(&house, 0, outcome);
        assert_eq!(house.dispatcher.pending(), 0);
    });
}
