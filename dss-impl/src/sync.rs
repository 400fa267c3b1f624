//! The one door to locks and atomics, so that a model checker (`--cfg loom`) can stand behind it.
//!
//! The locks are the standard library's, which on Linux are futexes. They allocate nothing, not even where a thread sleeps, and
//! share no table with each other: a lock that another thread held at a fork is lost for its own state alone. They are not
//! poisoned here: what they guard is never left half changed by a panic.

#[cfg(not(loom))]
mod real {
    use std::time::Duration;

    pub(crate) use crate::barrier;
    pub(crate) use std::cell::UnsafeCell;
    pub(crate) use std::sync::MutexGuard;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
    use std::sync::{PoisonError, TryLockError};

    /// Rounds of a waiting loop that spend processor time alone.
    const SPINS: u32 = 64;
    /// Rounds after those that give the processor to another thread.
    const YIELDS: u32 = 16;
    /// The longest sleep of one round.
    const LONGEST: Duration = Duration::from_millis(1);

    /// Lets some time pass in a loop that waits for what lasts nanoseconds. A thread of a high priority may keep the one that it
    /// waits for from running, and yielding does not help there: after a few rounds each is a sleep, longer each time.
    pub(crate) fn pause(rounds: &mut u32) {
        *rounds = rounds.saturating_add(1);
        if *rounds < SPINS {
            std::hint::spin_loop();
        } else if *rounds < SPINS + YIELDS {
            std::thread::yield_now();
        } else {
            let sleep = Duration::from_micros(20) * (*rounds - SPINS - YIELDS + 1).min(50);
            std::thread::sleep(sleep.min(LONGEST));
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
    }

    /// A mutex that knows which thread has it. So a signal handler that interrupted that thread can be refused, and does not wait
    /// for itself.
    pub(crate) struct Entrance<T> {
        lock: std::sync::Mutex<T>,
        /// The thread that has the lock. 0 where none has, and for an instant after it was taken and before it is given up.
        holder: AtomicU64,
    }

    /// Access to what an [`Entrance`] guards.
    pub(crate) struct Entered<'a, T> {
        // First, so it is dropped before the lock is given up.
        holder: Holder<'a>,
        guard: MutexGuard<'a, T>,
    }

    /// What [`Entrance::holder`] says while this lives.
    struct Holder<'a>(&'a AtomicU64);

    impl Drop for Holder<'_> {
        #[inline]
        fn drop(&mut self) {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    impl<T> Entrance<T> {
        pub(crate) fn new(value: T) -> Self {
            Entrance { lock: std::sync::Mutex::new(value), holder: AtomicU64::new(0) }
        }

        /// Locks. Not in a signal handler.
        #[inline]
        pub(crate) fn lock(&self) -> Entered<'_, T> {
            self.entered(self.lock.lock().unwrap_or_else(PoisonError::into_inner), thread_id())
        }

        /// Locks, in a signal handler too; none where that interrupted the thread that has the lock.
        #[inline]
        pub(crate) fn enter(&self) -> Option<Entered<'_, T>> {
            let me = thread_id();
            if self.holder.load(Ordering::Relaxed) == me {
                return None;
            }
            match self.lock.try_lock() {
                Ok(guard) => Some(self.entered(guard, me)),
                Err(TryLockError::Poisoned(error)) => Some(self.entered(error.into_inner(), me)),
                Err(TryLockError::WouldBlock) => self.enter_slowly(me),
            }
        }

        /// Another thread has the lock, or this one in the instant in which it does not say so. Where another does, it says so soon.
        #[cold]
        fn enter_slowly(&self, me: u64) -> Option<Entered<'_, T>> {
            const ROUNDS: u32 = 200;

            let mut rounds = 0;
            while self.holder.load(Ordering::Relaxed) == 0 && rounds < ROUNDS {
                match self.lock.try_lock() {
                    Ok(guard) => return Some(self.entered(guard, me)),
                    Err(TryLockError::Poisoned(error)) => return Some(self.entered(error.into_inner(), me)),
                    Err(TryLockError::WouldBlock) => pause(&mut rounds),
                }
            }
            (rounds < ROUNDS).then(|| self.lock())
        }

        #[inline]
        fn entered<'a>(&'a self, guard: MutexGuard<'a, T>, me: u64) -> Entered<'a, T> {
            self.holder.store(me, Ordering::Relaxed);
            Entered { holder: Holder(&self.holder), guard }
        }

        /// Gives the lock up, sleeps no longer than `limit`, and takes it back.
        pub(crate) fn wait_for<'a>(
            &'a self,
            entered: Entered<'a, T>,
            condition: &Condvar,
            limit: Duration,
        ) -> Entered<'a, T> {
            let Entered { guard, holder } = entered;
            drop(holder);
            self.entered(condition.wait_for(guard, limit), thread_id())
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

        /// Gives the lock up, sleeps, and takes it back.
        pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
            self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
        }

        /// As [`Self::wait`], no longer than `limit`.
        pub(crate) fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
            self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
        }
    }

    /// The running thread among those that live now: the number of one that has ended may be another's later. Needs no memory,
    /// which [`thread_token`] does at its first call on a thread.
    #[inline]
    pub(crate) fn thread_id() -> u64 {
        #[cfg(unix)]
        {
            // SAFETY: it has no preconditions.
            let thread = unsafe { libc::pthread_self() };
            thread as u64
        }
        #[cfg(not(unix))]
        {
            thread_token()
        }
    }

    /// A number for the running thread, never given twice and never 0.
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

    /// The barriers as a model has them: full fences on both sides.
    pub(crate) mod barrier {
        use loom::sync::atomic::{Ordering, fence};

        pub(crate) fn prepare() {}

        pub(crate) fn light() {
            fence(Ordering::SeqCst);
        }

        pub(crate) fn heavy() {
            fence(Ordering::SeqCst);
        }
    }

    /// Lets the other threads of the model go on.
    pub(crate) fn pause(_: &mut u32) {
        loom::thread::yield_now();
    }

    /// `loom`'s mutex under the same signatures.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model that panicked has failed already")
        }
    }

    /// As a model has it: no signals come.
    pub(crate) struct Entrance<T>(Mutex<T>);

    pub(crate) type Entered<'a, T> = MutexGuard<'a, T>;

    impl<T> Entrance<T> {
        pub(crate) fn new(value: T) -> Self {
            Entrance(Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Entered<'_, T> {
            self.0.lock()
        }

        pub(crate) fn enter(&self) -> Option<Entered<'_, T>> {
            Some(self.0.lock())
        }

        pub(crate) fn wait_for<'a>(
            &'a self,
            entered: Entered<'a, T>,
            condition: &Condvar,
            limit: Duration,
        ) -> Entered<'a, T> {
            condition.wait_for(entered, limit)
        }
    }

    /// `loom`'s condition variable under the same signatures.
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

    /// A number for the running thread.
    pub(crate) fn thread_token() -> u64 {
        TOKEN.with(|token| *token)
    }

    /// The same.
    pub(crate) fn thread_id() -> u64 {
        thread_token()
    }
}

#[cfg(loom)]
pub(crate) use modelled::*;
#[cfg(not(loom))]
pub(crate) use real::*;
