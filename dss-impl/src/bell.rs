//! A sleep that is ended by a ring, without a ring that is lost.
//!
//! Who is to sleep looks at what it waits for under a lock of its own, *listens* there, gives that lock up, and sleeps. Who changes
//! that does so under the same lock, and rings after it: it is seen, or heard.

use std::time::Duration;

use crate::sync::{Condvar, Mutex, pause};

/// A bell.
pub(crate) struct Bell {
    /// How often it rang.
    rings: Mutex<u64>,
    rang: Condvar,
}

/// What had rung before. Got under the lock that guards what is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Heard(u64);

impl Bell {
    pub(crate) fn new() -> Self {
        Bell { rings: Mutex::new(0), rang: Condvar::new() }
    }

    pub(crate) fn listen(&self) -> Heard {
        Heard(*self.rings.lock())
    }

    /// Sleeps until it rings, or `limit` is over, or for no reason: who wakes looks again. `[blocks]`
    pub(crate) fn sleep(&self, heard: Heard, limit: Duration) {
        let rings = self.rings.lock();
        if *rings == heard.0 {
            drop(self.rang.wait_for(rings, limit));
        }
    }

    /// Wakes all who sleep.
    pub(crate) fn ring(&self) {
        *self.rings.lock() += 1;
        self.rang.notify_all();
    }

    /// Whether a signal handler that interrupted a sleeper may ring: not while that falls asleep or awakes.
    #[cold]
    pub(crate) fn can_be_rung(&self) -> bool {
        const ROUNDS: u32 = 200;

        let mut rounds = 0;
        while rounds < ROUNDS {
            if self.rings.try_lock().is_some() {
                return true;
            }
            // Another thread may ring just now.
            pause(&mut rounds);
        }
        false
    }
}
