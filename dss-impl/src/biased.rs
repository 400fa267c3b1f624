//! A mutex that is biased towards one side. The *owner* takes it without an atomic read-modify-write; the *others* pay for that.
//!
//! The Lua thread locks the desk twice for each item. Any other thread locks it once in the life of a library. With a plain
//! mutex, these two locks would be the largest part of the cost of a dispatch. Here the owner announces that it is in, and checks
//! whether the bias is revoked; the others revoke it, and check whether the owner is in. This is Dekker's protocol: each
//! side stores, then loads what the other side stored. A full barrier between the two steps ensures that at least one side sees the
//! other. The system runs the others' barrier on every thread of the process (`membarrier`, Linux 4.14), so
//! the owner's barrier only has to stop the compiler. If there is no such call, both are full fences.
//!
//! | owner | revoked | others  | meaning                                                                    |
//! |-------|---------|---------|----------------------------------------------------------------------------|
//! | no    | no      | free    | no thread is in                                                            |
//! | yes   | no      | free    | the owner is in                                                            |
//! | yes   | yes     | held    | the owner is in and the others wait for it, or it is about to step back    |
//! | no    | yes     | held    | one of the others is in; if the owner comes, it queues at `others`         |
//!
//! The lock is held only briefly, and no foreign code runs under it. So the others spin first.

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

// SAFETY: as for a mutex: one thread at a time reaches the value, through a guard.
unsafe impl<T: Send> Sync for Biased<T> {}
// SAFETY: it holds only its value, and nothing that is bound to a thread.
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
    /// There is one owner at a time: calls of this function and the lives of their guards follow one another, each happening
    /// before the next.
    #[inline]
    pub(crate) unsafe fn lock_as_owner(&self) -> Guard<'_, T> {
        self.owner.store(true, Ordering::Relaxed);
        barrier::light();
        // Acquire: makes visible what the others did before they gave the bias back.
        if self.revoked.load(Ordering::Acquire) {
            return self.step_back();
        }
        Guard { lock: self, others: None }
    }

    /// Called when the owner meets one of the others: it queues like them.
    #[cold]
    fn step_back(&self) -> Guard<'_, T> {
        self.owner.store(false, Ordering::Release);
        self.lock()
    }

    /// Revokes the bias, and waits until the owner is out. Under `others`.
    fn revoke(&self) {
        self.revoked.store(true, Ordering::Relaxed);
        // Either every thread sees the owner's store before this one, and the loop below sees it; or the owner's load comes
        // after this store, and sees the revocation.
        barrier::heavy();
        let mut spins = 0;
        // Acquire: makes visible what the owner did.
        while self.owner.load(Ordering::Acquire) {
            pause(&mut spins);
        }
    }

    /// Releases `guard`, sleeps until [`Self::notify_all`], and locks again, as one of the others.
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

    /// Wakes the threads that sleep in [`Self::wait`] with `condition`. Call it without a guard, after the change was made under one.
    ///
    /// No wake-up is lost: a waiting thread checks and falls asleep under `others` without a gap, so this comes before its check or
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
        // SAFETY: the protocol allows one guard at a time.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the protocol allows one guard at a time.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: makes what was done under the guard visible to the next thread.
        if self.others.is_some() {
            self.lock.revoked.store(false, Ordering::Release);
        } else {
            self.lock.owner.store(false, Ordering::Release);
        }
    }
}

/// The lock for its own models. They access the value through loom's cell, which fails if two threads are in at once.
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
        // SAFETY: the guard allows it, and loom checks it.
        guard.with_mut(|value| work(unsafe { &mut *value }))
    }

    pub fn other<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let guard = self.lock.lock();
        // SAFETY: the guard allows it, and loom checks it.
        guard.with_mut(|value| work(unsafe { &mut *value }))
    }

    pub fn wait_until(&self, done: impl Fn(&mut T) -> bool) {
        let mut guard = self.lock.lock();
        // SAFETY: the guard allows it, and loom checks it.
        while !guard.with_mut(|value| done(unsafe { &mut *value })) {
            guard = self.lock.wait(guard, &self.condition);
        }
    }

    pub fn notify_all(&self) {
        self.lock.notify_all(&self.condition);
    }
}
