//! The clock that measures how long a delivery waits.
//!
//! Reading the clock twice for each item would take a third of the cost of a delivery. If more than a few items are queued,
//! only one in eight is stamped, and it counts for eight.

/// Nanoseconds on a clock that never goes back; never 0. Comparable within the process. [any-thread]
#[inline]
#[must_use]
pub fn now() -> u64 {
    system::now().max(1)
}

/// If fewer items are queued, each is stamped.
const FEW: usize = 64;
/// If more are queued, one in this many is stamped.
const ONE_IN: usize = 8;

/// When an item was delivered, and how many items it counts for. One word: the time, with the lowest bit set if it counts for eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// No time was noted.
    pub const NONE: Stamp = Stamp(0);

    /// The stamp of an item that was delivered at this time of [`now`] and counts for one. [any-thread]
    #[must_use]
    pub fn at(nanoseconds: u64) -> Self {
        Stamp(nanoseconds & !1)
    }

    /// The stamp of the `count`th item, with `queued` items before it. [any-thread]
    #[inline]
    #[must_use]
    pub fn take(count: usize, queued: usize) -> Self {
        if queued < FEW {
            Stamp(now() & !1)
        } else if count.is_multiple_of(ONE_IN) {
            Stamp(now() | 1)
        } else {
            Stamp::NONE
        }
    }

    /// How long ago that was, in nanoseconds, and how many items it counts for. [any-thread]
    #[inline]
    #[must_use]
    pub fn age(self) -> Option<(u64, u64)> {
        if self == Stamp::NONE {
            return None;
        }
        let stands_for = if self.0 & 1 == 1 { ONE_IN as u64 } else { 1 };
        Some((now().saturating_sub(self.0), stands_for))
    }
}

/// Calls the system directly: this runs twice for each counted delivery, and the overhead of the standard library's type would
/// be noticeable.
#[cfg(unix)]
mod system {
    use std::mem::MaybeUninit;

    #[inline]
    pub(super) fn now() -> u64 {
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: the place is writable; every Unix has this clock.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
        if status != 0 {
            return 0;
        }
        // SAFETY: the call has written it, as the status says.
        let time = unsafe { time.assume_init() };
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(not(unix))]
mod system {
    use std::sync::OnceLock;
    use std::time::Instant;

    pub(super) fn now() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }
}
