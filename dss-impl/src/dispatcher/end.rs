//! A library ends a delivery early.

use super::outstanding::discard;
use super::{Called, Dispatcher, PendingStage};
use crate::boundary;
use crate::handle::Handle;
use crate::item::Item;
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::port::Stage;
use crate::queue::Removed;
use crate::sync::Ordering;

impl Dispatcher {
    /// Ends the delivery of that number with `outcome`. It ends a queued item. Unless `queued_only`, it also ends an item that is being
    /// decoded, as soon as the decode is over, and an item whose reply Lua has; that reply then comes too late. False if it is too late
    /// to end the delivery. [any-thread]
    pub fn end(&self, handle: Handle, sequence: u64, outcome: Outcome, queued_only: bool) -> bool {
        let caller = self.caller();
        let mut desk = self.lock_desk_as(caller);
        let Some(library) = desk.registered(handle) else { return false };
        let adapter = library.adapter();
        let timed_out = outcome == Outcome::TimedOut;
        let mut intake = self.intake.lock();
        // The number may be made up: a library can only end its own items.
        let own = |item: &Item| u32::from(item.slot) == handle.slot;
        // An item that was replaced by a later one with its key is not in the queue.
        let position = intake.admission(handle).and_then(|admission| admission.channels.position(sequence));
        let Some(position) = position else { return false };
        let queued = intake.items.remove(position, own).or_else(|| desk.items.remove(position, own));
        if let Some(item) = queued {
            self.behind.store(intake.items.len(), Ordering::Relaxed);
            self.ahead.store(desk.items.len(), Ordering::Relaxed);
            if let Some(admission) = intake.admission(handle) {
                let capacity = admission.channels.of_item(item.channel);
                capacity.end(position, item.bytes);
                capacity.consumed.told();
            }
            desk.count_ended(handle, timed_out, 1);
            let library = &mut desk.libraries[handle.slot as usize];
            library.took_out(&item);
            self.note_entered(library, caller);
            drop(intake);
            drop(desk);
            let _called = Called { dispatcher: self, slot: handle.slot, caller };
            // There is room for another item.
            self.room.ring();
            discard(adapter, handle, item, outcome);
            return true;
        }
        drop(intake);
        if queued_only {
            return false;
        }
        let index = match desk.stage(handle.slot, sequence) {
            Some((index, PendingStage::Waiting)) => index,
            Some((index, PendingStage::Decoding)) => return desk.end_after_decode(handle, index, outcome),
            _ => return false,
        };
        let pending = desk.vacate(index);
        desk.count_ended(handle, timed_out, 1);
        self.note_entered(&mut desk.libraries[handle.slot as usize], caller);
        drop(desk);
        let _called = Called { dispatcher: self, slot: handle.slot, caller };
        boundary::discard(adapter, handle, &pending.payload, Stage::Waiting);
        pending.waiter.release(outcome);
        true
    }

    /// Ends all `wanted` deliveries of a library of that revision, as [`Self::end`] does; returns how many. It is too late for deliveries
    /// that were decoded without waiting for a reply, and for those being replied to. `wanted` is called under the locks, and no payload
    /// ends while it looks at it. [any-thread]
    pub fn end_all(
        &self,
        handle: Handle,
        revision: u32,
        outcome: Outcome,
        wanted: impl Fn(&Payload) -> bool,
    ) -> usize {
        let slot = handle.slot;
        let caller = self.caller();
        let mut removed = Removed::new();
        let mut desk = self.lock_desk_as(caller);
        let Some(library) = desk.registered(handle) else { return 0 };
        let adapter = library.adapter();
        if adapter.number() != revision {
            return 0;
        }
        let mut intake = self.intake.lock();
        let waiting = self.take_outstanding(&mut desk, &mut intake, slot, outcome, &mut removed, &wanted);
        if let Some(admission) = intake.admission(handle).filter(|_| removed.len() > 0) {
            admission.channels.forget_many(&removed);
        }
        drop(intake);
        let mut ended = waiting + removed.len();
        for pending in desk.pending.iter_mut().filter_map(|slot| slot.pending.as_mut()) {
            let decoding = pending.stage == PendingStage::Decoding && pending.ended.is_none();
            if pending.slot == slot && decoding && wanted(&pending.payload) {
                pending.ended = Some(outcome);
                ended += 1;
            }
        }
        desk.count_ended(handle, outcome == Outcome::TimedOut, ended);
        self.note_entered(&mut desk.libraries[slot as usize], caller);
        drop(desk);
        let _called = Called { dispatcher: self, slot, caller };
        // There is room for more items.
        self.room.ring();
        self.cancel_outstanding(handle, adapter, caller, waiting, &mut removed, outcome);
        ended
    }
}

impl super::Desk {
    /// The index and the stage of the delivery of that number, if it has left the queue.
    fn stage(&self, slot: u32, sequence: u64) -> Option<(u32, PendingStage)> {
        self.pending.iter().zip(0..).find_map(|(entry, index)| {
            let pending = entry.pending.as_ref()?;
            ((pending.slot, pending.sequence) == (slot, sequence)).then_some((index, pending.stage))
        })
    }

    /// Makes the running decode end its delivery with `outcome`. This does not wait for the decode: it may run Lua finalizers, and
    /// these may run the library's code, which may wait for a lock that the caller holds.
    fn end_after_decode(&mut self, handle: Handle, index: u32, outcome: Outcome) -> bool {
        let pending = self.pending[index as usize].pending.as_mut();
        let Some(pending) = pending.filter(|pending| pending.ended.is_none()) else { return false };
        pending.ended = Some(outcome);
        self.count_ended(handle, outcome == Outcome::TimedOut, 1);
        true
    }

    fn count_ended(&mut self, handle: Handle, timed_out: bool, ended: usize) {
        let counts = &mut self.libraries[handle.slot as usize].counts;
        if timed_out {
            counts.timed_out += ended as u64;
        } else {
            counts.cancelled += ended as u64;
        }
    }
}
