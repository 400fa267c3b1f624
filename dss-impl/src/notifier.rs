//! What wakes a Lua thread that sleeps elsewhere, and the credit that keeps it from being woken too often.
//!
//! A state may have two notifiers: 1.0's, a datagram to a port, and a descriptor. Both say the same at the same time, so there is one credit.
//! At most one notification is outstanding: sent, or planned for a moment later. The credit lies under the intake lock:
//!
//! | outstanding | event                                        | outstanding | sends                          |
//! |-------------|----------------------------------------------|-------------|--------------------------------|
//! | no          | deliver                                      | sent        | one                            |
//! | yes         | deliver                                      | as it is    | none                           |
//! | any         | poll, dispatch begins                        | no          | none                           |
//! | no          | poll or dispatch ends, items                 | sent        | one                            |
//! | no          | the same, and the program had no pause lately | planned    | one, when the pause is over    |
//! | no          | poll or dispatch ends, none                  | no          | none                           |
//! | planned     | the pause is over                            | sent        | one                            |
//! | any         | a notifier changes, items                    | sent        | one                            |
//! | no          | the state comes alive, or stops being so     | sent        | one, if the program asked      |
//! | sent        | no notifier could send                       | no          | -                              |
//!
//! Sends happen outside of all locks.

use std::io;

use crate::memory::{OutOfMemory, Shared};

#[cfg(not(loom))]
pub use descriptor::{DescriptorNotifier, NoDescriptor};
#[cfg(not(loom))]
pub use hello::HelloNotifier;
#[cfg(not(loom))]
pub use udp::UdpNotifier;

#[cfg(not(loom))]
mod descriptor;
#[cfg(not(loom))]
mod hello;
#[cfg(not(loom))]
mod udp;

/// Something that wakes a Lua thread. Called on any thread, with no lock held.
pub trait Notifier: Send + Sync {
    /// Sends one notification. An item that was queued before the call is found by whoever reads the notification.
    ///
    /// # Errors
    /// The notification is not on its way.
    fn notify(&self, queued: usize) -> io::Result<()>;

    /// Takes back what was sent and not read, if that is this side's to do. [lua-thread], before it looks at what is queued.
    fn clear(&self) {}

    /// The number that the program waits on, if there is one and it is open. [any-thread]
    fn descriptor(&self) -> Option<i64> {
        None
    }
}

impl<N: Notifier + ?Sized> Notifier for std::sync::Arc<N> {
    fn notify(&self, queued: usize) -> io::Result<()> {
        (**self).notify(queued)
    }

    fn clear(&self) {
        (**self).clear();
    }

    fn descriptor(&self) -> Option<i64> {
        (**self).descriptor()
    }
}

/// A notifier as several threads use it.
pub(crate) type SharedNotifier = Shared<Box<dyn Notifier>>;

/// The notifier for [`Credit::change`].
pub(crate) fn share(notifier: Option<Box<dyn Notifier>>) -> Result<Option<SharedNotifier>, OutOfMemory> {
    notifier.map(Shared::try_new).transpose()
}

/// Which of a state's notifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// 1.0's, which sends to a port.
    Port,
    /// The descriptor.
    Descriptor,
}

/// The notifiers of one state, by [`Way`].
type Notifiers = [Option<SharedNotifier>; 2];

/// Whether a notification is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Outstanding {
    #[default]
    No,
    /// It will be sent when the pause is over.
    Planned,
    Sent,
}

/// The credit of one state.
#[derive(Default)]
pub(crate) struct Credit {
    notifiers: Notifiers,
    outstanding: Outstanding,
    /// The number of the notification that was sent last.
    sent: u64,
}

/// A notification that must be sent as soon as the lock is given up.
pub(crate) struct Due {
    notifiers: Notifiers,
    queued: usize,
    number: u64,
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All notifiers have sent it.
    All,
    /// Some have: the program will look, and one of its ways to be told is broken.
    Part,
    /// None has.
    None,
}

impl Credit {
    /// Takes the credit if items wait and none is outstanding.
    #[inline]
    pub(crate) fn claim(&mut self, queued: usize) -> Option<Due> {
        if queued == 0 { None } else { self.claim_in_any_case(queued) }
    }

    /// The same, also if no items wait.
    #[inline]
    pub(crate) fn claim_in_any_case(&mut self, queued: usize) -> Option<Due> {
        self.is_free().then(|| self.take(queued))
    }

    /// Whether another notification may be sent.
    #[inline]
    fn is_free(&self) -> bool {
        self.outstanding == Outstanding::No && self.is_notifying()
    }

    #[cold]
    fn take(&mut self, queued: usize) -> Due {
        self.outstanding = Outstanding::Sent;
        self.sent += 1;
        Due { notifiers: self.notifiers.clone(), queued, number: self.sent }
    }

    /// As [`Self::claim`], for a notification that is sent later, by [`Self::claim_planned`]. False if there is nothing to plan.
    pub(crate) fn plan(&mut self, queued: usize) -> bool {
        let plans = queued > 0 && self.is_free();
        if plans {
            self.outstanding = Outstanding::Planned;
        }
        plans
    }

    /// The pause is over: what was planned is due, unless Lua looked meanwhile.
    pub(crate) fn claim_planned(&mut self, queued: usize) -> Option<Due> {
        if self.outstanding != Outstanding::Planned {
            return None;
        }
        self.outstanding = Outstanding::No;
        self.claim(queued)
    }

    /// Lua looks: what was outstanding is spent.
    pub(crate) fn spend(&mut self) {
        self.outstanding = Outstanding::No;
    }

    /// The send of `due` failed: nothing is outstanding, unless Lua looked, or a notifier was changed, and another was sent or planned since.
    pub(crate) fn failed(&mut self, due: &Due) {
        if self.outstanding == Outstanding::Sent && self.sent == due.number {
            self.outstanding = Outstanding::No;
        }
    }

    /// Changes one notifier; returns the old one, to be dropped outside of the lock.
    pub(crate) fn change(&mut self, way: Way, notifier: Option<SharedNotifier>) -> Option<SharedNotifier> {
        self.outstanding = Outstanding::No;
        std::mem::replace(&mut self.notifiers[way as usize], notifier)
    }

    /// Whether there is a notifier.
    #[inline]
    pub(crate) fn is_notifying(&self) -> bool {
        self.notifiers.iter().any(Option::is_some)
    }
}

impl Due {
    /// Sends it. What one of the notifiers says is said if another fails, too.
    pub(crate) fn send(&self) -> Sent {
        let (mut some, mut all) = (false, true);
        for notifier in self.notifiers.iter().flatten() {
            let sent = notifier.notify(self.queued).is_ok();
            some |= sent;
            all &= sent;
        }
        match (some, all) {
            (_, true) => Sent::All,
            (true, false) => Sent::Part,
            (false, false) => Sent::None,
        }
    }
}
