//! Channels: what is in one is taken or cancelled as it closes, once, and a producer that waits for its room goes on.

use dss_impl::capacity::{Limits, Policy};
use dss_impl::channel::ChannelId;
use dss_impl::delivery::{DeliverError, Delivery};

use crate::fake::{FOREVER, House, NUMBER, beside, bounded_house, deliver, item, two};

fn open(house: &House, policy: Policy) -> ChannelId {
    let limits = Limits { items: 1, policy, ..Limits::default() };
    house.dispatcher.open_channel(house.handle, NUMBER, "channel", limits).expect("there is room for one")
}

#[test]
fn what_is_in_a_channel_is_taken_or_cancelled_as_it_closes() {
    two(|| {
        let house = bounded_house(3, Policy::Refuse);
        let (handle, channel) = (house.handle, open(&house, Policy::Refuse));
        deliver(&house.dispatcher, handle, Delivery { channel, ..item(0) }).expect("there is room");
        let closing = beside(&house, move |dispatcher| dispatcher.close_channel(handle, channel));
        let taken = house.fake.poll(&house.dispatcher);
        // To the first channel, which does not close.
        deliver(&house.dispatcher, handle, item(1)).expect("there is room");
        closing.join().expect("it does not panic").expect("it is open");
        assert!(house.fake.poll(&house.dispatcher));
        (0..2).for_each(|data| house.fake.assert_ended(data, true));
        let info = house.dispatcher.libraries().expect("there is memory").remove(0);
        let delivered = 1 + u64::from(taken);
        assert_eq!((info.delivered, info.cancelled, info.queued), (delivered, 2 - delivered, 0));
    });
}

#[test]
fn a_producer_that_waits_for_room_goes_on_as_its_channel_closes() {
    two(|| {
        let house = bounded_house(3, Policy::Refuse);
        let (handle, channel) = (house.handle, open(&house, Policy::Wait(FOREVER)));
        deliver(&house.dispatcher, handle, Delivery { channel, ..item(0) }).expect("there is room");
        let waiting =
            beside(&house, move |dispatcher| deliver(dispatcher, handle, Delivery { channel, ..item(1) }));
        house.dispatcher.close_channel(handle, channel).expect("it is open");
        let accepted = waiting.join().expect("it does not panic");
        // The channel is closed and emptied in one step, so it has no room before it is gone.
        assert_eq!(accepted, Err(DeliverError::InvalidChannel));
        house.fake.assert_ended(0, true);
        house.fake.assert_ended(1, false);
        assert!(!house.fake.poll(&house.dispatcher));
    });
}
