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
// Not the modelled ones: what is read of it without the lock only saves a sleep.
use std::sync::atomic::{AtomicBool, Ordering};

use crate::boundary;
use crate::clock::Stamp;
use crate::memory::{OutOfMemory, Shared};
use crate::payload::Payload;
use crate::port::RequestPort;
use crate::queue::Entry;
use crate::sync::{Condvar, Mutex};

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
    /// The library ended it before its time.
    Withdrawn,
    /// A deadline that its library set was over.
    TimedOut,
    /// It made room for a later one.
    Dropped,
}

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

impl From<OutOfMemory> for DeliverError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        DeliverError::OutOfMemory
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Self {
        let mut failure = Failure::default();
        failure.set(sentence);
        failure
    }
}

/// One item, as an adapter hands it to the dispatcher.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// What it carries.
    pub payload: Payload,
    /// When it was delivered, if that is counted: a [`Dispatcher::stamp`](crate::Dispatcher::stamp).
    pub stamp: Stamp,
    /// What it counts for the library's limits.
    pub bytes: u32,
    /// Which items replace each other, under [`Policy::Latest`](crate::capacity::Policy::Latest); empty for an item of its own.
    pub key: &'a [u8],
}

impl From<Payload> for Delivery<'_> {
    /// One that counts no bytes, and for which no time is noted.
    #[inline]
    fn from(payload: Payload) -> Self {
        Delivery { payload, stamp: Stamp::NONE, bytes: 0, key: &[] }
    }
}

/// A delivery in the queue.
pub(crate) struct Item {
    pub(crate) payload: Payload,
    pub(crate) stamp: Stamp,
    pub(crate) waiter: Option<Waiter>,
    pub(crate) sequence: u64,
    /// [`TOMBSTONE`] where the item was taken out.
    pub(crate) slot: u32,
    /// What it counts for its library's limits.
    pub(crate) bytes: u32,
}

// What a queued item costs is promised: 64 bytes at most, with its share of a segment.
const _: () = assert!(size_of::<Item>() <= 56);

/// No library's slot.
const TOMBSTONE: u32 = u32::MAX;

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

struct Release {
    told: Mutex<Told>,
    /// Whether there is an outcome, to be read without the lock.
    ended: AtomicBool,
    released: Condvar,
    /// Who is told in place of a thread that sleeps.
    completion: Option<Completion>,
}

/// How a delivery ended, and whether its thread has to be woken for that.
#[derive(Default)]
struct Told {
    outcome: Option<Outcome>,
    asleep: bool,
}

/// Rounds that a waiting thread spins before it sleeps: some two microseconds. To fall asleep and to be woken takes ten times that, and
/// a Lua thread that is at its items answers sooner. None in a model, which has no time.
const SPINS: u32 = if cfg!(loom) { 0 } else { 250 };

/// A request: its library is told how it ended, and no thread sleeps for that.
pub(crate) struct Completion {
    pub(crate) port: &'static dyn RequestPort,
    pub(crate) payload: Payload,
}

/// The right to release one waiting thread, or to complete what no thread sleeps for. Consumed by [`Waiter::release`]; one
/// that is dropped otherwise releases too, as cancelled, so that nobody is ever left behind. With no lock held.
pub(crate) struct Waiter(Shared<Release>);

/// The waiting thread's own end.
pub(crate) struct Waiting(Shared<Release>);

impl Release {
    fn try_new(completion: Option<Completion>) -> Result<Shared<Self>, OutOfMemory> {
        let (told, ended) = (Mutex::new(Told::default()), AtomicBool::new(false));
        Shared::try_new(Release { told, ended, released: Condvar::new(), completion })
    }
}

/// Makes the two ends of one wait.
pub(crate) fn wait_pair() -> Result<(Waiter, Waiting), OutOfMemory> {
    let release = Release::try_new(None)?;
    Ok((Waiter(release.clone()), Waiting(release)))
}

impl Waiter {
    /// The right to complete what no thread sleeps for.
    pub(crate) fn completing(completion: Completion) -> Result<Self, OutOfMemory> {
        Release::try_new(Some(completion)).map(Waiter)
    }

    /// Whether its release is a call into the library.
    pub(crate) fn completes(&self) -> bool {
        self.0.completion.is_some()
    }

    /// Lets the thread go, and tells it why.
    pub(crate) fn release(self, outcome: Outcome) {
        self.end(outcome);
    }

    /// Gives the right up: the delivery was not taken.
    pub(crate) fn disarm(self) {
        self.0.told.lock().outcome.get_or_insert(Outcome::Withdrawn);
    }

    fn end(&self, outcome: Outcome) {
        let (first, asleep) = {
            let mut told = self.0.told.lock();
            let first = told.outcome.is_none();
            told.outcome.get_or_insert(outcome);
            self.0.ended.store(true, Ordering::Release);
            (first, told.asleep)
        };
        if !first {
            // It was told: this is the right's own end.
            return;
        }
        if let Some(Completion { port, payload }) = &self.0.completion {
            boundary::complete(*port, payload, outcome);
            return;
        }
        // The waiting thread looks at the outcome, and says that it sleeps, under the lock: it either saw it or is asleep by now, and gets
        // this.
        if asleep {
            self.0.released.notify_one();
        }
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
        for _ in 0..SPINS {
            if self.0.ended.load(Ordering::Acquire) {
                break;
            }
            std::hint::spin_loop();
        }
        let mut told = self.0.told.lock();
        loop {
            if let Some(outcome) = told.outcome {
                return outcome;
            }
            told.asleep = true;
            told = self.0.released.wait(told);
        }
    }
}
