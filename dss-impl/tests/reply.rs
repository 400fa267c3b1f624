//! Replies: each ticket is good for one.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use common::{data_of, house, waiting_for_reply};
use dss_impl::dispatcher::ReplyEnd;
use dss_impl::outcome::Outcome;

#[test]
fn each_end_is_told_to_the_waiting_thread() {
    let (dispatcher, _, library, handle) = house();
    for (end, outcome) in [
        (ReplyEnd::Replied, Outcome::Replied),
        (ReplyEnd::Collected, Outcome::Collected),
        (ReplyEnd::Failed, Outcome::Failed),
    ] {
        let (thread, ticket) = waiting_for_reply(dispatcher, handle, 1);
        let replying = unsafe { dispatcher.begin_reply(ticket) }.unwrap();
        assert_eq!((replying.handle, data_of(&replying.payload)), (handle, 1));
        assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none(), "begun twice");
        dispatcher.replied(&replying, end);
        assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none(), "begun after it ended");
        assert_eq!(thread.join().unwrap(), outcome);
    }
    assert_eq!(library.calls(), []);
    assert_eq!(dispatcher.libraries().unwrap()[0].replied, 1);
}

#[test]
fn a_reply_that_nobody_can_give_is_cancelled_once() {
    let (dispatcher, _, library, handle) = house();
    let (thread, ticket) = waiting_for_reply(dispatcher, handle, 1);
    unsafe { dispatcher.cancel_reply(ticket) };
    unsafe { dispatcher.cancel_reply(ticket) };
    assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
    assert_eq!(library.calls(), [common::Call::CancelWaiting(1)]);
    assert_eq!(dispatcher.libraries().unwrap()[0].cancelled, 1);
}

#[test]
fn an_old_ticket_does_not_name_the_next_delivery() {
    let (dispatcher, _, _, handle) = house();
    let (first, old) = waiting_for_reply(dispatcher, handle, 1);
    let replying = unsafe { dispatcher.begin_reply(old) }.unwrap();
    dispatcher.replied(&replying, ReplyEnd::Replied);
    first.join().unwrap();
    let (second, fresh) = waiting_for_reply(dispatcher, handle, 2);
    assert_ne!(old, fresh);
    assert!(unsafe { dispatcher.begin_reply(old) }.is_none());
    let replying = unsafe { dispatcher.begin_reply(fresh) }.unwrap();
    dispatcher.replied(&replying, ReplyEnd::Replied);
    assert_eq!(second.join().unwrap(), Outcome::Replied);
}

#[test]
fn a_library_may_unregister_inside_its_reply() {
    let (dispatcher, _, library, handle) = house();
    let (thread, ticket) = waiting_for_reply(dispatcher, handle, 1);
    let replying = unsafe { dispatcher.begin_reply(ticket) }.unwrap();
    dispatcher.unregister(handle).unwrap();
    assert_eq!(library.calls(), [], "the library is held by the reply, which ends the delivery");
    dispatcher.replied(&replying, ReplyEnd::Replied);
    assert_eq!(thread.join().unwrap(), Outcome::Replied);
    assert_eq!(library.calls(), [common::Call::Release(1)]);
}
