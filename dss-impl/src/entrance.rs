//! The lock of the intake, which a signal handler may meet.
//!
//! A handler that delivers may have interrupted its own thread anywhere, in this lock too. To wait for that would be to wait for ever,
//! so each thread at the lock says so in a *claim*, before it takes the lock and until it has given it up:
//!
//! | claim of the running thread | it stands                                      | a deliver in a signal handler    |
//! |-----------------------------|------------------------------------------------|----------------------------------|
//! | none                        | elsewhere                                      | locks                            |
//! | its id                      | before, in or behind what the lock guards      | is refused                       |
//! | its id, asleep              | in a sleep that gives the lock up              | tries for a while, or is refused |

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};
use std::time::Duration;

use crate::sync::{Condvar, Mutex, pause, thread_id};

/// A mutex that knows which threads are at it. So a signal handler that interrupted one of them can be refused, and does not wait for
/// itself.
pub(crate) struct Entrance<T> {
    lock: Mutex<T>,
    claims: [AtomicU64; CLAIMS],
}

/// Threads at one [`Entrance`] that can be told apart. More are served; a signal handler on one of those may wait for itself.
const CLAIMS: usize = 64;
/// Places in which a thread's claim may be.
const NEIGHBOURS: usize = 4;
/// Set in the claim of a thread that sleeps with the lock given up.
const SLEEPS: u64 = 1;

/// Access to what an [`Entrance`] guards.
pub(crate) struct Entered<'a, T> {
    // First, so that it is given up while the claim still stands.
    guard: MutexGuard<'a, T>,
    claim: Claim<'a>,
}

/// A thread's word that it takes the lock, has it, or is about to give it up. A thread says so before and after.
struct Claim<'a> {
    thread: u64,
    place: Option<&'a AtomicU64>,
}

impl Claim<'_> {
    /// Says it again, with the lock taken: two threads that found a place empty at the same instant both took it.
    #[inline]
    fn confirm(&self) {
        if let Some(place) = self.place.filter(|place| place.load(Ordering::Relaxed) != self.thread) {
            place.store(self.thread, Ordering::Relaxed);
        }
    }
}

impl Drop for Claim<'_> {
    #[inline]
    fn drop(&mut self) {
        // The lock is given up before.
        compiler_fence(Ordering::SeqCst);
        if let Some(place) = self.place.filter(|place| place.load(Ordering::Relaxed) == self.thread) {
            place.store(0, Ordering::Relaxed);
        }
    }
}

impl<T> Entrance<T> {
    pub(crate) fn new(value: T) -> Self {
        Entrance { lock: Mutex::new(value), claims: [const { AtomicU64::new(0) }; CLAIMS] }
    }

    /// The places of a thread's claim.
    #[inline]
    fn places(&self, thread: u64) -> impl Iterator<Item = &AtomicU64> {
        // Fibonacci hashing: what identifies threads are addresses, and most of their bits are alike.
        let at = (thread.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize;
        (at..at + NEIGHBOURS).map(|at| &self.claims[at % CLAIMS])
    }

    #[inline]
    fn claim(&self, thread: u64) -> Claim<'_> {
        self.claim_at(thread, self.places(thread).find(|place| place.load(Ordering::Relaxed) == 0))
    }

    #[inline]
    fn claim_at<'a>(&'a self, thread: u64, place: Option<&'a AtomicU64>) -> Claim<'a> {
        if let Some(place) = place {
            place.store(thread, Ordering::Relaxed);
        }
        // What follows on this thread, a signal handler of its included, comes after the claim.
        compiler_fence(Ordering::SeqCst);
        Claim { thread, place }
    }

    /// Locks. Not in a signal handler.
    #[inline]
    pub(crate) fn lock(&self) -> Entered<'_, T> {
        self.lock_with(self.claim(thread_id()))
    }

    #[inline]
    fn lock_with<'a>(&'a self, claim: Claim<'a>) -> Entered<'a, T> {
        let guard = self.lock.try_lock().unwrap_or_else(|| self.lock_contended());
        claim.confirm();
        Entered { guard, claim }
    }

    /// The lock is held for nanoseconds: it is worth some rounds, and giving the processor to the thread that has it, before this
    /// thread falls asleep and has to be woken.
    #[cold]
    fn lock_contended(&self) -> MutexGuard<'_, T> {
        const SPINS: u32 = 3;
        const YIELDS: u32 = 7;

        for round in 1..=SPINS {
            for _ in 0..1 << round {
                std::hint::spin_loop();
            }
            if let Some(guard) = self.lock.try_lock() {
                return guard;
            }
        }
        for _ in 0..YIELDS {
            std::thread::yield_now();
            if let Some(guard) = self.lock.try_lock() {
                return guard;
            }
        }
        self.lock.lock()
    }

    /// Locks, in a signal handler too; none where that interrupted a thread that is at this lock.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Entered<'_, T>> {
        let me = thread_id();
        let mut empty = None;
        for place in self.places(me) {
            match place.load(Ordering::Relaxed) {
                0 => empty = empty.or(Some(place)),
                found if found == me => return None,
                found if found == me | SLEEPS => return self.enter_asleep(),
                _ => {}
            }
        }
        Some(self.lock_with(self.claim_at(me, empty)))
    }

    /// Locks in a signal handler of a thread that sleeps: that has given up the lock, but for an instant at each end of the sleep.
    #[cold]
    fn enter_asleep(&self) -> Option<Entered<'_, T>> {
        const ROUNDS: u32 = 200;

        let mut rounds = 0;
        while rounds < ROUNDS {
            if let Some(guard) = self.lock.try_lock() {
                return Some(Entered { guard, claim: self.claim(thread_id()) });
            }
            pause(&mut rounds);
        }
        None
    }

    /// Gives the lock up, sleeps no longer than `limit`, and takes it back.
    pub(crate) fn wait_for<'a>(
        &'a self,
        entered: Entered<'a, T>,
        condition: &Condvar,
        limit: Duration,
    ) -> Entered<'a, T> {
        let Entered { guard, claim } = entered;
        let said = |sleeps: u64| {
            if let Some(place) = claim.place {
                place.store(claim.thread | sleeps, Ordering::Relaxed);
            }
        };
        said(SLEEPS);
        let guard = condition.wait_for(guard, limit);
        said(0);
        Entered { guard, claim }
    }
}

impl<T> std::ops::Deref for Entered<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> std::ops::DerefMut for Entered<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
