//! A sleep that is ended by a ring, without a ring that is lost.
//!
//! Who is to sleep looks at what it waits for under a lock of its own, *listens* there, gives that lock up, and sleeps. Who changes
//! that does so under the same lock, and rings after it: it is seen, or heard.
//!
//! A signal handler may ring, and may have interrupted a ring of its own thread. It then leaves its ring to that one, which rings again
//! when it finds that it was to.

use std::time::Duration;

use crate::sync::{AtomicU64, Condvar, Entrance, Mutex, Ordering, pause};

/// A bell.
pub(crate) struct Bell {
    /// How often it was to ring.
    rings: AtomicU64,
    /// Entered by the thread that rings.
    ringer: Entrance<()>,
    /// Held by who falls asleep, from its last look at `rings` on; and by who rings.
    bed: Mutex<()>,
    rang: Condvar,
}

/// What had rung before. Got under the lock that guards what is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Heard(u64);

impl Bell {
    pub(crate) fn new() -> Self {
        Bell {
            rings: AtomicU64::new(0),
            ringer: Entrance::new(()),
            bed: Mutex::new(()),
            rang: Condvar::new(),
        }
    }

    /// Waits for nobody: a ring may be under way on a thread that a signal handler interrupted, which waits for its caller's lock.
    pub(crate) fn listen(&self) -> Heard {
        Heard(self.rings.load(Ordering::Relaxed))
    }

    /// Sleeps until it rings, or `limit` is over, or for no reason: who wakes looks again. `[blocks]`
    pub(crate) fn sleep(&self, heard: Heard, limit: Duration) {
        let bed = self.bed.lock();
        if self.rings.load(Ordering::SeqCst) == heard.0 {
            drop(self.rang.wait_for(bed, limit));
        }
    }

    /// Wakes all who sleep. In a signal handler too, where that [may](Self::can_be_rung).
    pub(crate) fn ring(&self) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        loop {
            // The ring that was interrupted comes to its look below, and sees this one.
            let Some(ringer) = self.ringer.enter() else { return };
            let rings = self.rings.load(Ordering::SeqCst);
            // Who looked before this ring has fallen asleep by now.
            drop(self.bed.lock());
            self.rang.notify_all();
            drop(ringer);
            if self.rings.load(Ordering::SeqCst) == rings {
                return;
            }
        }
    }

    /// Whether a signal handler that interrupted a sleeper may ring: not while that falls asleep or awakes.
    #[cold]
    pub(crate) fn can_be_rung(&self) -> bool {
        const ROUNDS: u32 = 200;

        let mut rounds = 0;
        while rounds < ROUNDS {
            if self.bed.try_lock().is_some() {
                return true;
            }
            // Another thread may ring just now.
            pause(&mut rounds);
        }
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_ring_that_interrupted_another_is_left_to_that() {
        let bell = Bell::new();
        let heard = bell.listen();
        // As a ring of this thread's has it when a signal comes.
        let ringer = bell.ringer.enter();
        bell.ring();
        drop(ringer);
        // It was heard: a sleep would last an hour.
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
