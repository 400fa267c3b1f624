//! The way out: `take` on the Lua thread, and what follows the decode.

use super::{Desk, Dispatcher, Pending, Phase, Stage, Ticket};
use crate::adapter::Adapter;
use crate::boundary;
use crate::delivery::{Outcome, Parcel};
use crate::handle::Handle;
use crate::library::Phase as LibraryPhase;
use crate::sync::{MutexGuard, Ordering};

/// A delivery that was taken off the queue and must be decoded now. Plain data: a Lua error may skip the frame it lies
/// in, and the dispatcher still has all that must not be lost.
#[derive(Clone, Copy)]
pub struct Taken {
    /// Whose it is.
    pub handle: Handle,
    /// What it carries.
    pub parcel: Parcel,
    /// How to decode it.
    pub adapter: &'static dyn Adapter,
    /// The place of the waiting thread, where there is one.
    pub ticket: Option<Ticket>,
    me: u64,
    /// The call word records it; see `inside`.
    in_word: bool,
}

/// How a decode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeEnd {
    /// It returned 0 or less: the delivery is over.
    Over,
    /// It returned values.
    Values,
    /// It raised a Lua error, or failed in its own way.
    Failed,
}

/// A `dispatch` that is under way. Not to be taken to another thread.
#[derive(Clone, Copy)]
pub struct Dispatching {
    me: u64,
}

/// What stands after a decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Whether a thread waits for Lua's reply.
    pub reply: bool,
    /// Items that remain queued.
    pub remaining: usize,
}

impl Dispatcher {
    /// Takes the oldest item for a `poll`: spends the notification, and sends the next if items remain. [lua-thread]
    ///
    /// Each item taken must be given to [`Self::decoded`].
    #[inline]
    pub fn take_one(&self) -> Option<Taken> {
        let me = self.enter_lua();
        let mut desk = self.desk.lock();
        if !desk.notifying {
            return self.take_from(&mut desk, me);
        }
        self.intake.lock().credit.spend();
        let taken = self.take_from(&mut desk, me);
        let mut intake = self.intake.lock();
        let queued = desk.items.len() + intake.items.len();
        let due = intake.credit.claim(queued);
        drop(intake);
        drop(desk);
        if let Some(due) = due {
            self.send(due);
        }
        taken
    }

    /// Begins a `dispatch`: spends the notification. [lua-thread]
    pub fn begin_dispatch(&self) -> Dispatching {
        let me = self.enter_lua();
        let desk = self.desk.lock();
        if desk.notifying {
            self.intake.lock().credit.spend();
        }
        Dispatching { me }
    }

    /// Takes the oldest item within a `dispatch`, without a look at the notification. [lua-thread]
    #[inline]
    pub fn take_next(&self, dispatching: Dispatching) -> Option<Taken> {
        let mut desk = self.desk.lock();
        self.take_from(&mut desk, dispatching.me)
    }

    /// Ends a `dispatch`: sends a notification if items remain that none announces. Returns how many remain.
    /// [lua-thread]
    pub fn end_dispatch(&self) -> usize {
        let desk = self.desk.lock();
        let mut intake = self.intake.lock();
        let queued = desk.items.len() + intake.items.len();
        let due = intake.credit.claim(queued);
        drop(intake);
        drop(desk);
        if let Some(due) = due {
            self.send(due);
        }
        queued
    }

    #[inline]
    fn take_from(&self, desk: &mut MutexGuard<'_, Desk>, me: u64) -> Option<Taken> {
        let desk: &mut Desk = desk;
        if desk.items.len() == 0 {
            // A deliver that returned before this call is seen here; one that did not may come with the next.
            if self.behind.load(Ordering::Relaxed) == 0 {
                return None;
            }
            let mut intake = self.intake.lock();
            desk.items.refill(&mut intake.items);
            self.behind.store(0, Ordering::Relaxed);
        }
        let item = desk.items.pop()?;
        self.ahead.store(desk.items.len(), Ordering::Relaxed);
        let library = &mut desk.libraries[item.slot as usize];
        let in_word = item.waiter.is_none() && self.step_in(item.slot);
        if in_word {
            // Counted here, and taken back where it fails: its end takes no lock.
            library.counts.delivered += 1;
        } else {
            library.calls.push(me);
        }
        let handle = self.handle(item.slot, library.generation);
        let adapter = library.adapter();
        let ticket = item.waiter.map(|waiter| {
            desk.place(Pending { slot: item.slot, parcel: item.parcel, waiter, stage: Stage::Decoding })
        });
        Some(Taken { handle, parcel: item.parcel, adapter, ticket, me, in_word })
    }

    /// Says how the decode of `taken` ended. [lua-thread]
    #[inline]
    pub fn decoded(&self, taken: &Taken, end: DecodeEnd) -> Decoded {
        if taken.ticket.is_none() {
            boundary::finish(taken.adapter, &taken.parcel);
        }
        if taken.in_word {
            if self.step_out() || end == DecodeEnd::Failed {
                self.decoded_in_word(taken, end);
            }
            return Decoded { reply: false, remaining: self.remaining() };
        }
        self.decoded_on_record(taken, end)
    }

    /// The rest of the end of a call that the call word recorded, where there is one.
    #[cold]
    fn decoded_in_word(&self, taken: &Taken, end: DecodeEnd) {
        let slot = taken.handle.slot;
        let mut desk = self.desk.lock();
        // The word is free by now, and another thread that unregisters may have freed the slot.
        if let Some(library) = desk.library(taken.handle) {
            library.counts.delivered -= u64::from(end == DecodeEnd::Failed);
            self.left(desk, slot);
        }
    }

    fn decoded_on_record(&self, taken: &Taken, end: DecodeEnd) -> Decoded {
        let mut guard = self.desk.lock();
        let remaining = self.remaining();
        let slot = taken.handle.slot;
        let desk = &mut *guard;
        let library = &mut desk.libraries[slot as usize];
        library.counts.delivered += u64::from(end != DecodeEnd::Failed);
        let Some(ticket) = taken.ticket else {
            self.leave(guard, slot, taken.me);
            return Decoded { reply: false, remaining };
        };
        let registered = library.phase == LibraryPhase::Registered;
        let outcome = match end {
            DecodeEnd::Values if registered && desk.phase == Phase::Open => {
                if let Some(pending) = desk.pending(ticket) {
                    pending.stage = Stage::Waiting;
                }
                self.leave(guard, slot, taken.me);
                return Decoded { reply: true, remaining };
            }
            DecodeEnd::Values => Outcome::Cancelled,
            DecodeEnd::Over => Outcome::Decoded,
            DecodeEnd::Failed => Outcome::Failed,
        };
        let pending = desk.remove(ticket);
        if outcome == Outcome::Cancelled {
            guard.libraries[slot as usize].counts.cancelled += 1;
            drop(guard);
            boundary::cancel_waiting(taken.adapter, taken.handle, &taken.parcel);
            guard = self.desk.lock();
        }
        self.leave(guard, slot, taken.me);
        if let Some(pending) = pending {
            pending.waiter.release(outcome);
        }
        Decoded { reply: false, remaining }
    }
}
