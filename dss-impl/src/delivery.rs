//! One delivery: what it carries, the states it can be in, and the thread that may wait for it.
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
//! Every arrow is taken under the dispatcher's desk lock, so each is taken once. A waiting thread's `Waiter` is owned
//! by whatever holds the delivery (the queued item, then the desk's entry), and is released by consuming it.

use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::sync::{Condvar, Mutex};

/// What a library handed over: four words whose meaning belongs to its revision's adapter.
#[derive(Clone, Copy, Debug)]
pub struct Parcel {
    /// The function that decodes.
    pub decode: usize,
    /// The function that takes the reply; 0 where no thread waits.
    pub reply: usize,
    /// The function that is told that DSS is done with `data`; 0 where the revision has none.
    pub finish: usize,
    /// The library's own data.
    pub data: usize,
}

/// How a delivery ended, as its waiting thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Decode said that the delivery is over; there was nothing to reply to.
    Decoded,
    /// Lua replied.
    Replied,
    /// Lua dropped the reply uncalled.
    Collected,
    /// The library was unregistered, or the state closed.
    Cancelled,
    /// Decode or return failed: a Lua error, or a panic of the library's.
    Failed,
}

/// How a successful deliver stands with its notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announced {
    /// A notification is outstanding, or none is wanted.
    Yes,
    /// The item was taken, and the notification could not be sent.
    Failed,
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
}

/// Why a decode or a reply failed, in up to 1,000 bytes of UTF-8. Without a destructor: it lies in frames that a Lua
/// error may skip.
pub struct Failure {
    bytes: MaybeUninit<[u8; 1000]>,
    length: usize,
}

impl Default for Failure {
    #[inline]
    fn default() -> Self {
        // Behind a black box, for a constant would be copied whole, and this is made for each poll.
        Failure { bytes: MaybeUninit::uninit(), length: std::hint::black_box(0) }
    }
}

impl Failure {
    /// Keeps `sentence`, as much of it as fits, cut between two characters.
    pub fn set(&mut self, sentence: &str) {
        let bytes = self.bytes.write([0; 1000]);
        let mut length = sentence.len().min(bytes.len());
        while !sentence.is_char_boundary(length) {
            length -= 1;
        }
        bytes[..length].copy_from_slice(&sentence.as_bytes()[..length]);
        self.length = length;
    }

    /// Forgets what was kept.
    #[inline]
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// The sentence.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: `set` wrote all of it before it set a length.
        unsafe { &self.bytes.assume_init_ref()[..self.length] }
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Self {
        let mut failure = Failure::default();
        failure.set(sentence);
        failure
    }
}

/// A delivery in the queue.
pub(crate) struct Item {
    pub(crate) parcel: Parcel,
    pub(crate) slot: u32,
    pub(crate) waiter: Option<Waiter>,
}

// What a queued item costs is promised: 64 bytes at most.
const _: () = assert!(size_of::<Item>() <= 48);

struct Release {
    outcome: Mutex<Option<Outcome>>,
    released: Condvar,
}

/// The right to release one waiting thread. Consumed by [`Waiter::release`]; one that is dropped otherwise releases
/// too, as cancelled, so that no thread is ever left behind.
pub(crate) struct Waiter(Arc<Release>);

/// The waiting thread's own end.
pub(crate) struct Waiting(Arc<Release>);

/// Makes the two ends of one wait.
pub(crate) fn wait_pair() -> (Waiter, Waiting) {
    let release = Arc::new(Release { outcome: Mutex::new(None), released: Condvar::new() });
    (Waiter(Arc::clone(&release)), Waiting(release))
}

impl Waiter {
    /// Lets the thread go, and tells it why.
    pub(crate) fn release(self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&self, outcome: Outcome) {
        self.0.outcome.lock().get_or_insert(outcome);
        // The waiting thread looks at `outcome` under the lock before it sleeps, so it either saw it or is asleep by now
        // and gets this.
        self.0.released.notify_one();
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

impl Waiting {
    /// Sleeps until the delivery has ended. `[blocks]`
    pub(crate) fn wait(self) -> Outcome {
        let mut outcome = self.0.outcome.lock();
        loop {
            if let Some(outcome) = *outcome {
                return outcome;
            }
            outcome = self.0.released.wait(outcome);
        }
    }
}
