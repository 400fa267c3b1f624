//! The way out: `take` on the Lua thread, and what follows the decode.

use std::marker::PhantomData;

use super::{Desk, Dispatcher, Pending, PendingId, PendingStage, Phase};
use crate::biased::Guard;
use crate::boundary;
use crate::capacity::Consumed;
use crate::clock::Stamp;
use crate::handle::Handle;
use crate::item::Item;
use crate::library::{Caller, Counts, Library, Phase as LibraryPhase};
use crate::memory::OutOfMemory;
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::port::{Adapter, Stage};
use crate::sync::Ordering;

/// A delivery that was taken off the queue and must now be decoded. Plain data: a Lua error may skip the stack frame it is
/// in, and the dispatcher still has everything that must not be lost.
#[derive(Clone, Copy)]
pub struct Taken {
    /// The library that it belongs to.
    pub handle: Handle,
    /// What it carries.
    pub payload: Payload,
    /// How to decode it.
    pub adapter: &'static dyn Adapter,
    /// Identifies it at the desk, if a thread waits for it.
    pub pending: Option<PendingId>,
    finishes: bool,
    on_thread: OnThread,
}

/// Makes its owner `!Send`: it must stay on the thread that made it, which is the Lua thread and the desk's owner.
type OnThread = PhantomData<*const ()>;

/// Whose item was taken, and how to decode it; none if there was nothing to take.
pub type TakenFrom = Result<Option<(Handle, &'static dyn Adapter)>, OutOfMemory>;

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

/// A `dispatch` that is running.
#[derive(Clone, Copy)]
pub struct Dispatching {
    on_thread: OnThread,
}

/// The result of [`Dispatcher::decoded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Whether a thread waits for Lua's reply.
    pub reply: bool,
    /// Items that remain queued.
    pub remaining: usize,
}

impl Dispatcher {
    /// Takes the oldest item for a `poll`. It spends the notification, and sends the next if items remain. [lua-thread]
    ///
    /// Each item taken must be passed to [`Self::decoded`].
    ///
    /// # Errors
    /// A thread waits for the oldest item, and there is no memory to record that. The item stays in the queue.
    ///
    /// # Safety
    /// Must be called on the Lua thread, inside a call that Lua made, in the state that this dispatcher serves.
    pub unsafe fn take_one(&self) -> Result<Option<Taken>, OutOfMemory> {
        let mut taken = None;
        // SAFETY: as the caller promises.
        unsafe { self.take_one_into(&mut taken) }?;
        Ok(taken)
    }

    /// As [`Self::take_one`], for the hot path: puts the item where it is needed, without a copy.
    ///
    /// Returns its library and how to decode it. They are in `into`, too, but reading what was just written in parts is slow. Returns
    /// none if there is nothing to take. `into` must be none, and stays so if nothing is taken.
    ///
    /// # Errors
    /// As [`Self::take_one`].
    ///
    /// # Safety
    /// As [`Self::take_one`].
    #[inline(always)] // so that the item is made where it is needed
    pub unsafe fn take_one_into(&self, into: &mut Option<Taken>) -> TakenFrom {
        self.enter_lua();
        // SAFETY: Lua makes one call at a time in a state, and a dispatcher serves one state at a time.
        let mut desk = unsafe { self.desk.lock_as_owner() };
        if !desk.notifying {
            return self.take_from(&mut desk, into);
        }
        self.spend(&desk);
        let taken = self.take_from(&mut desk, into);
        self.announce(desk);
        taken
    }

    /// Begins a `dispatch`, and spends the notification. [lua-thread]
    ///
    /// # Safety
    /// Must be called on the Lua thread, inside a call that Lua made, in the state that this dispatcher serves. The same holds for each
    /// use of the result.
    pub unsafe fn begin_dispatch(&self) -> Dispatching {
        self.enter_lua();
        // SAFETY: Lua makes one call at a time in a state, and a dispatcher serves one state at a time.
        let desk = unsafe { self.desk.lock_as_owner() };
        if desk.notifying {
            self.spend(&desk);
        }
        Dispatching { on_thread: PhantomData }
    }

    /// Takes the oldest item during a `dispatch`, without checking the notification. Returns what [`Self::take_one_into`] does.
    /// [lua-thread]
    ///
    /// # Errors
    /// As [`Self::take_one`].
    #[inline(always)]
    pub fn take_next_into(&self, _: Dispatching, into: &mut Option<Taken>) -> TakenFrom {
        // SAFETY: the caller that began the dispatch has promised it.
        let mut desk = unsafe { self.desk.lock_as_owner() };
        self.take_from(&mut desk, into)
    }

