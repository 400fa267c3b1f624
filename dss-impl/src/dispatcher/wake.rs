//! Waking: the notifier, and the sleep in `wait`.

use std::time::Duration;

use super::{Dispatcher, Intake, Phase, Sleeping};
use crate::delivery::Announced;
use crate::memory::OutOfMemory;
#[cfg(all(unix, not(loom)))]
use crate::memory::Shared;
#[cfg(all(unix, not(loom)))]
use crate::notifier::NoDescriptor;
use crate::notifier::{self, Notifier, Way};
#[cfg(all(unix, not(loom)))]
use crate::pair::{Other, Pair};
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
    /// Changes the notifier to a port; starts with a notification if items wait. Does nothing in a state that closes, where a new
    /// one would be left to the next state that is served here. [lua-thread]
    ///
    /// # Errors
    /// There is no memory for it; nothing changed.
    pub fn set_notifier(&self, notifier: Option<Box<dyn Notifier>>) -> Result<(), OutOfMemory> {
        self.change_notifier(Way::Port, notifier)
    }

    /// The same for the notifier with a descriptor. [lua-thread]
    ///
    /// # Errors
    /// As [`Self::set_notifier`].
    pub fn set_descriptor(&self, notifier: Option<Box<dyn Notifier>>) -> Result<(), OutOfMemory> {
        self.change_notifier(Way::Descriptor, notifier)
    }

    /// The number of the descriptor that [`Self::set_descriptor`] set, if the program has left it open. [lua-thread]
    #[must_use]
    pub fn descriptor(&self) -> Option<i64> {
        self.enter_lua();
        self.lock_desk().clears.as_ref()?.descriptor()
    }

    /// Sends a notification now, also if nothing is queued. Returns whether all notifiers have sent it, and there is one. [lua-thread]
    pub fn notify(&self) -> bool {
        self.enter_lua();
        let desk = self.lock_desk();
        let mut intake = self.intake.lock();
        let queued = desk.items.len() + intake.items.len();
        intake.credit.spend();
        let due = intake.credit.claim_in_any_case(queued);
        drop(intake);
        drop(desk);
        due.is_some_and(|due| self.send(due) == Announced::Yes)
    }

    fn change_notifier(&self, way: Way, notifier: Option<Box<dyn Notifier>>) -> Result<(), OutOfMemory> {
        let notifier = notifier::share(notifier)?;
        self.enter_lua();
        if notifier.is_some() {
            self.used.store(true, Ordering::Relaxed);
        }
        let mut desk = self.lock_desk();
        if desk.phase != Phase::Open {
            return Ok(());
        }
        let mut intake = self.intake.lock();
        let cleared = match way {
            Way::Descriptor => std::mem::replace(&mut desk.clears, notifier.clone()),
            Way::Port => None,
        };
        let old = intake.credit.change(way, notifier);
        desk.notifying = intake.credit.is_notifying();
        let queued = desk.items.len() + intake.items.len();
        let due = intake.credit.claim(queued);
        drop(intake);
        drop(desk);
        drop((old, cleared));
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

    /// Wakes the Lua thread, for whoever took `sleeper` back. [any-thread], also in a signal handler, that may have interrupted this
    /// function.
    #[cold]
    pub(super) fn wake_lua(&self, sleeper: Sleeping) {
        match sleeper {
            Sleeping::No => {}
            Sleeping::InBell => {
                self.waking.run(|()| self.arrived.ring());
            }
            #[cfg(not(loom))]
            Sleeping::On(pair) => {
                // If the program closed it, the Lua thread was woken by that.
                let _ = pair.write();
            }
        }
    }

    fn sleep(&self, limit: Duration, for_a_library: bool) -> Waited {
        self.enter_lua();
        if self.ahead.load(Ordering::Relaxed) > 0 {
            return Waited::Queued;
        }
        let mut intake = self.intake.lock();
        if intake.has_cause_to_sleep(for_a_library) && !limit.is_zero() {
            // A deliver comes before this, and was seen, or after it, and rings. So does the last unregister.
            intake.sleeping = Sleeping::InBell;
            let heard = self.arrived.listen();
            drop(intake);
            self.arrived.sleep(heard, limit);
            intake = self.intake.lock();
            intake.sleeping = Sleeping::No;
        }
        if intake.items.len() > 0 { Waited::Queued } else { Waited::Nothing }
    }

    /// As [`Self::wait`], or as [`Self::wait_registered`] if `for_a_library`, for a program that has descriptors to wait on, too.
    /// A signal ends the sleep. `others` are looked at in any case. [lua-thread] `[blocks]`
    ///
    /// # Errors
    /// The system has no descriptor for the sleep.
    ///
    /// # Safety
    /// On the Lua thread, inside a call that Lua made, in the state that this dispatcher serves.
    #[cfg(all(unix, not(loom)))]
    pub unsafe fn wait_on(
        &self,
        others: &mut [Other],
        limit: Duration,
        for_a_library: bool,
    ) -> Result<Waited, NoDescriptor> {
        self.enter_lua();
        // SAFETY: as the caller promises.
        let pair = unsafe { self.waker() }?;
        // It may have been written to after the last sleep had ended by itself.
        pair.clear();
        let mut intake = self.intake.lock();
        let idle = self.ahead.load(Ordering::Relaxed) == 0 && intake.has_cause_to_sleep(for_a_library);
        let limit = if idle { limit } else { Duration::ZERO };
        if idle {
            // A deliver comes before this, and was seen, or after it, and writes. So does the last unregister.
            intake.sleeping = Sleeping::On(pair.clone());
        }
        drop(intake);
        pair.sleep(others, limit);
        let mut intake = self.intake.lock();
        let sleeper = intake.take_sleeper();
        let queued = self.ahead.load(Ordering::Relaxed) > 0 || intake.items.len() > 0;
        drop(intake);
        drop(sleeper);
        Ok(if queued { Waited::Queued } else { Waited::Nothing })
    }

    /// What the Lua thread sleeps on: made once, and again if the program closed it.
    ///
    /// # Safety
    /// As [`Self::wait_on`].
    #[cfg(all(unix, not(loom)))]
    unsafe fn waker(&self) -> Result<Shared<Pair>, NoDescriptor> {
        // SAFETY: as the caller promises. As the owner, so that no other thread has to be asked.
        let mut desk = unsafe { self.desk.lock_as_owner() };
        if let Some(pair) = desk.waker.as_ref().filter(|pair| pair.is_open()) {
            return Ok(pair.clone());
        }
        let pair = Shared::try_new(Pair::new().map_err(NoDescriptor::Refused)?)?;
        let old = desk.waker.replace(pair.clone());
        drop(desk);
        drop(old);
        Ok(pair)
    }
}

impl Intake {
    /// Whoever wakes the Lua thread takes this; none if it does not sleep.
    #[inline(always)] // a part of every deliver
    pub(super) fn take_sleeper(&mut self) -> Option<Sleeping> {
        match self.sleeping {
            Sleeping::No => None,
            _ => Some(std::mem::take(&mut self.sleeping)),
        }
    }

    /// The same, if nothing keeps `run` going.
    pub(super) fn take_sleeper_in_vain(&mut self) -> Option<Sleeping> {
        if self.registered == 0 { self.take_sleeper() } else { None }
    }

    fn has_cause_to_sleep(&self, for_a_library: bool) -> bool {
        self.items.len() == 0 && !(for_a_library && self.registered == 0)
    }
}
