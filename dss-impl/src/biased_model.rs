//! Replaces [`Biased`](../biased.rs) in the models of the core: a plain mutex. The protocol has models of its own
//! (`tests/loom/biased.rs`). `--cfg deep` uses the protocol in the models of the core too, which then take minutes.

use crate::sync::{Condvar, Mutex, MutexGuard};

pub(crate) struct Biased<T>(Mutex<T>);

pub(crate) type Guard<'a, T> = MutexGuard<'a, T>;

impl<T> Biased<T> {
    pub(crate) fn new(value: T) -> Self {
        Biased(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Guard<'_, T> {
        self.0.lock()
    }

    /// # Safety
    /// As for the protocol. A mutex does not need it.
    pub(crate) unsafe fn lock_as_owner(&self) -> Guard<'_, T> {
        self.0.lock()
    }

    pub(crate) fn wait<'a>(&'a self, guard: Guard<'a, T>, condition: &Condvar) -> Guard<'a, T> {
        condition.wait(guard)
    }

    pub(crate) fn notify_all(&self, condition: &Condvar) {
        condition.notify_all();
    }
}