    /// Ends a `dispatch`. If items remain and no notification is outstanding, it sends one. Returns how many remain.
    /// [lua-thread]
    pub fn end_dispatch(&self, _: Dispatching) -> usize {
        // SAFETY: the caller that began the dispatch has promised it.
        let desk = unsafe { self.desk.lock_as_owner() };
        self.announce(desk)
    }

    /// Spends the notification, because Lua looks at the queue now.
    #[inline(never)]
    fn spend(&self, desk: &Desk) {
        // Clear the unread data first, then the credit. If a notification comes in between, it is cleared, but this look sees the item it
        // announces. In the other order, a notification for a later item could be cleared.
        if let Some(notifier) = &desk.clears {
            notifier.clear();
        }
        self.intake.lock().credit.spend();
    }

    /// If items remain and no notification is outstanding, sends one with no lock held. Returns how many remain.
    fn announce(&self, mut desk: Guard<'_, Desk>) -> usize {
        let mut intake = self.intake.lock();
        let queued = desk.items.len() + intake.items.len();
        if !desk.notifying {
            return queued;
        }
        let paces = desk.busy.wants_pause(queued) && self.pacer.is_ready();
        if paces && intake.credit.plan(queued) {
            drop(intake);
            drop(desk);
            self.pacer.plan();
            return queued;
        }
        let due = intake.credit.claim(queued);
        drop(intake);
        drop(desk);
        if let Some(due) = due {
            self.send(due);
        }
        queued
    }

    #[inline(always)]
    fn take_from(&self, desk: &mut Guard<'_, Desk>, into: &mut Option<Taken>) -> TakenFrom {
        let desk: &mut Desk = desk;
        if desk.items.len() == 0 {
            self.take_over(desk);
        }
        // Steps that may panic or need memory come before the item leaves the queue.
        let Some(front) = desk.items.front() else { return Ok(None) };
        let slot = u32::from(front.slot);
        if front.waiter.is_some() {
            desk.reserve_slot()?;
        }
        let library = &mut desk.libraries[slot as usize];
        let handle = self.handle(slot, library.generation);
        let (adapter, finishes) = (library.adapter(), library.finishes);
        let Some((item, next)) = desk.items.pop_front() else { return Ok(None) };
        let Item { payload, stamp, waiter, sequence, channel, bytes, .. } = item;
        if let Some(next) = next {
            next.payload.prefetch();
        }
        self.note_entered(library, Caller::Lua);
        self.ahead.store(desk.items.len(), Ordering::Relaxed);
        let consumed = library.consumed_of(channel);
        if consumed.add(sequence, bytes) {
            self.tell_of_room(consumed);
        }
        if stamp != Stamp::NONE {
            library.note_wait(stamp);
        }
        library.awaited_left += usize::from(waiter.is_some());
        debug_assert!(into.is_none(), "what was in hand would be lost");
        let taken =
            into.insert(Taken { handle, payload, adapter, pending: None, finishes, on_thread: PhantomData });
        if let Some(waiter) = waiter {
            let (stage, epoch) = (PendingStage::Decoding, self.epoch.load(Ordering::Relaxed));
            let pending = Pending { slot, sequence, payload, waiter, stage, ended: None };
            taken.pending = Some(desk.add(pending, epoch));
        }
        Ok(Some((handle, adapter)))
    }

    /// Tells a waiting producer that the library has room again.
    #[cold]
    fn tell_of_room(&self, consumed: &Consumed) {
        let intake = self.intake.lock();
        consumed.told();
        drop(intake);
        // No wake-up is lost: a producer checks for room and listens under that lock, so it saw the room or hears this.
        self.room.ring();
    }

    /// Takes over the items in the intake. The desk must have none.
    #[inline(never)]
    fn take_over(&self, desk: &mut Desk) {
        // A deliver that returned before this call is seen here. Others may be seen by the next call.
        if self.behind.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut intake = self.intake.lock();
        desk.items.refill(&mut intake.items);
        intake.items.prepare();
        // Without memory, the first of these items may stay where it was.
        self.ahead.store(desk.items.len(), Ordering::Relaxed);
        self.behind.store(0, Ordering::Relaxed);
    }

