//! One item of the queue, and the states that a delivery can be in.
//!
//! | state      | where it is                    | what can end it                                                |
//! |------------|--------------------------------|----------------------------------------------------------------|
//! | refused    | with its caller, untouched     | -                                                              |
//! | queued     | in the queue                   | `take` → decoding; cancelled                                   |
//! | decoding   | on the Lua thread, in decode   | decoded; failed; with a waiting thread → waiting               |
//! | waiting    | as a reply userdata in Lua     | called → replying; collected → replying; cancelled             |
//! | replying   | on the Lua thread, in return   | replied; collected; failed                                     |
//! | ended      | nowhere                        | -                                                              |
//!
//! Every transition is made under the dispatcher's desk lock, so each is made once. Whatever holds the delivery (the queued item, then
//! the desk's entry) owns the waiting thread's `Waiter`, and releases it by consuming it.

use crate::clock::Stamp;
use crate::handle::MAX_SLOTS;
use crate::payload::Payload;
use crate::queue::Entry;
use crate::waiter::Waiter;

/// A delivery in the queue.
pub(crate) struct Item {
    pub(crate) payload: Payload,
    pub(crate) stamp: Stamp,
    pub(crate) waiter: Option<Waiter>,
    pub(crate) sequence: u64,
    /// Its library's slot; [`TOMBSTONE`] if the item was taken out.
    pub(crate) slot: u16,
    /// The index of its channel.
    pub(crate) channel: u16,
    /// How many bytes it counts for its channel's limits.
    pub(crate) bytes: u32,
}

// The size of a queued item is promised: at most 64 bytes, including its share of a segment.
const _: () = assert!(size_of::<Item>() <= 56);

/// No library's slot.
const TOMBSTONE: u16 = u16::MAX;

const _: () = assert!(MAX_SLOTS < TOMBSTONE as u32);

impl Entry for Item {
    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn is_tombstone(&self) -> bool {
        self.slot == TOMBSTONE
    }

    fn bury(&mut self) -> Self {
        let tombstone = Item { slot: TOMBSTONE, waiter: None, ..*self };
        std::mem::replace(self, tombstone)
    }
}
