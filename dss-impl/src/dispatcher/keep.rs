//! What keeps `run` going: each library that says so, or that holds something open.

use super::{Admission, Dispatcher, Intake, Sleeping};
use crate::delivery::DeliverError;
use crate::handle::Handle;
use crate::notifier::Due;

impl Dispatcher {
    /// Says whether a library keeps `run` going while it holds nothing. [any-thread]
    ///
    /// # Errors
    /// The handle names no registered library.
    pub fn keep_alive(&self, handle: Handle, keeps: bool) -> Result<(), DeliverError> {
        self.change_keeping(handle, |admission| admission.keeps_alive = keeps)
    }

    /// Has a library keep `run` going until as many calls of [`Self::let_go`] have followed. [any-thread]
    ///
    /// # Errors
    /// The handle names no registered library.
    pub fn hold(&self, handle: Handle) -> Result<(), DeliverError> {
        self.change_keeping(handle, |admission| admission.holds += 1)
    }

    /// Takes one [`Self::hold`] back; does nothing where there is none. [any-thread]
    pub fn let_go(&self, handle: Handle) {
        // A library that has left holds nothing any more.
        let _ = self.change_keeping(handle, |admission| admission.holds = admission.holds.saturating_sub(1));
    }

    fn change_keeping(
        &self,
        handle: Handle,
        change: impl FnOnce(&mut Admission),
    ) -> Result<(), DeliverError> {
        let mut intake = self.intake.lock();
        let admission = intake.admission(handle).ok_or(DeliverError::InvalidHandle)?;
        let kept = admission.keeps();
        change(admission);
        let keeps = admission.keeps();
        intake.registered = intake.registered + usize::from(keeps) - usize::from(kept);
        // `run` sleeps for a library that keeps it, and there is none now.
        let sleeper = intake.take_sleeper_in_vain();
        let due = intake.due_if_alive_changed();
        drop(intake);
        self.tell(sleeper, due);
        Ok(())
    }

    /// Whether something keeps the program going: a library that says so or holds something open, or an item that is queued. From the first
    /// call on a notification is sent when a library begins to keep it going, or none does any more. [lua-thread]
    pub fn is_alive(&self) -> bool {
        self.enter_lua();
        let mut intake = self.intake.lock();
        let kept = intake.registered > 0;
        intake.told_alive = Some(kept);
        kept || self.queue_size() > 0
    }

    /// Wakes the Lua thread if it sleeps in vain, and sends what is due. With no lock held.
    pub(super) fn tell(&self, sleeper: Option<Sleeping>, due: Option<Due>) {
        if let Some(sleeper) = sleeper {
            self.wake_lua(sleeper);
        }
        if let Some(due) = due {
            // If it fails nothing is outstanding; the program hears of it with the next.
            self.send(due);
        }
    }
}

impl Intake {
    /// The notification that is due if the program asked whether something keeps it going, and was told otherwise.
    pub(super) fn due_if_alive_changed(&mut self) -> Option<Due> {
        let kept = self.registered > 0;
        if self.told_alive.is_none_or(|told| told == kept) {
            return None;
        }
        self.told_alive = Some(kept);
        let queued = self.items.len();
        self.credit.claim_in_any_case(queued)
    }
}

impl Admission {
    /// Whether it counts among those that keep `run` going.
    pub(super) fn keeps(&self) -> bool {
        self.keeps_alive || self.holds > 0
    }
}
