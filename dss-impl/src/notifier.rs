//! What wakes a Lua thread that sleeps elsewhere, and the credit that keeps it from being woken too often.
//!
//! At most one notification is outstanding. The credit is a bit under the intake lock:
//!
//! | outstanding | event                          | outstanding | sends                     |
//! |-------------|--------------------------------|-------------|---------------------------|
//! | no          | deliver                        | yes         | one                       |
//! | yes         | deliver                        | yes         | none                      |
//! | any         | poll, dispatch begins          | no          | none                      |
//! | no          | poll or dispatch ends, items   | yes         | one                       |
//! | no          | poll or dispatch ends, none    | no          | none                      |
//! | any         | the notifier changes, items    | yes         | one, by the new notifier  |
//! | yes         | the send failed                | no          | -                         |
//!
//! Sends happen outside of all locks.

use std::io;

use crate::memory::{OutOfMemory, Shared};

#[cfg(not(loom))]
pub use udp::UdpNotifier;

#[cfg(not(loom))]
mod udp;

/// Something that wakes a Lua thread. Called on any thread, with no lock held.
pub trait Notifier: Send + Sync {
    /// Sends one notification. An item that was queued before the call is found by whoever reads the notification.
    ///
    /// # Errors
    /// The notification is not on its way.
    fn notify(&self, queued: usize) -> io::Result<()>;
}

impl<N: Notifier + ?Sized> Notifier for std::sync::Arc<N> {
    fn notify(&self, queued: usize) -> io::Result<()> {
        (**self).notify(queued)
    }
}

/// A notifier as several threads use it.
pub(crate) type SharedNotifier = Shared<Box<dyn Notifier>>;

/// The notifier for [`Credit::change`].
pub(crate) fn share(notifier: Option<Box<dyn Notifier>>) -> Result<Option<SharedNotifier>, OutOfMemory> {
    notifier.map(Shared::try_new).transpose()
}

/// The credit of one state.
#[derive(Default)]
pub(crate) struct Credit {
    notifier: Option<SharedNotifier>,
    outstanding: bool,
}

/// A notification that must be sent as soon as the lock is given up.
pub(crate) struct Due {
    pub(crate) notifier: SharedNotifier,
    pub(crate) queued: usize,
}

impl Credit {
    /// Takes the credit where items wait and none is outstanding.
    #[inline]
    pub(crate) fn claim(&mut self, queued: usize) -> Option<Due> {
        if self.outstanding || queued == 0 {
            return None;
        }
        let notifier = self.notifier.as_ref()?.clone();
        self.outstanding = true;
        Some(Due { notifier, queued })
    }

    /// Lua looks: what was outstanding is spent.
    pub(crate) fn spend(&mut self) {
        self.outstanding = false;
    }

    /// The send of `due` failed: nothing is outstanding, unless the notifier was changed meanwhile.
    pub(crate) fn failed(&mut self, due: &Due) {
        if self.notifier.as_ref().is_some_and(|current| current.is(&due.notifier)) {
            self.outstanding = false;
        }
    }

    /// Changes the notifier; returns the old one, to be dropped outside of the lock.
    pub(crate) fn change(&mut self, notifier: Option<SharedNotifier>) -> Option<SharedNotifier> {
        self.outstanding = false;
        std::mem::replace(&mut self.notifier, notifier)
    }
}