    /// Ends the decode of `taken`. [lua-thread]
    #[inline(always)] // the path without a waiting thread is short, and should be part of its caller
    pub fn decoded(&self, taken: &Taken, end: DecodeEnd) -> Decoded {
        let slot = taken.handle.slot;
        if let Some(pending_id) = taken.pending {
            return self.decoded_awaited(taken, pending_id, end);
        }
        if taken.finishes {
            let decoding = Decoding { dispatcher: self, slot, end };
            boundary::discard(taken.adapter, taken.handle, &taken.payload, Stage::Finished);
            std::mem::forget(decoding);
        }
        Decoded { reply: false, remaining: self.decode_ended(slot, end) }
    }

    /// Counts a decode that nobody waits for, and ends its call. Returns how many items remain queued. [lua-thread]
    #[inline(always)]
    fn decode_ended(&self, slot: u32, end: DecodeEnd) -> usize {
        // SAFETY: a `Taken` stays on the thread that took it, and its call is still running.
        let mut guard = unsafe { self.desk.lock_as_owner() };
        let remaining = self.queue_size();
        let desk = &mut *guard;
        let library = &mut desk.libraries[slot as usize];
        library.counts.decoded(end);
        let registered = library.phase == LibraryPhase::Registered;
        self.note_left(library, Caller::Lua);
        if desk.awaiting > 0 || !registered {
            self.free_if_left(guard, slot);
        }
        remaining
    }

    /// As [`Self::decoded`], if a thread waits.
    #[inline(never)]
    fn decoded_awaited(&self, taken: &Taken, pending_id: PendingId, end: DecodeEnd) -> Decoded {
        let slot = taken.handle.slot;
        // SAFETY: as in `decoded`.
        let mut guard = unsafe { self.desk.lock_as_owner() };
        let remaining = self.queue_size();
        let desk = &mut *guard;
        let library = &desk.libraries[slot as usize];
        let open = library.phase == LibraryPhase::Registered && desk.phase == Phase::Open;
        let early = desk.find_pending(pending_id).and_then(|pending| pending.ended);
        if early.is_none() || end != DecodeEnd::Failed {
            // Otherwise it was already counted when it was ended.
            desk.libraries[slot as usize].counts.decoded(end);
        }
        let outcome = match (end, early) {
            (_, Some(outcome)) => outcome,
            (DecodeEnd::Values, None) if open => {
                if let Some(pending) = desk.find_pending(pending_id) {
                    pending.stage = PendingStage::Waiting;
                }
                self.leave(guard, slot, Caller::Lua);
                return Decoded { reply: true, remaining };
            }
            (DecodeEnd::Values, None) => {
                desk.libraries[slot as usize].counts.cancelled += 1;
                Outcome::Cancelled
            }
            (DecodeEnd::Over, None) => Outcome::Decoded,
            (DecodeEnd::Failed, None) => Outcome::Failed,
        };
        let pending = desk.remove(pending_id);
        if end == DecodeEnd::Values {
            drop(guard);
            let _ending = Ending { dispatcher: self, slot, pending, outcome };
            boundary::discard(taken.adapter, taken.handle, &taken.payload, Stage::Waiting);
        } else {
            self.leave_ended(guard, slot, pending, outcome);
        }
        Decoded { reply: false, remaining }
    }
}

/// A decode that nobody waits for, while its library is told that it has ended. Dropping this ends it, if an exception leaves the
/// library's code.
struct Decoding<'a> {
    dispatcher: &'a Dispatcher,
    slot: u32,
    end: DecodeEnd,
}

impl Drop for Decoding<'_> {
    #[cold]
    fn drop(&mut self) {
        self.dispatcher.decode_ended(self.slot, self.end);
    }
}

/// A delivery that ends in a call of the Lua thread. Dropping this ends it, even if an exception leaves the library's code.
struct Ending<'a> {
    dispatcher: &'a Dispatcher,
    slot: u32,
    pending: Option<Pending>,
    outcome: Outcome,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let desk = self.dispatcher.lock_desk_as(Caller::Lua);
        self.dispatcher.leave_ended(desk, self.slot, self.pending.take(), self.outcome);
    }
}

impl Library {
    /// Counts how long the item that Lua now takes has waited.
    #[inline(never)]
    fn note_wait(&mut self, stamp: Stamp) {
        if let (Some(waits), Some((nanoseconds, count))) = (self.waits.as_mut(), stamp.age()) {
            waits.add_many(nanoseconds, count);
        }
    }
}

impl Counts {
    #[inline]
    fn decoded(&mut self, end: DecodeEnd) {
        if end == DecodeEnd::Failed {
            self.failed += 1;
        } else {
            self.delivered += 1;
        }
    }
}
