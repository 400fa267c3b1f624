//! How much a library may have queued.

use std::time::Duration;

use crate::contract::{RawLimits, POLICY_DROP_OLDEST, POLICY_LATEST, POLICY_REFUSE, POLICY_WAIT};

/// What happens at the bound.
///
/// A library has one policy in each Lua state. A single delivery cannot have its own, because revision v2 has no place for it;
/// [`Library::limit`] changes the policy for what is delivered later. Under any policy, [`Library::deliver_async`] waits for room
/// without blocking a thread, and batches and requests do not wait. Each delivery has its own [`Ticket`](crate::Ticket).
///
/// [`Library::limit`]: crate::Library::limit
/// [`Library::deliver_async`]: crate::Library::deliver_async
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// What does not fit is refused.
    Refuse,
    /// A delivery waits for room, so long at most, and is refused then. Batches and requests are refused at once.
    Wait(Duration),
    /// The oldest items make room.
    DropOldest,
    /// An item replaces the queued one of its key; see [`Library::deliver_keyed`](crate::Library::deliver_keyed). What
    /// does not fit is refused.
    Latest,
}

/// How much a library may have queued in one Lua state, and what happens then: 65,536 items and 64 MiB at most, and
/// what does not fit is refused, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    items: usize,
    bytes: usize,
    policy: Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// The limits of a library that says nothing of them. [any-thread]
    #[must_use]
    pub const fn new() -> Self {
        Limits { items: 65_536, bytes: 64 << 20, policy: Policy::Refuse }
    }

    /// So many items at most. [any-thread]
    #[must_use]
    pub const fn items(mut self, items: usize) -> Self {
        self.items = items;
        self
    }

    /// So many bytes at most, of all values together. [any-thread]
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// What happens at the bound. [any-thread]
    #[must_use]
    pub const fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) fn raw(self) -> RawLimits {
        let (policy, wait) = match self.policy {
            Policy::Refuse => (POLICY_REFUSE, Duration::ZERO),
            Policy::Wait(wait) => (POLICY_WAIT, wait),
            Policy::DropOldest => (POLICY_DROP_OLDEST, Duration::ZERO),
            Policy::Latest => (POLICY_LATEST, Duration::ZERO),
        };
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        RawLimits { items: self.items, bytes: self.bytes, policy, wait }
    }
}
