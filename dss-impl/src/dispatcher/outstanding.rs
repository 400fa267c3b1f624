//! What a library still has when it leaves, or when its state closes: taken in one step under both locks, and cancelled with none. Nothing
//! here asks for memory, however much there is: a process that has none left must be able to end its libraries.

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
    /// Takes what a library has, as far as it is `wanted`: what is queued into `removed`, and what waits for its reply is marked, as
    /// to end by `outcome`. What is decoding or replying is left to that call to end. Returns how many were marked.
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

    /// Takes what is queued and `own` of a library into `removed`, which has nothing yet.
    pub(super) fn take_queued(
        &self,
        desk: &mut Desk,
        intake: &mut Intake,
        slot: u32,
        removed: &mut Removed<Item>,
        own: impl Fn(&Item) -> bool + Copy,
    ) {
        // The newer first: see `Queue::remove_where`.
        intake.items.remove_where(removed, own);
        desk.items.remove_where(removed, own);
        self.ahead.store(desk.items.len(), Ordering::Relaxed);
        self.behind.store(intake.items.len(), Ordering::Relaxed);
        intake.admissions[slot as usize].channels.remove_many(removed);
        let library = &mut desk.libraries[slot as usize];
        removed.iter().for_each(|item| library.took_out(item));
    }

    /// Cancels what was taken, with no lock held; each waiting thread is released after the call for its delivery, and told how it
    /// ended. The caller has noted that it is in the library's code.
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

/// Ends what was taken out of the queue, with no lock held.
pub(super) fn discard(adapter: &'static dyn Adapter, handle: Handle, item: Item, outcome: Outcome) {
    boundary::discard_queued(adapter, handle, &item.payload, item.waiter.is_some());
    if let Some(waiter) = item.waiter {
        waiter.release(outcome);
    }
}

/// Deliveries of one library that are to be cancelled, in their slots until they are. Where the library's code is left by an exception, the
/// threads that wait for the others are released without another call of it.
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
    /// Counts an item that somebody waits for and that another than Lua took out of the queue, under the desk lock.
    pub(super) fn took_out(&mut self, item: &Item) {
        self.awaited_left += usize::from(item.waiter.is_some());
    }
}
