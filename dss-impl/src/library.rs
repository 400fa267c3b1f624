//! A registered library: its record at the desk, and the states it can be in.
//!
//! | phase      | meaning                                              | leaves to                              |
//! |------------|------------------------------------------------------|----------------------------------------|
//! | Free       | nobody's                                             | Registered, by `register`              |
//! | Registered | items are taken                                      | Leaving, by `unregister` or `close`    |
//! | Leaving    | nothing is taken any more; its items are cancelled   | Left                                   |
//! | Left       | all cancelled; calls that began before still run     | Free, by the last of these calls       |
//!
//! All phases change under the desk lock. Each call into a library's code is recorded by the thread that makes it; a slot with calls
//! in it is never freed, and so never reused under a running call. The calls of the Lua thread are counted: to record one needs no
//! memory, so one that Lua makes cannot fail for that.

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

/// Who registers: what an adapter gives to `register`.
pub struct Registration {
    /// An address that is the library's own, the same in all states.
    pub libid: usize,
    /// The library's name, where it gave one.
    pub name: Option<Arc<str>>,
    /// The adapter of the revision it was compiled against.
    pub adapter: &'static dyn Adapter,
    /// The adapter's own word, 1.0's cancel function for one.
    pub context: usize,
    /// What a revision has that knows more than 1.0 did.
    pub terms: Option<Terms>,
}

/// What a library registers with beyond what 1.0's did.
pub struct Terms {
    /// Its version, as semver.
    pub version: Arc<str>,
    /// The file that it was loaded from, where DSS loaded it.
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
    /// The order of registration within the dispatcher's life.
    pub(crate) sequence: u64,
    /// Calls into this library's code that the Lua thread stands in.
    lua_calls: usize,
    /// The other threads that are in this library's code, once for each call; see [`thread_id`](crate::sync::thread_id).
    calls: Vec<u64>,
    /// The same, of the calls that began while a producer was admitted, and go on while the library leaves.
    pub(crate) evicting: Vec<u64>,
    /// The Lua thread runs its cancel function.
    pub(crate) closing: bool,
    /// Its code was left by an exception while the state closed: it is not called again.
    pub(crate) threw: bool,
    /// Items that somebody waited for and that left the queue.
    pub(crate) awaited_left: usize,
    /// Deliveries of it on the desk.
    pub(crate) pending: usize,
    /// For `last`'s whole time in this state, however often it registered.
    pub(crate) counts: Counts,
    /// The id of the library that has or had this slot in the present state.
    pub(crate) last: Option<usize>,
    /// Its adapter's [`Adapter::finishes`].
    pub(crate) finishes: bool,
    /// Where what Lua takes of the first channel is counted.
    pub(crate) consumed: Shared<Consumed>,
    /// The same, of the other channels that there have been in this slot.
    pub(crate) others: Vec<Shared<Consumed>>,
    /// From deliver to decode, where the revision notes when it was delivered.
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

    /// Frees the slot if nothing holds it any more; returns what is left of the library, to be let go of outside of
    /// the lock.
    pub(crate) fn free_if_left(&mut self) -> Option<Registration> {
        let called = self.lua_calls > 0 || !self.calls.is_empty() || !self.evicting.is_empty();
        if self.phase != Phase::Left || called {
            return None;
        }
        self.phase = Phase::Free;
        self.generation += 1;
        self.registration.take()
    }

    /// Where what Lua takes of a channel is counted.
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

    /// Whether an unregister by `me` must wait: a thread other than `me` is in this library's code. Not for the Lua thread in
    /// the cancel function: a library joins its threads there, and one may unregister as it ends.
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
    /// Any other, by its [`thread_id`](crate::sync::thread_id).
    Thread(u64),
}

/// What `libraries()` shows of one library. The counts are those of its whole time in the state: they go on where it
/// unregisters and registers again.
#[derive(Clone, Debug)]
pub struct LibraryInfo {
    /// The name, where the library gave one.
    pub name: Option<Arc<str>>,
    /// The revision it was compiled against.
    pub revision: &'static str,
    /// Its version, where its revision says one.
    pub version: Option<Arc<str>>,
    /// The file that DSS loaded it from, where it did.
    pub file: Option<Arc<str>>,
    /// Whether it keeps `run` going.
    pub keeps_alive: bool,
    /// Items in the queue, of all channels.
    pub queued: usize,
    /// Bytes in the queue, of all channels that have limits.
    pub bytes: usize,
    /// The limits of its first channel, if it has some.
    pub limits: Option<Limits>,
    /// The most items that its first channel had queued at once, if that has limits.
    pub high_water: usize,
    /// Threads that wait for a delivery to end, queued ones included.
    pub waiting: usize,
    /// Deliveries whose decode ran to its end.
    pub delivered: u64,
    /// Replies that the library got.
    pub replied: u64,
    /// Deliveries whose decode failed, and those that a thread or a request waited for and nobody answered: Lua raised an error,
    /// or dropped the reply.
    pub failed: u64,
    /// Deliveries that were cancelled.
    pub cancelled: u64,
    /// Deliveries that were refused.
    pub refused: u64,
    /// Deliveries that were dropped to make room for later ones.
    pub dropped: u64,
    /// Deliveries that a later one of the same key replaced.
    pub coalesced: u64,
    /// Requests whose deadline was over, and deliveries that waited for room in vain.
    pub timed_out: u64,
    /// Its channels beside the first.
    pub channels: Vec<ChannelInfo>,
    /// From deliver to decode, where the revision notes when something was delivered.
    pub waits: Option<Histogram>,
}
