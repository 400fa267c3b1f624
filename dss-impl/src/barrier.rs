//! The two barriers of an asymmetric protocol; see `biased`.
//!
//! | mode       | the cheap side          | the expensive side                           | leaves to                          |
//! |------------|-------------------------|----------------------------------------------|------------------------------------|
//! | Unknown    | a fence                 | a fence                                      | Asymmetric or Symmetric, `prepare` |
//! | Asymmetric | for the compiler only   | `membarrier`; if that fails, `fall_back`     | Leaving                            |
//! | Leaving    | a fence                 | waits for the end of `fall_back`             | Symmetric                          |
//! | Symmetric  | a fence                 | a fence                                      | -                                  |
//!
//! A process may forbid itself `membarrier` at any time. At that moment, a thread on the cheap side may just have passed its barrier
//! without a fence, and its store may still be in its processor's store buffer. No processor keeps a store there for long: an interrupt
//! empties the buffer, and the system's timer interrupts each processor that runs a program many times a second. So the expensive side
//! changes the mode, which makes every later barrier of the cheap side a fence, and then sleeps once for longer than that. (Morrison
//! and Afek, "Temporally Bounding TSO for Fence-Free Asymmetric Synchronization", ASPLOS 2015, use and measure the same bound.)

use std::sync::atomic::{AtomicU8, Ordering, compiler_fence, fence};
use std::time::Duration;

use crate::cancellation;
use crate::sync::pause;

const UNKNOWN: u8 = 0;
const ASYMMETRIC: u8 = 1;
const LEAVING: u8 = 2;
const SYMMETRIC: u8 = 3;

static MODE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Longer than any store stays in a buffer: several ticks of the slowest timer that systems use (100 Hz).
const GRACE: Duration = Duration::from_millis(50);

/// Decides which barriers are used. Must be called before the first barrier.
pub(crate) fn prepare() {
    if MODE.load(Ordering::Relaxed) == UNKNOWN {
        let mode = if system::register() { ASYMMETRIC } else { SYMMETRIC };
        // Another thread may have decided meanwhile.
        let _ = MODE.compare_exchange(UNKNOWN, mode, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Called first in a forked child. The thread that was in [`fall_back`] does not exist here, and no other thread does either.
#[cfg(unix)]
pub(crate) fn forked() {
    let _ = MODE.compare_exchange(LEAVING, SYMMETRIC, Ordering::SeqCst, Ordering::SeqCst);
}

/// The barrier of the cheap side. Orders an earlier store before a later load, as seen by a thread that runs [`heavy`].
#[inline]
pub(crate) fn light() {
    if MODE.load(Ordering::Relaxed) == ASYMMETRIC {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The barrier of the expensive side: a full barrier here and, if the cheap side uses no fences, on every running thread of the process.
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    match MODE.load(Ordering::Relaxed) {
        ASYMMETRIC if system::everywhere() => {}
        ASYMMETRIC | LEAVING => fall_back(),
        _ => {}
    }
}

/// Continues without the system's barrier. When it returns, everything that the cheap side stored before is visible.
#[cold]
fn fall_back() {
    if MODE.compare_exchange(ASYMMETRIC, LEAVING, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        fence(Ordering::SeqCst);
        cancellation::sleep(GRACE);
        MODE.store(SYMMETRIC, Ordering::SeqCst);
    }
    // A thread that arrives in the meantime waits for the first one.
    let mut rounds = 0;
    while MODE.load(Ordering::SeqCst) == LEAVING {
        pause(&mut rounds);
    }
    fence(Ordering::SeqCst);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes two integers, and touches no memory of ours.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0 as libc::c_int) };
        result == 0
    }

    /// Registers for the barrier; false if the system has none or forbids it.
    pub(super) fn register() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
    }

    /// Runs the barrier; false if that is no longer possible. A forked process has to register again.
    pub(super) fn everywhere() -> bool {
        membarrier(PRIVATE_EXPEDITED) || register()
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn everywhere() -> bool {
        false
    }
}
