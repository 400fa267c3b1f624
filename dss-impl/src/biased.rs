//! A mutex that is biased towards one side: the *owner* takes it without an atomic read-modify-write, the *others* pay
//! for that.
//!
//! The desk is locked twice for each item by the Lua thread, and by anybody else once in a library's life. With a plain
//! mutex these two locks would be the largest part of what a dispatch costs. Here the owner says that it is in, and looks
//! whether the bias is revoked; the others revoke it, and look whether the owner is in. This is Dekker's protocol: each
//! side stores, then loads what the other stored, and a full barrier between the two makes sure that not both miss each
//! other. The others' barrier is one that the system runs on every thread of the process (`membarrier`, Linux 4.14), so
//! that the owner's can be one for the compiler alone. Where there is no such call, both are full fences.
//!
//! | owner | revoked | others  | meaning                                                                    |
//! |-------|---------|---------|----------------------------------------------------------------------------|
//! | no    | no      | free    | nobody is in                                                               |
//! | yes   | no      | free    | the owner is in                                                            |
//! | yes   | yes     | held    | the owner is in, and the others wait for it; or it is about to step back   |
//! | no    | yes     | held    | one of the others is in; the owner, if it comes, queues at `others`        |
//!
//! What is guarded is left soon, and nothing foreign runs meanwhile, so the others wait by spinning at first.

use std::ops::{Deref, DerefMut};

use crate::barrier;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, UnsafeCell, pause};

/// See the head of this file.
pub(crate) struct Biased<T> {
    owner: AtomicBool,
    revoked: AtomicBool,
    others: Mutex<()>,
    value: UnsafeCell<T>,
}

// SAFETY: as for a mutex: the value is reached by one thread at a time, through a guard.
unsafe impl<T: Send> Sync for Biased<T> {}
// SAFETY: it holds its value, and nothing that is bound to a thread.
unsafe impl<T: Send> Send for Biased<T> {}

/// Access to what a [`Biased`] guards.
pub(crate) struct Guard<'a, T> {
    lock: &'a Biased<T>,
    /// None for the owner.
    others: Option<MutexGuard<'a, ()>>,
}

impl<T> Biased<T> {
    pub(crate) fn new(value: T) -> Self {
        barrier::prepare();
        Biased {
            owner: AtomicBool::new(false),
            revoked: AtomicBool::new(false),
            others: Mutex::new(()),
            value: UnsafeCell::new(value),
        }
    }

    /// Locks, as one of the others.
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        let others = self.others.lock();
        self.revoke();
        Guard { lock: self, others: Some(others) }
    }

    /// Locks, as the owner.
    ///
    /// # Safety
    /// There is one owner at a time: calls of this and the lives of their guards follow one another, each happening before
    /// the next.
    #[inline]
    pub(crate) unsafe fn lock_as_owner(&self) -> Guard<'_, T> {
        self.owner.store(true, Ordering::Relaxed);
        barrier::light();
        // Acquire: what the others did before they gave the bias back is seen.
        if self.revoked.load(Ordering::Acquire) {
            return self.step_back();
        }
        Guard { lock: self, others: None }
    }

    /// The owner met one of the others, and queues like them.
    #[cold]
    fn step_back(&self) -> Guard<'_, T> {
        self.owner.store(false, Ordering::Release);
        self.lock()
    }

    /// Takes the bias away, and waits until the owner is out. Under `others`.
    fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
        // Either the owner's store comes before this on every thread, and is seen below; or the owner's load comes
        // after it, and sees the revocation.
        barrier::heavy();
        let mut spins = 0;
        // Acquire: what the owner did is seen.
        while self.owner.load(Ordering::Acquire) {
            pause(&mut spins);
        }
    }

    /// Gives `guard` up, sleeps until [`Self::notify_all`], and locks again, as one of the others.
    pub(crate) fn wait<'a>(&'a self, mut guard: Guard<'a, T>, condition: &Condvar) -> Guard<'a, T> {
        let others = match guard.others.take() {
            Some(others) => {
                self.revoked.store(false, Ordering::Release);
                others
            }
            None => unreachable!("the Lua thread waits for nobody under this lock"),
        };
        std::mem::forget(guard);
        let others = condition.wait(others);
        self.revoke();
        Guard { lock: self, others: Some(others) }
    }

    /// Wakes who sleeps in [`Self::wait`] with `condition`. Without a guard, after what they wait for was done under one.
    ///
    /// None is missed: who waits looks, and falls asleep, under `others` without a gap, so this comes before the look or
    /// finds it asleep.
    pub(crate) fn notify_all(&self, condition: &Condvar) {
        drop(self.others.lock());
        condition.notify_all();
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the protocol lets one guard live at a time.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the protocol lets one guard live at a time.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: what was done under the guard is seen by whoever is let in.
        if self.others.is_some() {
            self.lock.revoked.store(false, Ordering::Release);
        } else {
            self.lock.owner.store(false, Ordering::Release);
        }
    }
}

/// The lock as its models use it. The value is touched through loom's cell, which fails where two are in at once.
#[cfg(loom)]
pub struct Model<T> {
    lock: Biased<loom::cell::UnsafeCell<T>>,
    condition: Condvar,
}

#[cfg(loom)]
#[allow(missing_docs, reason = "for `tests/loom/biased.rs` alone")]
impl<T> Model<T> {
    pub fn new(value: T) -> Self {
        Model { lock: Biased::new(loom::cell::UnsafeCell::new(value)), condition: Condvar::new() }
    }

    pub fn owner<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the models have one owner.
        let guard = unsafe { self.lock.lock_as_owner() };
        // SAFETY: the guard's, as loom checks.
        guard.with_mut(|value| work(unsafe { &mut *value }))
    }

    pub fn other<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let guard = self.lock.lock();
        // SAFETY: the guard's, as loom checks.
        guard.with_mut(|value| work(unsafe { &mut *value }))
    }

    pub fn wait_until(&self, done: impl Fn(&mut T) -> bool) {
        let mut guard = self.lock.lock();
        // SAFETY: the guard's, as loom checks.
        while !guard.with_mut(|value| done(unsafe { &mut *value })) {
            guard = self.lock.wait(guard, &self.condition);
        }
    }

    pub fn notify_all(&self) {
        self.lock.notify_all(&self.condition);
    }
}
