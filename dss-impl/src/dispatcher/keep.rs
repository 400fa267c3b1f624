//! What keeps `run` going: each library that asks for it, or that holds something open.

use super::{Admission, Dispatcher, Intake, Sleeping};
use crate::delivery::DeliverError;
use crate::handle::Handle;
use crate::notifier::Due;

impl Dispatcher {
    /// Sets whether a library keeps `run` going while it holds nothing. [any-thread]
    ///
    /// # Errors
    /// The handle is invalid.
    pub fn keep_alive(&self, handle: Handle, keeps: bool) -> Result<(), DeliverError> {
        self.change_keeping(handle, |admission| admission.keeps_alive = keeps)
    }

    /// Makes a library keep `run` going until [`Self::let_go`] has been called as many times as this. [any-thread]
    ///
    /// # Errors
    /// The handle is invalid.
    pub fn hold(&self, handle: Handle) -> Result<(), DeliverError> {
        self.change_keeping(handle, |admission| admission.holds += 1)
    }

    /// Takes back one [`Self::hold`]; does nothing if there is none. [any-thread]
    pub fn let_go(&self, handle: Handle) {
        // A library that has left holds nothing, so an error is ignored.
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
        // If no library keeps `run` going any more, it is woken.
        let sleeper = intake.take_sleeper_in_vain();
        let due = intake.due_if_alive_changed();
        drop(intake);
        self.tell(sleeper, due);
        Ok(())
    }

    /// Whether something keeps the program going: a library that asks for it or holds something open, or a queued item. After the first
    /// call, a notification is sent when the first library begins to keep it going, and when the last one ceases to. [lua-thread]
    pub fn is_alive(&self) -> bool {
        self.enter_lua();
        let mut intake = self.intake.lock();
        let kept = intake.registered > 0;
        intake.told_alive = Some(kept);
        kept || self.queue_size() > 0
    }

    /// Wakes `sleeper` and sends the due notification, if any. With no lock held.
    pub(super) fn tell(&self, sleeper: Option<Sleeping>, due: Option<Due>) {
        if let Some(sleeper) = sleeper {
            self.wake_lua(sleeper);
        }
        if let Some(due) = due {
            // If this fails, nothing is outstanding, and the program is told with the next notification.
            self.send(due);
        }
    }
}

impl Intake {
    /// The notification that is due if the program asked whether something keeps it going and the answer has changed.
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
    /// Whether it counts as a library that keeps `run` going.
    pub(super) fn keeps(&self) -> bool {
        self.keeps_alive || self.holds > 0
    }
}
