//! The intake's lock in a model: a mutex, because a model has no signals.

use crate::sync::{Mutex, MutexGuard};

/// The lock.
pub(crate) struct Entrance<T>(Mutex<T>);

pub(crate) type Entered<'a, T> = MutexGuard<'a, T>;

impl<T> Entrance<T> {
    pub(crate) fn new(value: T) -> Self {
        Entrance(Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> Entered<'_, T> {
        self.0.lock()
    }

    pub(crate) fn enter(&self) -> Option<Entered<'_, T>> {
        Some(self.0.lock())
    }
}
