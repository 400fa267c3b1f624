//! The time, for how long a delivery waits.
//!
//! To look at the clock twice for each item would be a third of what the whole delivery costs. Where more than a few are queued,
//! one in eight is looked at, and stands for eight.

/// Nanoseconds on a clock that never goes back; never 0. Comparable within the process. [any-thread]
#[inline]
#[must_use]
pub fn now() -> u64 {
    system::now().max(1)
}

/// Items queued up to which each is stamped.
const FEW: usize = 64;
/// Of how many one is stamped beyond.
const ONE_IN: usize = 8;

/// When an item was delivered, and for how many it stands. One word: the time, its lowest bit set where it stands for eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// No time was noted.
    pub const NONE: Stamp = Stamp(0);

    /// The stamp of an item that was delivered at a time of [`now`], and that stands for itself. [any-thread]
    #[must_use]
    pub fn at(nanoseconds: u64) -> Self {
        Stamp(nanoseconds & !1)
    }

    /// The stamp of the item that is the `count`th, with `queued` before it. [any-thread]
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

    /// How long ago that was, in nanoseconds, and for how many it stands. [any-thread]
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

/// The system's own call: twice for each delivery of a library that counts, what the standard library's type does around it
/// would show.
#[cfg(unix)]
mod system {
    use std::mem::MaybeUninit;

    #[inline]
    pub(super) fn now() -> u64 {
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: writable; this clock is on every Unix.
        let status = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
        if status != 0 {
            return 0;
        }
        // SAFETY: written, as the status says.
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
