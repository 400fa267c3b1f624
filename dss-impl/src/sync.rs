//! All locks and atomics come from here, so that a model checker (`--cfg loom`) can replace them.
//!
//! The locks are the standard library's, which are futexes on Linux. The intake and the desk have our own (see `entrance.rs`, `biased.rs`).
//! The locks allocate nothing, even when a thread sleeps, and share no table: if another thread held a lock at a fork, only that lock's
//! state is affected. Poisoning is ignored, because a panic never leaves what they guard half changed.

#[cfg(not(loom))]
mod real {
    use std::time::Duration;

    use crate::cancellation;
    pub(crate) use std::cell::UnsafeCell;
    pub(crate) use std::sync::MutexGuard;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
    use std::sync::{PoisonError, TryLockError};

    /// Rounds of a waiting loop that only spin.
    const SPINS: u32 = 64;
    /// Rounds after those, which yield to another thread.
    const YIELDS: u32 = 16;
    /// The longest sleep of one round.
    const LONGEST: Duration = Duration::from_millis(1);

    /// Waits a little, in a loop that waits for something that takes nanoseconds. A thread with a high priority may keep the thread that
    /// it waits for from running, and yielding does not help there. So after a few rounds each one is a sleep, longer each time.
    pub(crate) fn pause(rounds: &mut u32) {
        if *rounds < SPINS {
            *rounds += 1;
            std::hint::spin_loop();
        } else {
            yield_or_sleep(rounds);
        }
    }

    /// As [`pause`], without the rounds that only spin. `rounds` goes on from the caller's count.
    pub(crate) fn yield_or_sleep(rounds: &mut u32) {
        *rounds = rounds.saturating_add(1);
        let over = rounds.saturating_sub(SPINS + YIELDS);
        if over == 0 {
            std::thread::yield_now();
        } else {
            cancellation::sleep((Duration::from_micros(20) * over.min(50)).min(LONGEST));
        }
    }

    /// A mutex; see [`std::sync::Mutex`].
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Mutex(std::sync::Mutex::new(value))
        }

        #[inline]
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        #[inline]
        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }
    }

    /// A condition variable; see [`std::sync::Condvar`].
    #[derive(Default)]
    pub(crate) struct Condvar(std::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self::default()
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        /// Releases the lock, sleeps, and takes it again.
        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
        }

        /// As [`Self::wait`], but no longer than `limit`.
        pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
            self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
        }
    }

    /// Identifies the current thread among those that exist now. When a thread has ended, another may get its number. Needs no memory;
    /// the first [`thread_token`] on a thread does.
    #[inline]
    pub(crate) fn thread_id() -> u64 {
        #[cfg(unix)]
        {
            // SAFETY: the call has no preconditions.
            let thread = unsafe { libc::pthread_self() };
            thread as u64
        }
        #[cfg(not(unix))]
        {
            thread_token()
        }
    }

    /// A number for the current thread. It is never given twice and is never 0.
    pub(crate) fn thread_token() -> u64 {
        use std::cell::Cell;
        static NEXT: AtomicU64 = AtomicU64::new(1);
        thread_local! {
            static TOKEN: Cell<u64> = const { Cell::new(0) };
        }
        TOKEN.with(|token| {
            if token.get() == 0 {
                token.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            token.get()
        })
    }
}

#[cfg(loom)]
mod modelled {
    use std::time::Duration;

    pub(crate) use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use std::cell::UnsafeCell;

    /// Lets the other threads of the model run.
    pub(crate) fn pause(_: &mut u32) {
        loom::thread::yield_now();
    }

    /// `loom`'s mutex, with the same signatures.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model that panicked has failed already")
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    /// `loom`'s condition variable, with the same signatures.
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Condvar(loom::sync::Condvar::new())
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).expect("a model that panicked has failed already")
        }

        /// A model has no clock: a limit is never reached, so a lost wake-up shows as a deadlock.
        pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, _: Duration) -> MutexGuard<'a, T> {
            self.wait(guard)
        }
    }

    loom::thread_local! {
        static TOKEN: u64 = {
            static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
            NEXT.fetch_add(1, Ordering::Relaxed)
        };
    }

    /// A number for the current thread.
    pub(crate) fn thread_token() -> u64 {
        TOKEN.with(|token| *token)
    }

    /// The same number.
    pub(crate) fn thread_id() -> u64 {
        thread_token()
    }
}

#[cfg(loom)]
pub(crate) use modelled::*;
#[cfg(not(loom))]
pub(crate) use real::*;
