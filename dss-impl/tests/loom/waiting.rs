//! Promise 3, for waiting threads: each is released once, and told which; and promise 8.

use std::sync::atomic::Ordering::SeqCst;

use dss_impl::delivery::DeliverError;
use dss_impl::dispatcher::{DecodeEnd, Dispatcher, ReplyEnd, Waited};
use dss_impl::outcome::Outcome;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::fake::{FOREVER, Fake, House, house, plain, three, two};

type Answer = Result<Outcome, DeliverError>;

/// A thread that delivers payload 0, waits, and has it back.
pub(crate) fn waiting_thread(house: &House) -> JoinHandle<Answer> {
    let (dispatcher, fake, handle) = (house.dispatcher.clone(), house.fake, house.handle);
    thread::spawn(move || {
        let answer = dispatcher.deliver_and_wait(handle, plain(0)).map(|(outcome, _)| outcome);
        fake.fates[0].gone.store(true, SeqCst);
        answer
    })
}

/// One poll of the Lua thread, with the reply if one is wanted. Returns what the waiting thread must be told, if it was
/// settled here.
fn poll_and_reply(dispatcher: &Arc<Dispatcher>, fake: &Fake, end: ReplyEnd) -> Option<Outcome> {
    let taken = unsafe { dispatcher.take_one() }.unwrap()?;
    let ticket = taken.pending.expect("a thread waits for it");
    if !fake.decode(dispatcher, &taken, DecodeEnd::Values).reply {
        return Some(Outcome::Cancelled);
    }
    let replying = unsafe { dispatcher.begin_reply(ticket) }?;
    assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none(), "begun twice");
    dispatcher.replied(&replying, end);
    assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none(), "begun after it ended");
    Some(match end {
        ReplyEnd::Replied => Outcome::Replied,
        ReplyEnd::Collected => Outcome::Collected,
        ReplyEnd::Failed => Outcome::Failed,
        ReplyEnd::Cancelled => Outcome::Cancelled,
    })
}

/// What was done to payload 0 must be what its thread was told.
pub(crate) fn assert_told(fake: &Fake, answer: Answer) {
    let fate = &fake.fates[0];
    let cancels = fate.cancelled.load(SeqCst) + fate.cancelled_waiting.load(SeqCst);
    match answer {
        Ok(Outcome::Cancelled) => assert_eq!(cancels, 1),
        Ok(_) => assert_eq!((cancels, fate.decoded.load(SeqCst)), (0, 1)),
        Err(_) => assert_eq!((cancels, fate.decoded.load(SeqCst)), (0, 0), "refused, and touched"),
    }
    assert_eq!(fate.finished.load(SeqCst), 0, "its thread knows that it ended");
}

#[test]
fn a_reply_releases_the_waiting_thread() {
    for end in [ReplyEnd::Replied, ReplyEnd::Collected, ReplyEnd::Failed] {
        two(move || {
            let house = house();
            let waiting = waiting_thread(&house);
            while house.dispatcher.wait(FOREVER) != Waited::Queued {}
            let settled = poll_and_reply(&house.dispatcher, house.fake, end);
            let answer = waiting.join().unwrap();
            assert_eq!(answer.ok(), settled);
            assert_told(house.fake, answer);
        });
    }
}

#[test]
fn a_decode_that_is_over_or_fails_releases_the_waiting_thread() {
    for (end, outcome) in [(DecodeEnd::Over, Outcome::Decoded), (DecodeEnd::Failed, Outcome::Failed)] {
        two(move || {
            let house = house();
            let waiting = waiting_thread(&house);
            while house.dispatcher.wait(FOREVER) != Waited::Queued {}
            let taken = unsafe { house.dispatcher.take_one() }.unwrap().expect("something is queued");
            assert!(!house.fake.decode(&house.dispatcher, &taken, end).reply);
            assert_eq!(waiting.join().unwrap(), Ok(outcome));
        });
    }
}

#[test]
fn a_waiting_thread_is_released_where_reply_and_unregister_race() {
    three(|| {
        let house = house();
        let waiting = waiting_thread(&house);
        let leaver = {
            let (dispatcher, fake, handle) = (house.dispatcher.clone(), house.fake, house.handle);
            thread::spawn(move || {
                dispatcher.unregister(handle).expect("nobody else unregisters it");
                fake.left.store(true, SeqCst);
            })
        };
        let settled = poll_and_reply(&house.dispatcher, house.fake, ReplyEnd::Replied);
        let answer = waiting.join().unwrap();
        leaver.join().unwrap();
        if let Some(settled) = settled {
            assert_eq!(answer, Ok(settled));
        }
        assert!(!matches!(answer, Err(error) if error != DeliverError::InvalidHandle));
        assert_told(house.fake, answer);
    });
}

#[test]
fn a_waiting_thread_is_released_by_close() {
    two(|| {
        let house = house();
        let waiting = waiting_thread(&house);
        let taken = unsafe { house.dispatcher.take_one() }.unwrap();
        let reply = taken.map(|taken| house.fake.decode(&house.dispatcher, &taken, DecodeEnd::Values).reply);
        unsafe { house.dispatcher.close(house.epoch) };
        let answer = waiting.join().unwrap();
        assert_ne!(reply, Some(false));
        assert!(matches!(
            answer,
            Ok(Outcome::Cancelled) | Err(DeliverError::Stopping | DeliverError::InvalidHandle)
        ));
        assert_told(house.fake, answer);
        assert_eq!(house.fake.told.load(SeqCst), 1);
        assert!(house.dispatcher.claim(), "free for the next state");
    });
}

#[test]
fn a_waiting_thread_is_released_by_a_close_inside_its_decode() {
    two(|| {
        let house = house();
        let waiting = waiting_thread(&house);
        let taken = unsafe { house.dispatcher.take_one() }.unwrap();
        unsafe { house.dispatcher.close(house.epoch) };
        if let Some(taken) = taken {
            // The decode goes on after the close that came from inside it, and its thread's data must still be there.
            assert!(!house.fake.decode(&house.dispatcher, &taken, DecodeEnd::Values).reply);
        }
        let answer = waiting.join().unwrap();
        assert_told(house.fake, answer);
        assert!(house.dispatcher.claim(), "free for the next state");
    });
}

#[test]
fn the_lua_thread_cannot_wait_for_itself() {
    two(|| {
        let house = house();
        let other = waiting_thread(&house);
        let refused = house.dispatcher.deliver_and_wait(house.handle, plain(1));
        assert_eq!(refused, Err(DeliverError::WouldDeadlock));
        assert_eq!(house.fake.fates[1].cancelled.load(SeqCst), 0);
        unsafe { house.dispatcher.close(house.epoch) };
        assert_told(house.fake, other.join().unwrap());
    });
}
