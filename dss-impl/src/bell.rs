//! A sleep that is ended by a ring, without a ring that is lost.
//!
//! Who is to sleep looks at what it waits for under a lock of its own, *listens* there, gives that lock up, and sleeps. Who changes
//! that does so under the same lock, and rings after it: it is seen, or heard.

use std::time::Duration;

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering};

/// A bell.
pub(crate) struct Bell {
    /// How often it rang.
    rings: AtomicU64,
    /// Held by who falls asleep, from its last look at `rings` on.
    bed: Mutex<()>,
    rang: Condvar,
}

/// What had rung before. Got under the lock that guards what is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Heard(u64);

impl Bell {
    pub(crate) fn new() -> Self {
        Bell { rings: AtomicU64::new(0), bed: Mutex::new(()), rang: Condvar::new() }
    }

    /// Waits for nobody: under its caller's lock stand others.
    pub(crate) fn listen(&self) -> Heard {
        Heard(self.rings.load(Ordering::Relaxed))
    }

    /// Sleeps until it rings, or `limit` is over, or for no reason: who wakes looks again. `[blocks]`
    pub(crate) fn sleep(&self, heard: Heard, limit: Duration) {
        let bed = self.bed.lock();
        if self.rings.load(Ordering::Relaxed) == heard.0 {
            drop(self.rang.wait_for(bed, limit));
        }
    }

    /// Wakes all who sleep. In a signal handler only where it [may](Self::can_be_rung).
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        // Who looked before that has fallen asleep when this is had.
        drop(self.bed.lock());
        self.rang.notify_all();
    }

    /// Whether a signal handler that interrupted a sleeper may ring: not while that falls asleep or awakes.
    #[cold]
    #[cfg_attr(loom, allow(dead_code, reason = "no signals come in a model"))]
    pub(crate) fn can_be_rung(&self) -> bool {
        // Another thread that rings has it for nanoseconds; what was interrupted has it for as long as this takes.
        const ROUNDS: u32 = 50;

        (0..ROUNDS).any(|_| {
            std::hint::spin_loop();
            self.bed.try_lock().is_some()
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn what_rang_since_one_listened_is_heard() {
        let bell = Bell::new();
        let heard = bell.listen();
        bell.ring();
        // A sleep would last an hour.
        bell.sleep(heard, LONG);
    }

    #[test]
    fn to_listen_waits_for_nobody() {
        let bell = Bell::new();
        let _bed = bell.bed.lock();
        bell.listen();
        assert!(!bell.can_be_rung(), "a handler would wait for who falls asleep");
    }

    #[test]
    fn every_sleeper_is_woken() {
        let bell = Bell::new();
        let heard = bell.listen();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while bell.listen().0 == heard.0 {
                        bell.sleep(heard, LONG);
                    }
                });
            }
            // Asleep or not yet: either way it is heard.
            bell.ring();
        });
    }
}
