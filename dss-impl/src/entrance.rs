//! The lock of the intake. A signal handler may use it.
//!
//! A handler that delivers may have interrupted its own thread anywhere, even while that holds this lock. Waiting for the lock would then
//! take forever. So the lock is a word that names its owner. The lock and its owner's name are set in one step, and cleared in one
//! step, so a handler can tell at any moment whether it would wait for itself.
//!
//! The lock is held for nanoseconds, and no foreign code runs under it. A thread that does not get it immediately spins, then yields the
//! processor, then sleeps a little each time, as [`yield_or_sleep`] does. No thread has to be woken, so a release is a single store.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::{thread_id, yield_or_sleep};

/// A mutex that names the thread that holds it.
pub(crate) struct Entrance<T> {
    /// The id of the thread that holds it, or [`NOBODY`].
    owner: AtomicU64,
    value: UnsafeCell<T>,
}

/// No thread's id.
const NOBODY: u64 = 0;

// SAFETY: only the thread that holds the lock reaches the value.
unsafe impl<T: Send> Sync for Entrance<T> {}

/// Access to what an [`Entrance`] guards. It must be dropped on the thread that took it, because the lock names that thread.
pub(crate) struct Entered<'a, T> {
    entrance: &'a Entrance<T>,
    stays: PhantomData<*const ()>,
}

impl<T> Entrance<T> {
    pub(crate) const fn new(value: T) -> Self {
        Entrance { owner: AtomicU64::new(NOBODY), value: UnsafeCell::new(value) }
    }

    /// Locks. Must not be called in a signal handler that may have interrupted the thread that holds this lock.
    #[inline]
    pub(crate) fn lock(&self) -> Entered<'_, T> {
        let me = thread_id();
        if !self.try_take(me) {
            let mut rounds = 0;
            while !self.take_later(me, &mut rounds) {}
        }
        Entered { entrance: self, stays: PhantomData }
    }

    /// Locks, also in a signal handler. None if the handler interrupted the thread that holds this lock.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Entered<'_, T>> {
        let me = thread_id();
        if !self.try_take(me) && !self.take_unless_mine(me) {
            return None;
        }
        Some(Entered { entrance: self, stays: PhantomData })
    }

    #[inline]
    fn try_take(&self, me: u64) -> bool {
        self.owner.compare_exchange(NOBODY, me, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Waits for a while, and tries again.
    #[cold]
    fn take_later(&self, me: u64, rounds: &mut u32) -> bool {
        /// Rounds that only spin: the lock is held for less time than yielding the processor takes.
        const SPINS: u32 = 3;

        if *rounds < SPINS {
            *rounds += 1;
            for _ in 0..1 << *rounds {
                std::hint::spin_loop();
            }
        } else {
            yield_or_sleep(rounds);
        }
        // Only read it while another thread holds the lock: an attempt to take it would take the cache line from that thread.
        self.owner.load(Ordering::Relaxed) == NOBODY && self.try_take(me)
    }

    #[cold]
    fn take_unless_mine(&self, me: u64) -> bool {
        let mut rounds = 0;
        while self.owner.load(Ordering::Relaxed) != me {
            if self.take_later(me, &mut rounds) {
                return true;
            }
        }
        false
    }
}

impl<T> Drop for Entered<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.entrance.owner.store(NOBODY, Ordering::Release);
    }
}

impl<T> std::ops::Deref for Entered<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock.
        unsafe { &*self.entrance.value.get() }
    }
}

impl<T> std::ops::DerefMut for Entered<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes this the only access.
        unsafe { &mut *self.entrance.value.get() }
    }
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::ffi::c_void;
    use std::ptr::null_mut;
    use std::time::Duration;

    use super::Entrance;

    static ENTRANCE: Entrance<bool> = Entrance::new(false);

    unsafe extern "C" {
        fn pthread_cancel(thread: libc::pthread_t) -> i32;
    }

    /// A thread that is cancelled at its next cancellation point.
    extern "C" fn enter(argument: *mut c_void) -> *mut c_void {
        // SAFETY: the call has no preconditions.
        let me = unsafe { libc::pthread_self() };
        // SAFETY: the current thread exists.
        unsafe { pthread_cancel(me) };
        match ENTRANCE.enter() {
            Some(mut entered) => *entered = true,
            None => panic!("another thread has it"),
        }
        argument
    }

    #[test]
    fn to_wait_for_it_is_no_point_of_cancellation() {
        let entered = ENTRANCE.lock();
        let mut thread = 0;
        // SAFETY: the places are writable, and the function is a valid start function.
        let started = unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), enter, null_mut()) };
        assert_eq!(started, 0);
        // By then the thread has reached its sleep. If not, it still waits.
        std::thread::sleep(Duration::from_millis(100));
        drop(entered);
        // SAFETY: the thread was started, and nothing else joins it.
        assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
        assert!(*ENTRANCE.lock(), "it was cancelled while it waited");
    }
}
