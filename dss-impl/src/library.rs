//! A registered library: its record at the desk, and the states it can be in.
//!
//! | phase      | meaning                                              | leaves to                              |
//! |------------|------------------------------------------------------|----------------------------------------|
//! | Free       | unused                                               | Registered, by `register`              |
//! | Registered | items are accepted                                   | Leaving, by `unregister` or `close`    |
//! | Leaving    | nothing more is accepted; its items are cancelled    | Left                                   |
//! | Left       | all cancelled; earlier calls may still be running    | Free, by the last of these calls       |
//!
//! All phases change under the desk lock. The thread that calls into a library's code records each call. A slot with running calls
//! is never freed, so it is never reused under a call. The calls of the Lua thread are only counted: recording one needs no
//! memory, so a call that Lua makes cannot fail because of that.

use std::sync::Arc;

use crate::capacity::{Consumed, Limits};
use crate::channel::ChannelInfo;
use crate::handle::{FIRST_GENERATION, LAST_GENERATION};
use crate::histogram::Histogram;
use crate::memory::Shared;
use crate::port::Adapter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Free,
    Registered,
    Leaving,
    Left,
}

/// What a library counts, for `libraries()`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) delivered: u64,
    pub(crate) replied: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    pub(crate) coalesced: u64,
    pub(crate) timed_out: u64,
    pub(crate) high_water: usize,
}

/// What an adapter passes to `register`.
pub struct Registration {
    /// An address in the library, which is the same in all states.
    pub libid: usize,
    /// The library's name, if it has one.
    pub name: Option<Arc<str>>,
    /// The adapter of the revision it was compiled against.
    pub adapter: &'static dyn Adapter,
    /// A word that only the adapter reads, such as 1.0's cancel function.
    pub context: usize,
    /// Terms that only revisions after 1.0 have.
    pub terms: Option<Terms>,
}

/// Terms of a registration that 1.0 did not have.
pub struct Terms {
    /// Its version, as semver.
    pub version: Arc<str>,
    /// The file that it was loaded from, if DSS loaded it.
    pub file: Option<Arc<str>>,
    /// How much it may have queued.
    pub limits: Limits,
    /// Whether it keeps `run` going.
    pub keeps_alive: bool,
}

/// The record of a library.
pub(crate) struct Library {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) registration: Option<Registration>,
    /// The order of registration in the life of the dispatcher.
    pub(crate) sequence: u64,
    /// How many calls into this library's code the Lua thread is in.
    lua_calls: usize,
    /// The other threads in this library's code, one entry for each call; see [`thread_id`](crate::sync::thread_id).
    calls: Vec<u64>,
    /// As `calls`, for calls that began while a producer was admitted, and that continue while the library leaves.
    pub(crate) evicting: Vec<u64>,
    /// Whether the Lua thread is running its cancel function.
    pub(crate) closing: bool,
    /// Whether an exception left its code while the state closed. Then it is not called again.
    pub(crate) threw: bool,
    /// Items that a thread waited for and that have left the queue.
    pub(crate) awaited_left: usize,
    /// How many of its deliveries are at the desk.
    pub(crate) pending: usize,
    /// Counts for the whole time of `last` in this state, even if it registered several times.
    pub(crate) counts: Counts,
    /// The id of the library that has or last had this slot in the current state. None if it has registered again in another slot.
    pub(crate) last: Option<usize>,
    /// Its adapter's [`Adapter::finishes`].
    pub(crate) finishes: bool,
    /// Counts what Lua takes from the first channel.
    pub(crate) consumed: Shared<Consumed>,
    /// Counts what Lua takes from each other channel that has existed in this slot.
    pub(crate) others: Vec<Shared<Consumed>>,
    /// The times from deliver to decode, if the revision notes when an item was delivered.
    pub(crate) waits: Option<Box<Histogram>>,
}

impl Library {
    pub(crate) fn new(consumed: Shared<Consumed>) -> Self {
        Library {
            generation: FIRST_GENERATION,
            phase: Phase::Free,
            registration: None,
            sequence: 0,
            lua_calls: 0,
            calls: Vec::new(),
            evicting: Vec::new(),
            closing: false,
            threw: false,
            awaited_left: 0,
            pending: 0,
            counts: Counts::default(),
            last: None,
            consumed,
            others: Vec::new(),
            finishes: true,
            waits: None,
        }
    }

    /// Whether this slot can take a library.
    pub(crate) fn is_free(&self) -> bool {
        self.phase == Phase::Free && self.generation < LAST_GENERATION
    }

