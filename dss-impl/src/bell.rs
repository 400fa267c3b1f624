//! A sleep that a ring ends. No ring is lost.
//!
//! A thread that wants to sleep checks its condition under the lock that guards it, calls *listen* there, releases that lock, and
//! sleeps. A thread that changes the condition does so under the same lock, and rings afterwards. So the sleeper either sees the change
//! or hears the ring.

use std::time::Duration;

use crate::sync::{AtomicU64, Condvar, Mutex, Ordering};

/// A bell.
pub(crate) struct Bell {
    /// How often it rang.
    rings: AtomicU64,
    /// Held by a thread that is falling asleep, from its last look at `rings`.
    bed: Mutex<()>,
    rang: Condvar,
}

/// The rings that were heard before. Must be taken under the lock that guards the condition.
#[derive(Clone, Copy)]
pub(crate) struct Heard(u64);

impl Bell {
    pub(crate) fn new() -> Self {
        Bell { rings: AtomicU64::new(0), bed: Mutex::new(()), rang: Condvar::new() }
    }

    /// Never blocks: other threads may be waiting for the caller's lock.
    pub(crate) fn listen(&self) -> Heard {
        Heard(self.rings.load(Ordering::Relaxed))
    }

    /// Sleeps until the bell rings or `limit` is over. It may also return for no reason, so the caller checks its condition again. `[blocks]`
    pub(crate) fn sleep(&self, heard: Heard, limit: Duration) {
        let bed = self.bed.lock();
        if self.rings.load(Ordering::Relaxed) == heard.0 {
            drop(self.rang.wait_for(bed, limit));
        }
    }

    /// Wakes all sleepers. In a signal handler, call it only if it [may be rung](Self::can_be_rung).
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        // Once this lock is taken, every thread that looked before the ring is asleep.
        drop(self.bed.lock());
        self.rang.notify_all();
    }

    /// Whether a signal handler that interrupted a sleeper may ring. It may not while the sleeper falls asleep or wakes up.
    #[cold]
    #[cfg_attr(loom, allow(dead_code, reason = "no signals come in a model"))]
    pub(crate) fn can_be_rung(&self) -> bool {
        // Another thread that rings holds the lock for nanoseconds. The interrupted thread holds it as long as the handler runs.
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
        // If the ring were lost, this sleep would last an hour.
        bell.sleep(heard, LONG);
    }

    #[test]
    fn to_listen_waits_for_nobody() {
        let bell = Bell::new();
        let _bed = bell.bed.lock();
        bell.listen();
        assert!(!bell.can_be_rung(), "a handler would wait for the thread that falls asleep");
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
            // Each thread hears this, whether it is asleep yet or not.
            bell.ring();
        });
    }
}
