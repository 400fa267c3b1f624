//! A delivery as it is handed over, and what its caller is told.

use crate::channel::ChannelId;
use crate::clock::Stamp;
use crate::memory::OutOfMemory;
use crate::payload::Payload;

/// How a successful deliver stands with its notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// A notification is outstanding, or none is wanted.
    Yes,
    /// The item was taken, and the notification could not be sent.
    Failed,
}

/// What is said of an item that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The item's number in its state; never 0.
    pub sequence: u64,
    /// How it stands with the notification.
    pub announced: Announced,
}

/// What is said of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedMany {
    /// How many were taken, from the front.
    pub taken: usize,
    /// The number of the first, if one was taken; the others follow it without a gap.
    pub first: u64,
    /// How it stands with the notification.
    pub announced: Announced,
    /// Why the next was not taken.
    pub refused: Option<DeliverError>,
}

/// Why a delivery was not taken. Nothing of it was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverError {
    /// The handle names no registered library.
    InvalidHandle,
    /// The state is closing.
    Stopping,
    /// There is no memory for the item.
    OutOfMemory,
    /// The call would wait for the thread it is made on.
    WouldDeadlock,
    /// The library has as much queued as its limits allow.
    Full,
    /// There was no room before the time was over.
    TimedOut,
    /// It alone is more than the library's limits allow.
    TooLarge,
    /// The library has no such channel.
    InvalidChannel,
}

impl From<OutOfMemory> for DeliverError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        DeliverError::OutOfMemory
    }
}

/// One item, as an adapter hands it to the dispatcher.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The number of the revision whose adapter made the payload.
    pub revision: u32,
    /// What it carries.
    pub payload: Payload,
    /// When it was delivered, if that is counted: a [`Dispatcher::stamp`](crate::Dispatcher::stamp).
    pub stamp: Stamp,
    /// What it counts for the channel's limits.
    pub bytes: u32,
    /// The library's channel.
    pub channel: ChannelId,
    /// Which items replace each other, under [`Policy::Latest`](crate::capacity::Policy::Latest); empty for an item of its own.
    pub key: &'a [u8],
}

impl Delivery<'_> {
    /// One that counts no bytes, goes to the first channel, and for which no time is noted.
    #[inline]
    #[must_use]
    pub fn new(revision: u32, payload: Payload) -> Self {
        Delivery { revision, payload, stamp: Stamp::NONE, bytes: 0, channel: ChannelId::FIRST, key: &[] }
    }
}