    pub(crate) fn occupy(&mut self, registration: Registration, sequence: u64) {
        self.phase = Phase::Registered;
        if self.last.replace(registration.libid) != Some(registration.libid) {
            self.counts = Counts::default();
            self.waits = None;
        }
        if registration.terms.is_some() {
            self.waits.get_or_insert_default();
        } else {
            self.waits = None;
        }
        self.finishes = registration.adapter.finishes();
        self.registration = Some(registration);
        self.sequence = sequence;
        self.awaited_left = 0;
        self.threw = false;
    }

    /// Frees the slot if nothing holds it any more. Returns the rest of the library, which the caller must release without the
    /// lock.
    pub(crate) fn free_if_left(&mut self) -> Option<Registration> {
        let called = self.lua_calls > 0 || !self.calls.is_empty() || !self.evicting.is_empty();
        if self.phase != Phase::Left || called {
            return None;
        }
        self.phase = Phase::Free;
        self.generation += 1;
        self.registration.take()
    }

    /// The counter of what Lua takes from a channel.
    #[inline(always)] // a part of every take
    pub(crate) fn consumed_of(&self, channel: u16) -> &Consumed {
        match usize::from(channel).checked_sub(1) {
            None => &self.consumed,
            Some(at) => &self.others[at],
        }
    }

    pub(crate) fn adapter(&self) -> &'static dyn Adapter {
        self.registration.as_ref().expect("a slot that is not free has its registration").adapter
    }

    pub(crate) fn context(&self) -> usize {
        self.registration.as_ref().expect("a slot that is not free has its registration").context
    }

    /// Whether an unregister by `me` must wait, because another thread is in this library's code. The Lua thread does not count while it
    /// is in the cancel function: a library joins its threads there, and a thread may unregister as it ends.
    pub(crate) fn holds_back(&self, me: u64, lua_thread: u64) -> bool {
        let waits_for = |caller: u64| caller != me && !(self.closing && caller == lua_thread);
        let others = self.calls.iter().chain(&self.evicting);
        (self.lua_calls > 0 && waits_for(lua_thread)) || others.copied().any(waits_for)
    }

    /// Records the beginning of a call.
    #[inline]
    pub(crate) fn enter(&mut self, caller: Caller) {
        match caller {
            Caller::Lua => self.lua_calls += 1,
            Caller::Thread(thread) => self.calls.push(thread),
        }
    }

    /// Records the end of a call.
    #[inline]
    pub(crate) fn leave(&mut self, caller: Caller) {
        match caller {
            Caller::Lua => self.lua_calls -= 1,
            Caller::Thread(thread) => self.leave_thread(thread),
        }
    }

    #[cold]
    fn leave_thread(&mut self, thread: u64) {
        for calls in [&mut self.calls, &mut self.evicting] {
            if let Some(at) = calls.iter().rposition(|caller| *caller == thread) {
                calls.swap_remove(at);
                return;
            }
        }
        unreachable!("every call that leaves was recorded when it began");
    }
}

/// The thread that calls into a library's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The Lua thread, in a call that Lua made.
    Lua,
    /// Another thread, by its [`thread_id`](crate::sync::thread_id).
    Thread(u64),
}

/// What `libraries()` shows of one library. The counts cover its whole time in the state: they continue if it
/// unregisters and registers again.
#[derive(Clone, Debug)]
pub struct LibraryInfo {
    /// The name, if the library has one.
    pub name: Option<Arc<str>>,
    /// The revision it was compiled against.
    pub revision: &'static str,
    /// Its version, if its revision has versions.
    pub version: Option<Arc<str>>,
    /// The file that it was loaded from, if DSS loaded it.
    pub file: Option<Arc<str>>,
    /// Whether it keeps `run` going.
    pub keeps_alive: bool,
    /// Items in the queue, of all channels.
    pub queued: usize,
    /// Bytes in the queue, of all channels that have limits.
    pub bytes: usize,
    /// The limits of its first channel, if it has any.
    pub limits: Option<Limits>,
    /// The most items that were queued at once in its first channel, if that has limits.
    pub high_water: usize,
    /// Threads that wait for a delivery to end, queued ones included.
    pub waiting: usize,
    /// Deliveries that were decoded.
    pub delivered: u64,
    /// Replies that the library got.
    pub replied: u64,
    /// Deliveries whose decode failed, and those that a thread or a request waited for without an answer: Lua raised an error,
    /// or dropped the reply.
    pub failed: u64,
    /// Deliveries that were cancelled.
    pub cancelled: u64,
    /// Deliveries that were refused.
    pub refused: u64,
    /// Deliveries that were dropped to make room for later ones.
    pub dropped: u64,
    /// Deliveries that were replaced by a later one with the same key.
    pub coalesced: u64,
    /// Requests whose deadline passed, and deliveries that waited for room without success.
    pub timed_out: u64,
    /// Its channels, besides the first.
    pub channels: Vec<ChannelInfo>,
    /// The times from deliver to decode, if the revision notes when an item was delivered.
    pub waits: Option<Histogram>,
}
