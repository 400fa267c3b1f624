//! The way in: `deliver` and the related functions, on any thread.

use super::admit::count_refusal;
use super::{Dispatcher, Intake, Sleeping};
use crate::delivery::{Accepted, Announced, DeliverError, Delivery};
use crate::entrance::Entered;
use crate::handle::Handle;
use crate::notifier::{Due, Sent};
use crate::outcome::Outcome;
use crate::port::RequestPort;
use crate::sync::Ordering;
use crate::waiter::{Completion, Waiter, wait_pair};

impl Dispatcher {
    /// Delivers one item. [any-thread], also in a signal handler if the channel has no limits. `[blocks]` if the limits leave no room, under
    /// [`Policy::Wait`](crate::capacity::Policy::Wait)
    ///
    /// # Errors
    /// The item was not taken, and the payload was not touched. [`DeliverError::WouldDeadlock`] if a signal handler interrupted
    /// its thread in this dispatcher, or if the Lua thread would wait for room.
    #[inline(always)] // a deliver is little more than what this inlines
    pub fn deliver(&self, handle: Handle, delivery: Delivery<'_>) -> Result<Accepted, DeliverError> {
        self.admit(handle, delivery, &mut None, true)
    }

    /// Delivers one item and sleeps until it has ended. [any-thread] `[blocks]`
    ///
    /// # Errors
    /// As [`Self::deliver`]; also [`DeliverError::WouldDeadlock`] on the Lua thread, which would wait for itself. The Lua thread is
    /// the thread that last entered this module through Lua in that state.
    pub fn deliver_and_wait(
        &self,
        handle: Handle,
        delivery: Delivery<'_>,
    ) -> Result<(Outcome, Announced), DeliverError> {
        if self.on_lua_thread() {
            return Err(self.refuse(handle, &delivery, DeliverError::WouldDeadlock));
        }
        let (waiter, waiting) = wait_pair().map_err(|error| self.refuse(handle, &delivery, error.into()))?;
        let accepted = self.admit(handle, delivery, &mut Some(waiter), true)?;
        Ok((waiting.wait(), accepted.announced))
    }

    /// Delivers a request. `port` completes it, however it ends. It never waits for room. [any-thread]
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub fn request(
        &self,
        handle: Handle,
        delivery: Delivery<'_>,
        port: &'static dyn RequestPort,
    ) -> Result<Accepted, DeliverError> {
        let completion = Completion { port, payload: delivery.payload };
        let waiter =
            Waiter::completing(completion).map_err(|error| self.refuse(handle, &delivery, error.into()))?;
        let mut waiter = Some(waiter);
        let result = self.admit(handle, delivery, &mut waiter, false);
        if let Some(waiter) = waiter {
            // The request was refused, so the library keeps it.
            waiter.disarm();
        }
        result
    }

    /// Counts deliveries that a library's adapter refused, if `handle` is valid. [any-thread]
    pub fn count_refused(&self, handle: Handle, count: u64) {
        if let Some(admission) = self.intake.lock().admission(handle) {
            admission.refused += count;
        }
    }

    /// Counts a refused delivery, and returns the error for its caller.
    fn refuse(&self, handle: Handle, delivery: &Delivery<'_>, error: DeliverError) -> DeliverError {
        count_refusal(&mut self.intake.lock(), handle, delivery, error)
    }

    /// Locks the intake before Lua is woken. None in a signal handler that would have to wait for the code it interrupted.
    #[inline(always)] // a part of every deliver
    pub(super) fn enter_intake(&self) -> Option<Entered<'_, Intake>> {
        let intake = self.intake.enter()?;
        if !matches!(intake.sleeping, Sleeping::InBell) || !self.on_lua_thread() {
            return Some(intake);
        }
        // This is a signal handler, and the Lua thread sleeps. That cannot change meanwhile.
        drop(intake);
        if self.arrived.can_be_rung() { self.intake.enter() } else { None }
    }

    /// Releases the lock, wakes the Lua thread if it sleeps, and sends a notification if one is due.
    #[inline(always)] // a part of every deliver
    pub(super) fn announce_arrival(&self, mut intake: Entered<'_, Intake>) -> Announced {
        let behind = intake.items.len();
        self.behind.store(behind, Ordering::Relaxed);
        // At least one: an item that replaced another may be at the desk.
        let due = intake.credit.claim(behind.max(1));
        let sleeper = intake.take_sleeper();
        drop(intake);
        if let Some(sleeper) = sleeper {
            self.wake_lua(sleeper);
        }
        match due {
            Some(due) => self.send(due),
            None => Announced::Yes,
        }
    }

    /// Sends a due notification, with no lock held.
    #[cold]
    pub(super) fn send(&self, due: Due) -> Announced {
        /// Gives the credit back unless the notification was sent, even if an exception leaves the notifier.
        struct Unsent<'a>(&'a Dispatcher, Option<Due>);

        impl Drop for Unsent<'_> {
            fn drop(&mut self) {
                if let Some(due) = &self.1 {
                    self.0.intake.lock().credit.failed(due);
                }
            }
        }

        let mut unsent = Unsent(self, Some(due));
        let sent = unsent.1.as_ref().map_or(Sent::All, Due::send);
        if sent != Sent::None {
            unsent.1 = None;
        }
        if sent == Sent::All { Announced::Yes } else { Announced::Failed }
    }
}
