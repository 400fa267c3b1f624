//! The two barriers of an asymmetric protocol; see `biased`.

use std::sync::OnceLock;
use std::sync::atomic::{Ordering, compiler_fence, fence};

/// Whether the system runs barriers on all threads for us. Decided once, before the first use of either.
static ASYMMETRIC: OnceLock<bool> = OnceLock::new();

/// Decides which barriers are used. Called before the first of them.
pub(crate) fn prepare() {
    ASYMMETRIC.get_or_init(system::register);
}

/// The cheap side's: orders an earlier store before a later load, as seen by who runs [`heavy`].
#[inline]
pub(crate) fn light() {
    if ASYMMETRIC.get() == Some(&true) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The dear side's: a full barrier here and, where the other side's is light, on every running thread of the process.
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    if ASYMMETRIC.get() == Some(&true) {
        system::everywhere();
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: it takes two integers, and touches no memory of ours.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0 as libc::c_int) };
        result == 0
    }

    /// Asks for the barrier; false where the system has none, or forbids it.
    pub(super) fn register() -> bool {
        membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED)
    }

    /// Runs it. A process that was forked has to ask anew.
    pub(super) fn everywhere() {
        if !membarrier(PRIVATE_EXPEDITED) && !register() {
            // It was there a moment ago; without it the lock would not hold.
            std::process::abort();
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn everywhere() {}
}
