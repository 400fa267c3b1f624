//! The lock of the intake, which a signal handler may meet.
//!
//! A handler that delivers may have interrupted its own thread anywhere, also with this lock taken. To wait for that would be to wait
//! for ever. So the lock is a word that names its owner: taking it and saying whose it is are one step, and so are giving it up and
//! saying so, and a handler sees at each instant whether it would wait for itself.
//!
//! It is held for nanoseconds, and no foreign code runs under it: who does not get it at once spins, then gives the processor away,
//! then sleeps a little each time, as [`yield_or_sleep`] does. Nobody has to be woken, which makes giving it up a single store.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sync::{thread_id, yield_or_sleep};

/// A mutex that names the thread that has it.
pub(crate) struct Entrance<T> {
    /// The id of the thread that has it, or [`NOBODY`].
    owner: AtomicU64,
    value: UnsafeCell<T>,
}

/// No thread's id.
const NOBODY: u64 = 0;

// SAFETY: the value is reached by one thread at a time, which has the lock.
unsafe impl<T: Send> Sync for Entrance<T> {}

/// Access to what an [`Entrance`] guards. It is given up on the thread that took it, whose name the lock has.
pub(crate) struct Entered<'a, T> {
    entrance: &'a Entrance<T>,
    stays: PhantomData<*const ()>,
}

impl<T> Entrance<T> {
    pub(crate) const fn new(value: T) -> Self {
        Entrance { owner: AtomicU64::new(NOBODY), value: UnsafeCell::new(value) }
    }

    /// Locks. Not in a signal handler that may have interrupted the thread that has this lock.
    #[inline]
    pub(crate) fn lock(&self) -> Entered<'_, T> {
        let me = thread_id();
        if !self.try_take(me) {
            let mut rounds = 0;
            while !self.take_later(me, &mut rounds) {}
        }
        Entered { entrance: self, stays: PhantomData }
    }

    /// Locks, in a signal handler too; none where that interrupted the thread that has this lock.
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

    /// Waits for a while, and looks again.
    #[cold]
    fn take_later(&self, me: u64, rounds: &mut u32) -> bool {
        /// Rounds that only spin: it is held for less time than the giving away of a processor takes.
        const SPINS: u32 = 3;

        if *rounds < SPINS {
            *rounds += 1;
            for _ in 0..1 << *rounds {
                std::hint::spin_loop();
            }
        } else {
            yield_or_sleep(rounds);
        }
        // Only looked at while another has it: a try would take the word's cache line from that one.
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
        // SAFETY: this thread has the lock.
        unsafe { &*self.entrance.value.get() }
    }
}

impl<T> std::ops::DerefMut for Entered<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this is the only access that it gave.
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

    /// The start of a thread that is to be cancelled at its next point of cancellation.
    extern "C" fn enter(argument: *mut c_void) -> *mut c_void {
        // SAFETY: it has no preconditions.
        let me = unsafe { libc::pthread_self() };
        // SAFETY: the running thread lives.
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
        // SAFETY: the places are writable, and the function is one for a thread to start with.
        let started = unsafe { libc::pthread_create(&raw mut thread, std::ptr::null(), enter, null_mut()) };
        assert_eq!(started, 0);
        // It has come to where it sleeps by then; if not, it waits all the same.
        std::thread::sleep(Duration::from_millis(100));
        drop(entered);
        // SAFETY: it was started, and nobody else joins it.
        assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
        assert!(*ENTRANCE.lock(), "it was cancelled while it waited");
    }
}
