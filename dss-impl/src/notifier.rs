//! Notifiers wake a Lua thread that sleeps outside of DSS. The credit keeps it from being woken too often.
//!
//! A state may have two notifiers: a datagram to a port, as in 1.0, and a descriptor. Both send the same at the same time, so there is
//! one credit. At most one notification is outstanding: sent, or planned for a moment later. The credit is under the intake lock:
//!
//! | outstanding | event                                         | outstanding | sends                          |
//! |-------------|-----------------------------------------------|-------------|--------------------------------|
//! | no          | deliver                                       | sent        | one                            |
//! | yes         | deliver                                       | unchanged   | none                           |
//! | any         | poll, dispatch begins                         | no          | none                           |
//! | no          | poll or dispatch ends, items remain           | sent        | one                            |
//! | no          | the same, and the program had no pause lately | planned     | one, when the pause is over    |
//! | no          | poll or dispatch ends, none remain            | no          | none                           |
//! | planned     | the pause is over                             | sent        | one                            |
//! | any         | a notifier changes, items are queued          | sent        | one                            |
//! | no          | the state begins or ceases to be alive        | sent        | one, if the program asked      |
//! | sent        | no notifier could send                        | no          | -                              |
//!
//! Notifications are sent with no lock held.

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
    /// Sends one notification. A program that reads it finds every item that was queued before the call.
    ///
    /// # Errors
    /// The notification was not sent.
    fn notify(&self, queued: usize) -> io::Result<()>;

    /// Clears what was sent and not read, if this side has to do that. [lua-thread], before it looks at the queue.
    fn clear(&self) {}

    /// The number that the program waits for, if there is one and it is open. [any-thread]
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

/// A notifier that several threads use.
pub(crate) type SharedNotifier = Shared<Box<dyn Notifier>>;

/// Makes the notifier for [`Credit::change`].
pub(crate) fn share(notifier: Option<Box<dyn Notifier>>) -> Result<Option<SharedNotifier>, OutOfMemory> {
    notifier.map(Shared::try_new).transpose()
}

/// The kind of notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Sends to a port, as 1.0 does.
    Port,
    /// Makes a descriptor readable.
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
    /// The number of the last notification that was sent.
    sent: u64,
}

/// A notification that must be sent as soon as the lock is released.
pub(crate) struct Due {
    notifiers: Notifiers,
    queued: usize,
    number: u64,
}

/// The result of sending a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All notifiers have sent it.
    All,
    /// Some have sent it. The program will look at the queue, but one of its notifiers does not work.
    Part,
    /// None has.
    None,
}

impl Credit {
    /// Takes the credit if items are queued and no notification is outstanding.
    #[inline]
    pub(crate) fn claim(&mut self, queued: usize) -> Option<Due> {
        if queued == 0 { None } else { self.claim_in_any_case(queued) }
    }

    /// As [`Self::claim`], even if no items are queued.
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

    /// As [`Self::claim`], for a notification that [`Self::claim_planned`] sends later. False if there is nothing to plan.
    pub(crate) fn plan(&mut self, queued: usize) -> bool {
        let plans = queued > 0 && self.is_free();
        if plans {
            self.outstanding = Outstanding::Planned;
        }
        plans
    }

    /// Called when the pause is over. The planned notification is due, unless Lua has looked meanwhile.
    pub(crate) fn claim_planned(&mut self, queued: usize) -> Option<Due> {
        if self.outstanding != Outstanding::Planned {
            return None;
        }
        self.outstanding = Outstanding::No;
        self.claim(queued)
    }

    /// Called when Lua looks at the queue: nothing is outstanding any more.
    pub(crate) fn spend(&mut self) {
        self.outstanding = Outstanding::No;
    }

    /// Called when `due` could not be sent. Then nothing is outstanding, unless another notification was sent or planned since: Lua looked,
    /// or a notifier was changed.
    pub(crate) fn failed(&mut self, due: &Due) {
        if self.outstanding == Outstanding::Sent && self.sent == due.number {
            self.outstanding = Outstanding::No;
        }
    }

    /// Changes one notifier. Returns the old one, which the caller must drop without the lock.
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
    /// Sends it with all notifiers, even if one of them fails.
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
