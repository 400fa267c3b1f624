//! How much a library may have queued.

use std::time::Duration;

use crate::contract::{RawLimits, POLICY_DROP_OLDEST, POLICY_LATEST, POLICY_REFUSE, POLICY_WAIT};

/// What happens to a delivery if the queue is full.
///
/// A library has one policy in each Lua state. A single delivery cannot have its own policy. [`Library::limit`]
/// changes the policy for later deliveries. Under any policy, [`Library::deliver_async`] waits for room without
/// blocking a thread, and batches and requests do not wait.
///
/// ```
/// use dss_abi_v2::{Library, Limits, Policy, Result};
///
/// fn set_policy(library: &Library, name: String) -> Result<()> {
///     let policy = match &name[..] {
///         "refuse" => Policy::Refuse,
///         "wait" => Policy::Wait(std::time::Duration::from_secs(1)),
///         "drop-oldest" => Policy::DropOldest,
///         "latest" => Policy::Latest,
///         _ => return Err(format!("unknown policy '{}'", name).into()),
///     };
///     Ok(library.limit(Limits::new().policy(policy))?)
/// }
/// ```
///
/// [`Library::limit`]: crate::Library::limit
/// [`Library::deliver_async`]: crate::Library::deliver_async
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The delivery is refused.
    Refuse,
    /// The delivery waits for room at most this long, and is then refused. Batches and requests are refused
    /// immediately.
    Wait(Duration),
    /// The oldest items are dropped to make room.
    DropOldest,
    /// A delivery replaces the queued one with the same key: see
    /// [`Library::deliver_keyed`](crate::Library::deliver_keyed). A delivery that replaces nothing and does not fit
    /// is refused.
    Latest,
}

/// How much a library may have queued in one Lua state, and what happens at that limit. The default is 65,536 items,
/// 64 MiB, and [`Policy::Refuse`].
///
/// ```
/// use dss_abi_v2::{Limits, Policy};
///
/// const LIMITS: Limits = Limits::new().items(1_000).bytes(1 << 20).policy(Policy::DropOldest);
/// assert_ne!(LIMITS, Limits::default());
/// ```
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
    /// The default limits. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{Limits, Policy};
    /// assert_eq!(Limits::new(), Limits::new().items(65_536).bytes(64 << 20).policy(Policy::Refuse));
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Limits { items: 65_536, bytes: 64 << 20, policy: Policy::Refuse }
    }

    /// Sets how many items may be queued. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::Limits;
    /// const FEW: Limits = Limits::new().items(16);
    /// ```
    #[must_use]
    pub const fn items(mut self, items: usize) -> Self {
        self.items = items;
        self
    }

    /// Sets how many bytes all queued values together may have. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::Limits;
    /// const SMALL: Limits = Limits::new().bytes(64 << 10); // 64 KiB
    /// ```
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets what happens if the queue is full. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{Limits, Policy};
    /// # use std::time::Duration;
    /// const PATIENT: Limits = Limits::new().policy(Policy::Wait(Duration::from_secs(1)));
    /// ```
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
