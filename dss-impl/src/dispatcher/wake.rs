//! Waking: the notifier, and the sleep in `wait`.

use std::time::Duration;

use super::{Dispatcher, Phase};
use crate::memory::OutOfMemory;
use crate::notifier::{self, Notifier};
use crate::sync::Ordering;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Something is queued.
    Queued,
    /// Nothing is queued: the time is over, or somebody woke the thread.
    Nothing,
}

impl Dispatcher {
    /// Changes the notifier; starts with a notification if items wait. Does nothing in a state that closes, where a new
    /// one would be left to the next state that is served here. [lua-thread]
    ///
    /// # Errors
    /// There is no memory for it; nothing changed.
    pub fn set_notifier(&self, notifier: Option<Box<dyn Notifier>>) -> Result<(), OutOfMemory> {
        let notifier = notifier::share(notifier)?;
        self.enter_lua();
        let mut desk = self.lock_desk();
        if desk.phase != Phase::Open {
            return Ok(());
        }
        let mut intake = self.intake.lock();
        desk.notifying = notifier.is_some();
        let old = intake.credit.change(notifier);
        let queued = desk.items.len() + intake.items.len();
        let due = intake.credit.claim(queued);
        drop(intake);
        drop(desk);
        drop(old);
        if let Some(due) = due {
            // A send that fails leaves nothing outstanding, and the next deliver tries again.
            self.send(due);
        }
        Ok(())
    }

    /// Sleeps until something is queued, or `limit` is over, or the last library unregistered. Returns at once where
    /// something is. [lua-thread] `[blocks]`
    pub fn wait(&self, limit: Duration) -> Waited {
        self.sleep(limit, false)
    }

    /// As [`Self::wait`], and returns at once where no library is registered: who looks at that before the call misses
    /// an unregister in between. [lua-thread] `[blocks]`
    pub fn wait_registered(&self, limit: Duration) -> Waited {
        self.sleep(limit, true)
    }

    /// Wakes the Lua thread that sleeps in [`Self::wait`], for whoever took `sleeping` back. [any-thread], also in a signal handler,
    /// that may have interrupted this function.
    #[cold]
    pub(super) fn wake_lua(&self) {
        self.waking.run(|()| self.arrived.ring());
    }

    fn sleep(&self, limit: Duration, for_a_library: bool) -> Waited {
        self.enter_lua();
        if self.ahead.load(Ordering::Relaxed) > 0 {
            return Waited::Queued;
        }
        let mut intake = self.intake.lock();
        let in_vain = for_a_library && intake.registered == 0;
        if intake.items.len() == 0 && !in_vain && !limit.is_zero() {
            // A deliver comes before this, and was seen, or after it, and rings. So does the last unregister.
            intake.sleeping = true;
            let heard = self.arrived.listen();
            drop(intake);
            self.arrived.sleep(heard, limit);
            intake = self.intake.lock();
            intake.sleeping = false;
        }
        if intake.items.len() > 0 { Waited::Queued } else { Waited::Nothing }
    }
}
