//! What a library still has when it leaves, or when its state closes. It is taken in one step under both locks, and cancelled with no lock
//! held. Nothing here allocates memory, however much there is: a process that has no memory left must be able to end its libraries.

use super::{Desk, Dispatcher, Intake, PendingStage};
use crate::boundary;
use crate::handle::Handle;
use crate::item::Item;
use crate::library::{Caller, Library};
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::port::{Adapter, Stage};
use crate::queue::Removed;
use crate::sync::Ordering;

impl Dispatcher {
    /// Takes the `wanted` deliveries of a library. Queued items are moved into `removed`. Deliveries that wait for a reply are marked to
    /// end with `outcome`. A delivery that is being decoded or replied to is left to that call. Returns how many were marked.
    pub(super) fn take_outstanding(
        &self,
        desk: &mut Desk,
        intake: &mut Intake,
        slot: u32,
        outcome: Outcome,
        removed: &mut Removed<Item>,
        wanted: impl Fn(&Payload) -> bool + Copy,
    ) -> usize {
        let mut waiting = 0;
        if desk.libraries[slot as usize].pending > 0 {
            for pending in desk.pending.iter_mut().filter_map(|slot| slot.pending.as_mut()) {
                let own = pending.slot == slot && pending.stage == PendingStage::Waiting;
                if own && wanted(&pending.payload) {
                    pending.stage = PendingStage::Cancelling;
                    pending.ended = Some(outcome);
                    waiting += 1;
                }
            }
        }
        let own = |item: &Item| u32::from(item.slot) == slot && wanted(&item.payload);
        self.take_queued(desk, intake, slot, removed, own);
        waiting
    }

    /// Moves the queued items of a library for which `own` is true into `removed`, which must be empty.
    pub(super) fn take_queued(
        &self,
        desk: &mut Desk,
        intake: &mut Intake,
        slot: u32,
        removed: &mut Removed<Item>,
        own: impl Fn(&Item) -> bool + Copy,
    ) {
        // The newer queue first: see `Queue::remove_where`.
        intake.items.remove_where(removed, own);
        desk.items.remove_where(removed, own);
        self.ahead.store(desk.items.len(), Ordering::Relaxed);
        self.behind.store(intake.items.len(), Ordering::Relaxed);
        intake.admissions[slot as usize].channels.remove_many(removed);
        let library = &mut desk.libraries[slot as usize];
        removed.iter().for_each(|item| library.took_out(item));
    }

    /// Cancels what was taken, with no lock held. After the call for its delivery, each waiting thread is released and told how it
    /// ended. The caller has recorded that it is in the library's code.
    pub(super) fn cancel_outstanding(
        &self,
        handle: Handle,
        adapter: &'static dyn Adapter,
        caller: Caller,
        waiting: usize,
        removed: &mut Removed<Item>,
        outcome: Outcome,
    ) {
        let mut marked = Marked { dispatcher: self, slot: handle.slot, caller, left: waiting, at: 0 };
        while let Some(pending) = marked.next() {
            boundary::discard(adapter, handle, &pending.payload, Stage::Waiting);
            let outcome = pending.ended.unwrap_or(outcome);
            pending.waiter.release(outcome);
        }
        for item in removed {
            discard(adapter, handle, item, outcome);
        }
    }
}

/// Ends an item that was taken out of the queue, with no lock held.
pub(super) fn discard(adapter: &'static dyn Adapter, handle: Handle, item: Item, outcome: Outcome) {
    boundary::discard_queued(adapter, handle, &item.payload, item.waiter.is_some());
    if let Some(waiter) = item.waiter {
        waiter.release(outcome);
    }
}

/// Deliveries of one library that are marked to be cancelled. Each stays in its slot until it is. If an exception leaves the library's
/// code, the threads that wait for the rest are released without calling the library again.
struct Marked<'a> {
    dispatcher: &'a Dispatcher,
    slot: u32,
    caller: Caller,
    left: usize,
    at: usize,
}

impl Marked<'_> {
    fn next(&mut self) -> Option<super::Pending> {
        if self.left == 0 {
            return None;
        }
        let mut desk = self.dispatcher.lock_desk_as(self.caller);
        let marked =
            |pending: &super::Pending| pending.slot == self.slot && pending.stage == PendingStage::Cancelling;
        // Another thread that cancels for the same library may have ended some of these.
        let slots = desk.pending.iter().skip(self.at);
        let Some(found) = slots.map(|slot| slot.pending.as_ref().is_some_and(marked)).position(|it| it)
        else {
            self.left = 0;
            return None;
        };
        self.at += found;
        self.left -= 1;
        Some(desk.vacate(self.at as u32))
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        while let Some(pending) = self.next() {
            let outcome = pending.ended.unwrap_or(Outcome::Cancelled);
            pending.waiter.release(outcome);
        }
    }
}

impl Library {
    /// Counts an item that a thread waits for and that was taken out of the queue, but not by Lua. Under the desk lock.
    pub(super) fn took_out(&mut self, item: &Item) {
        self.awaited_left += usize::from(item.waiter.is_some());
    }
}
