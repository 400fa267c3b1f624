//! The way in: `deliver`, on any thread.

use super::{Dispatcher, Intake, Phase};
use crate::delivery::{Announced, DeliverError, Item, Outcome, Parcel, Waiter, wait_pair};
use crate::handle::Handle;
use crate::notifier::Due;
use crate::sync::{Entered, Ordering};

impl Dispatcher {
    /// Hands over one item and returns at once. [any-thread], also in a signal handler.
    ///
    /// # Errors
    /// Nothing was taken, and nothing of the parcel was touched. [`DeliverError::WouldDeadlock`] where a signal handler interrupted
    /// its thread in this dispatcher.
    pub fn deliver(&self, handle: Handle, parcel: Parcel) -> Result<Announced, DeliverError> {
        self.push(handle, parcel, None)
    }

    /// Hands over one item and sleeps until it has ended. [any-thread] `[blocks]`
    ///
    /// # Errors
    /// As [`Self::deliver`]; and [`DeliverError::WouldDeadlock`] on the Lua thread, which is the one that would have to
    /// end it. The Lua thread is the one that last entered this module through Lua in that state.
    pub fn deliver_and_wait(
        &self,
        handle: Handle,
        parcel: Parcel,
    ) -> Result<(Outcome, Announced), DeliverError> {
        if self.on_lua_thread() {
            return Err(self.refuse(handle, DeliverError::WouldDeadlock));
        }
        let (waiter, waiting) = wait_pair().map_err(|error| self.refuse(handle, error.into()))?;
        let announced = self.push(handle, parcel, Some(waiter))?;
        Ok((waiting.wait(), announced))
    }

    /// Counts deliveries that a library's adapter refused, where `handle` names one. [any-thread]
    pub fn count_refused(&self, handle: Handle, count: u64) {
        let mut intake = self.intake.lock();
        let door = intake.doors.get_mut(handle.slot as usize);
        if let Some(door) = door.filter(|door| door.generation == handle.generation && door.open) {
            door.refused += count;
        }
    }

    /// Counts a refusal for `handle`, where that names a library, and says which error its caller gets.
    fn refuse(&self, handle: Handle, error: DeliverError) -> DeliverError {
        let mut intake = self.intake.lock();
        match intake.doors.get_mut(handle.slot as usize) {
            Some(door) if door.generation == handle.generation && door.open => {
                door.refused += 1;
                error
            }
            _ => DeliverError::InvalidHandle,
        }
    }

    /// Locks the intake for what wakes Lua; none in a signal handler that would wait for what it interrupted.
    #[inline]
    fn enter_intake(&self) -> Option<Entered<'_, Intake>> {
        let intake = self.intake.enter()?;
        if !intake.sleeping || !self.on_lua_thread() {
            return Some(intake);
        }
        // A handler: the Lua thread sleeps. Where that stands does not change meanwhile.
        drop(intake);
        if self.arrived.can_be_rung() { self.intake.enter() } else { None }
    }

    #[inline]
    fn push(
        &self,
        handle: Handle,
        parcel: Parcel,
        waiter: Option<Waiter>,
    ) -> Result<Announced, DeliverError> {
        // A signal handler may deliver; what it interrupted may be this very function.
        let Some(mut guard) = self.enter_intake() else { return Err(DeliverError::WouldDeadlock) };
        let intake = &mut *guard;
        let Some(door) =
            intake.doors.get_mut(handle.slot as usize).filter(|door| door.generation == handle.generation)
        else {
            return Err(DeliverError::InvalidHandle);
        };
        // First: when a state has closed, all doors have.
        if !door.open {
            return Err(DeliverError::InvalidHandle);
        }
        if intake.phase != Phase::Open {
            door.refused += 1;
            return Err(DeliverError::Stopping);
        }
        let sequence = intake.sequence + 1;
        let awaited = usize::from(waiter.is_some());
        if intake.items.push(Item { parcel, waiter, sequence, slot: handle.slot, bytes: 0 }).is_err() {
            door.refused += 1;
            return Err(DeliverError::OutOfMemory);
        }
        intake.sequence = sequence;
        door.entered += 1;
        door.awaited += awaited;
        Ok(self.announce_arrival(guard))
    }

    /// Wakes whom an item that came concerns, with the lock given up.
    #[inline(always)] // a part of every deliver
    pub(super) fn announce_arrival(&self, mut intake: Entered<'_, Intake>) -> Announced {
        let behind = intake.items.len();
        self.behind.store(behind, Ordering::Relaxed);
        // One at least: what took another's place may lie at the desk.
        let due = intake.credit.claim(behind.max(1));
        let wake = std::mem::take(&mut intake.sleeping);
        drop(intake);
        if wake {
            self.wake_lua();
        }
        match due {
            Some(due) => self.send(due),
            None => Announced::Yes,
        }
    }

    /// Sends a notification that is due, with no lock held.
    #[cold]
    pub(super) fn send(&self, due: Due) -> Announced {
        /// Gives the credit back unless it was sent, also where the notifier is left by an exception.
        struct Unsent<'a>(&'a Dispatcher, Option<Due>);

        impl Drop for Unsent<'_> {
            fn drop(&mut self) {
                if let Some(due) = &self.1 {
                    self.0.intake.lock().credit.failed(due);
                }
            }
        }

        let (notifier, queued) = (due.notifier.clone(), due.queued);
        let mut unsent = Unsent(self, Some(due));
        match notifier.notify(queued) {
            Ok(()) => {
                unsent.1 = None;
                Announced::Yes
            }
            Err(_) => Announced::Failed,
        }
    }
}
