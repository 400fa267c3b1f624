//! A delivery as it is handed over, and what its caller is told.

use crate::channel::ChannelId;
use crate::clock::Stamp;
use crate::memory::OutOfMemory;
use crate::payload::Payload;

/// Whether the notification for a successful delivery was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// A notification is outstanding, or none is needed.
    Yes,
    /// The item was taken, but the notification could not be sent.
    Failed,
}

/// What the caller learns about an item that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The item's number in its state; never 0.
    pub sequence: u64,
    /// Whether the notification was sent.
    pub announced: Announced,
}

/// What the caller learns about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedMany {
    /// How many were taken, from the front.
    pub taken: usize,
    /// The number of the first item, if one was taken. The others follow without a gap.
    pub first: u64,
    /// Whether the notification was sent.
    pub announced: Announced,
    /// Why the next item was not taken.
    pub refused: Option<DeliverError>,
}

/// Why a delivery was not taken. It was not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliverError {
    /// The handle names no registered library.
    InvalidHandle,
    /// The state is closing.
    Stopping,
    /// There is no memory for the item.
    OutOfMemory,
    /// The call would wait for the thread that makes it.
    WouldDeadlock,
    /// The library's limits leave no room.
    Full,
    /// There was still no room when the time was over.
    TimedOut,
    /// The item is larger than the library's limits allow.
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
    /// When it was delivered, if the library counts that: a [`Dispatcher::stamp`](crate::Dispatcher::stamp).
    pub stamp: Stamp,
    /// How many bytes it counts for the channel's limits.
    pub bytes: u32,
    /// The library's channel.
    pub channel: ChannelId,
    /// Under [`Policy::Latest`](crate::capacity::Policy::Latest), items with the same key replace each other. Empty if it replaces none.
    pub key: &'a [u8],
}

impl Delivery<'_> {
    /// A delivery that counts no bytes, goes to the first channel, and has no time.
    #[inline]
    #[must_use]
    pub fn new(revision: u32, payload: Payload) -> Self {
        Delivery { revision, payload, stamp: Stamp::NONE, bytes: 0, channel: ChannelId::FIRST, key: &[] }
    }
}
