//! What keeps `run` going: each library that says so, or that holds something open.

use super::{Admission, Dispatcher};
use crate::delivery::DeliverError;
use crate::handle::Handle;

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
        let wake = intake.registered == 0 && std::mem::take(&mut intake.sleeping);
        drop(intake);
        if wake {
            // `run` sleeps for a library that keeps it, and there is none now.
            self.wake_lua();
        }
        Ok(())
    }
}

impl Admission {
    /// Whether it counts among those that keep `run` going.
    pub(super) fn keeps(&self) -> bool {
        self.keeps_alive || self.holds > 0
    }
}
