//! What is a library's of one revision is given to no library of another.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use common::{NUMBER, bounded_house, drain, house, info, item, plain};
use dss_impl::capacity::{Limits, Policy};
use dss_impl::channel::ChannelId;
use dss_impl::delivery::{DeliverError, Delivery};
use dss_impl::outcome::Outcome;

const OTHER: u32 = NUMBER + 1;
const INVALID: DeliverError = DeliverError::InvalidHandle;

#[test]
fn a_delivery_of_another_revision_is_refused() {
    for (dispatcher, _, library, handle) in [house(), bounded_house(9, Policy::Latest)] {
        let foreign = Delivery { revision: OTHER, ..item(0) };
        assert_eq!(dispatcher.deliver(handle, foreign), Err(INVALID));
        assert_eq!(dispatcher.deliver(handle, Delivery { key: b"key", ..foreign }), Err(INVALID));
        assert_eq!(dispatcher.request(handle, foreign, library), Err(INVALID));
        assert_eq!(dispatcher.deliver_many(handle, &[foreign]).refused, Some(INVALID));
        let waiting = std::thread::spawn(move || dispatcher.deliver_and_wait(handle, foreign));
        assert_eq!(waiting.join().unwrap(), Err(INVALID));
        assert_eq!(library.calls(), []);
        assert_eq!((info(dispatcher).queued, info(dispatcher).refused), (0, 0));
    }
}

#[test]
fn another_revision_does_not_limit_a_library_nor_look_at_what_it_has() {
    let (dispatcher, _, _, handle) = house();
    dispatcher.deliver(handle, plain(0)).unwrap();
    assert_eq!(dispatcher.limit(handle, OTHER, ChannelId::FIRST, Limits::default()), Err(INVALID));
    assert_eq!(dispatcher.open_channel(handle, OTHER, "one", Limits::default()), Err(INVALID));
    let looked = |_: &_| panic!("the payload is another revision's");
    assert_eq!(dispatcher.end_all(handle, OTHER, Outcome::Withdrawn, looked), 0);
    assert_eq!(info(dispatcher).limits, None);
    assert_eq!(drain(dispatcher), [0]);
}
