//! Batches: one lock, and at most one notification.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{Call, bounded_house, drain, info, item, poll};
use dss_impl::capacity::Policy;
use dss_impl::delivery::{Announced, DeliverError};
use dss_impl::notifier::Notifier;

struct Counting(Arc<AtomicUsize>);

impl Notifier for Counting {
    fn notify(&self, _: usize) -> io::Result<()> {
        self.0.fetch_add(1, SeqCst);
        Ok(())
    }
}

fn counting() -> (Arc<dyn Notifier>, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    (Arc::new(Counting(Arc::clone(&sent))), sent)
}

#[test]
fn a_batch_has_consecutive_numbers_and_one_notification() {
    for policy in [Policy::Refuse, Policy::Wait(Duration::MAX), Policy::DropOldest, Policy::Latest] {
        let (dispatcher, _, library, handle) = bounded_house(5, policy);
        let (notifier, sent) = counting();
        dispatcher.set_notifier(Some(Box::new(notifier))).unwrap();
        let batch = [0, 1, 2].map(item);
        let accepted = dispatcher.deliver_many(handle, &batch);
        assert_eq!((accepted.taken, accepted.first, accepted.refused), (3, 1, None));
        assert_eq!(accepted.announced, Announced::Yes);
        assert_eq!(sent.load(SeqCst), 1);
        let accepted = dispatcher.deliver_many(handle, &[3, 4, 5, 6].map(item));
        assert_eq!(sent.load(SeqCst), 1, "one is outstanding");
        assert_eq!(accepted.first, 4);
        let info = info(dispatcher);
        if policy == Policy::DropOldest {
            assert_eq!((accepted.taken, accepted.refused), (4, None));
            assert_eq!((info.dropped, info.refused), (2, 0));
            assert_eq!(drain(dispatcher), [2, 3, 4, 5, 6]);
        } else {
            assert_eq!((accepted.taken, accepted.refused), (2, Some(DeliverError::Full)));
            assert_eq!((info.dropped, info.refused), (0, 2), "each that was not taken");
            assert_eq!(library.calls(), [], "those are their caller's");
            assert_eq!(drain(dispatcher), [0, 1, 2, 3, 4]);
        }
        assert_eq!(dispatcher.deliver_many(handle, &[]).taken, 0);
        assert_eq!(sent.load(SeqCst), 5, "a poll that leaves items sends the next");
        assert_eq!(dispatcher.deliver_many(handle, &[item(7)]).announced, Announced::Yes);
        assert_eq!(sent.load(SeqCst), 6);
    }
}

#[test]
fn a_batch_makes_room_for_itself_at_the_desk() {
    let (dispatcher, _, library, handle) = bounded_house(3, Policy::DropOldest);
    assert_eq!(dispatcher.deliver_many(handle, &[0, 1, 2].map(item)).taken, 3);
    assert_eq!(poll(dispatcher), Some(0));
    assert_eq!(dispatcher.deliver_many(handle, &[3, 4, 5, 6].map(item)).first, 4);
    let dropped = library.calls().into_iter().filter(|call| matches!(call, Call::CancelQueued(_)));
    assert_eq!(dropped.collect::<Vec<_>>(), [1, 2, 3].map(Call::CancelQueued), "its own first one too");
    assert_eq!(drain(dispatcher), [4, 5, 6]);
}

#[test]
fn a_batch_to_no_library_is_refused() {
    let (dispatcher, _, _, handle) = bounded_house(3, Policy::DropOldest);
    dispatcher.unregister(handle).unwrap();
    let batch = dispatcher.deliver_many(handle, &[item(0), item(1)]);
    let invalid = DeliverError::InvalidHandle;
    assert_eq!((batch.taken, batch.first, batch.refused), (0, 0, Some(invalid)));
}
