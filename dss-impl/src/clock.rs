//! The time, for how long a delivery waits.

/// Nanoseconds on a clock that never goes back; never 0. Comparable within the process. [any-thread]
#[inline]
#[must_use]
pub fn now() -> u64 {
    system::now().max(1)
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
