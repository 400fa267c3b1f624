//! Forks: a process that was forked has one thread, whatever its parent had, and the locks of the others as they were.
//!
//! So nothing that served a state at the fork is used in the child: a dispatcher knows in which process it was opened, and says that it
//! serves nothing anywhere else. What the child opens itself works.

#[cfg(not(loom))]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the one that loaded DSS.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of the running process, as [`watch`] counts it. [any-thread]
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Has forks counted from here on. [any-thread]
#[cfg(not(loom))]
pub(crate) fn watch() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if !WATCHED.swap(true, Ordering::Relaxed) {
        system::watch();
    }
}

#[cfg(all(unix, not(loom)))]
mod system {
    use super::GENERATION;
    use std::sync::atomic::Ordering;

    /// Runs in the child, before `fork` returns there.
    unsafe extern "C" fn forked() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
        crate::barrier::forked();
    }

    pub(super) fn watch() {
        // SAFETY: the handler stays mapped, for this image is never unloaded, and does what a signal handler may. Where there is no
        // memory to note it, a forked child is not told from its parent.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    }
}

#[cfg(not(any(unix, loom)))]
mod system {
    pub(super) fn watch() {}
}
