//! Forks. A forked process has one thread, whatever its parent had. The locks that the other threads held stay locked.
//!
//! So nothing that served a state at the fork is used in the child: a dispatcher knows the process in which it was opened, and serves
//! nothing in any other. States that the child opens itself work.

#[cfg(not(loom))]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between this process and the one that loaded DSS.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The number of the current process, as [`watch`] counts it. [any-thread]
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Counts forks from here on. [any-thread]
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
        // SAFETY: the handler stays mapped, because this image is never unloaded, and does only what a signal handler may do. If there
        // is no memory to register it, a forked child cannot be told from its parent.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    }
}

#[cfg(not(any(unix, loom)))]
mod system {
    pub(super) fn watch() {}
}
