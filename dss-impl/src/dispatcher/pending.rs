//! Deliveries that left the queue and that a thread waits for. They stay at the desk until they have ended.

use super::{Desk, PendingId};
use crate::memory::{OutOfMemory, TryRoom};
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::waiter::Waiter;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PendingStage {
    Decoding,
    Waiting,
    Replying,
    /// The thread that marked it will cancel it. Lua cannot reply any more.
    Cancelling,
}

/// A delivery that left the queue and that a thread waits for.
pub(super) struct Pending {
    pub(super) slot: u32,
    pub(super) sequence: u64,
    pub(super) payload: Payload,
    pub(super) waiter: Waiter,
    pub(super) stage: PendingStage,
    /// How it will end. Set while it is being decoded if its library ended it: the end of the decode uses it. Always set in `Cancelling`.
    pub(super) ended: Option<Outcome>,
}

/// A slot for a [`Pending`]. Its generation goes up each time it is emptied.
#[derive(Default)]
pub(super) struct PendingSlot {
    pub(super) generation: u64,
    pub(super) pending: Option<Pending>,
}

impl Desk {
    /// Makes sure that there is a vacant slot.
    pub(super) fn reserve_slot(&mut self) -> Result<(), OutOfMemory> {
        if !self.vacant.is_empty() {
            return Ok(());
        }
        self.pending.try_room(1)?;
        // Enough for all slots, so that vacating one needs no memory.
        self.vacant.try_room(self.pending.len() + 1)?;
        self.vacant.push(self.pending.len() as u32);
        self.pending.push(PendingSlot::default());
        Ok(())
    }

    /// Puts a delivery that a thread waits for on the desk. Must be called after [`Self::reserve_slot`].
    pub(super) fn add(&mut self, pending: Pending, epoch: u64) -> PendingId {
        let index = self.vacant.pop().expect("`reserve_slot` made sure of it");
        self.libraries[pending.slot as usize].pending += 1;
        let slot = &mut self.pending[index as usize];
        slot.pending = Some(pending);
        PendingId { index, generation: slot.generation, epoch }
    }

    /// The delivery that `id` names, if it has not ended.
    pub(super) fn find_pending(&mut self, id: PendingId) -> Option<&mut Pending> {
        self.pending
            .get_mut(id.index as usize)
            .filter(|slot| slot.generation == id.generation)?
            .pending
            .as_mut()
    }

    /// Takes the delivery that `id` names off the desk.
    pub(super) fn remove(&mut self, id: PendingId) -> Option<Pending> {
        self.find_pending(id)?;
        Some(self.vacate(id.index))
    }

    pub(super) fn vacate(&mut self, index: u32) -> Pending {
        let slot = &mut self.pending[index as usize];
        slot.generation += 1;
        let pending = slot.pending.take().expect("its caller has seen what is in the slot");
        self.vacant.push(index);
        self.libraries[pending.slot as usize].pending -= 1;
        pending
    }
}
