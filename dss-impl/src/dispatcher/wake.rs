//! Waking the Lua thread: the notifiers, and the sleep in `wait`.

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
    /// Nothing is queued: the time is over, or another thread woke this one.
    Nothing,
}

impl Dispatcher {
    /// Sets the notifier to a port. Sends a notification if items are queued. Does nothing in a state that is closing: the notifier would
    /// be left to the next state that is served here. [lua-thread]
    ///
    /// # Errors
    /// There is no memory for it. Nothing has changed.
    pub fn set_notifier(&self, notifier: Option<Box<dyn Notifier>>) -> Result<(), OutOfMemory> {
        self.change_notifier(Way::Port, notifier)
    }

    /// Sets the notifier with a descriptor, as [`Self::set_notifier`] does. [lua-thread]
    ///
    /// # Errors
    /// As [`Self::set_notifier`].
    pub fn set_descriptor(&self, notifier: Option<Box<dyn Notifier>>) -> Result<(), OutOfMemory> {
        self.change_notifier(Way::Descriptor, notifier)
    }

    /// The number of the descriptor that [`Self::set_descriptor`] set, if the program has not closed it. [lua-thread]
    #[must_use]
    pub fn descriptor(&self) -> Option<i64> {
        self.enter_lua();
        self.lock_desk().clears.as_ref()?.descriptor()
    }

    /// Sends a notification now, even if nothing is queued. Returns true if there is a notifier and all notifiers sent it. [lua-thread]
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
            // If this fails, nothing is outstanding, and the next deliver tries again.
            self.send(due);
        }
        Ok(())
    }

    /// Sleeps until something is queued, `limit` is over, or the last library has unregistered. Returns immediately if
    /// something is queued. [lua-thread] `[blocks]`
    pub fn wait(&self, limit: Duration) -> Waited {
        self.sleep(limit, false)
    }

    /// As [`Self::wait`], but returns immediately if no library is registered. A caller that checked that before the call could miss
    /// an unregister in between. [lua-thread] `[blocks]`
    pub fn wait_registered(&self, limit: Duration) -> Waited {
        self.sleep(limit, true)
    }

    /// Wakes the Lua thread, after the caller has taken `sleeper`. [any-thread], also in a signal handler, which may have interrupted this
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
                // If the program closed it, that woke the Lua thread.
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
            // No wake-up is lost: a deliver comes before this and was seen, or comes after it and rings. So does the last unregister.
            intake.sleeping = Sleeping::InBell;
            let heard = self.arrived.listen();
            drop(intake);
            self.arrived.sleep(heard, limit);
            intake = self.intake.lock();
            intake.sleeping = Sleeping::No;
        }
        if intake.items.len() > 0 { Waited::Queued } else { Waited::Nothing }
    }

    /// As [`Self::wait`], or as [`Self::wait_registered`] if `for_a_library`, for a program that also waits for descriptors.
    /// A signal ends the sleep. `others` are checked in any case. [lua-thread] `[blocks]`
    ///
    /// # Errors
    /// The system has no descriptor for the sleep.
    ///
    /// # Safety
    /// Must be called on the Lua thread, inside a call that Lua made, in the state that this dispatcher serves.
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
        // After the last sleep had ended by itself, another thread may have written to it.
        pair.clear();
        let mut intake = self.intake.lock();
        let idle = self.ahead.load(Ordering::Relaxed) == 0 && intake.has_cause_to_sleep(for_a_library);
        let limit = if idle { limit } else { Duration::ZERO };
        if idle {
            // No wake-up is lost: a deliver comes before this and was seen, or comes after it and writes. So does the last unregister.
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

    /// What the Lua thread sleeps on. Made once, and again if the program closed it.
    ///
    /// # Safety
    /// As [`Self::wait_on`].
    #[cfg(all(unix, not(loom)))]
    unsafe fn waker(&self) -> Result<Shared<Pair>, NoDescriptor> {
        // SAFETY: as the caller promises. Taken as the owner, so that no other thread is disturbed.
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
    /// Takes how the Lua thread sleeps, for a caller that wakes it. None if it does not sleep.
    #[inline(always)] // a part of every deliver
    pub(super) fn take_sleeper(&mut self) -> Option<Sleeping> {
        match self.sleeping {
            Sleeping::No => None,
            _ => Some(std::mem::take(&mut self.sleeping)),
        }
    }

    /// As [`Self::take_sleeper`], but only if nothing keeps `run` going.
    pub(super) fn take_sleeper_in_vain(&mut self) -> Option<Sleeping> {
        if self.registered == 0 { self.take_sleeper() } else { None }
    }

    fn has_cause_to_sleep(&self, for_a_library: bool) -> bool {
        self.items.len() == 0 && !(for_a_library && self.registered == 0)
    }
}
