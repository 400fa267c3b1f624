//! Work that one thread does for all threads that request it, so that none of them waits.
//!
//! If a thread finds another one at work, it leaves a request, and the other does the work once more. The other may be the very thread
//! that a signal handler interrupted, so waiting for it could take forever.

use crate::sync::{AtomicBool, Mutex, Ordering, fence};

/// The value that the work needs. One thread at a time uses it.
pub(crate) struct Delegated<T> {
    value: Mutex<T>,
    /// The work was requested, and has not been done since.
    wanted: AtomicBool,
}

impl<T> Delegated<T> {
    pub(crate) fn new(value: T) -> Self {
        Delegated { value: Mutex::new(value), wanted: AtomicBool::new(false) }
    }

    /// Does `work`, and again if others requested it meanwhile; returns the last result. Returns None if a thread that is already at
    /// work does it. [any-thread], also in a signal handler, if `work` may be done there.
    pub(crate) fn run<R>(&self, mut work: impl FnMut(&mut T) -> R) -> Option<R> {
        let mut result = None;
        // A swap, as below, so that the two are ordered: a plain store could come before what another thread has just cleared.
        self.wanted.swap(true, Ordering::SeqCst);
        loop {
            // Pairs with the fence below: if the lock is taken here, the holder sees the request, or this sees the lock released.
            fence(Ordering::SeqCst);
            let Some(mut value) = self.value.try_lock() else { return result };
            while self.wanted.swap(false, Ordering::SeqCst) {
                result = Some(work(&mut value));
            }
            drop(value);
            fence(Ordering::SeqCst);
            if !self.wanted.load(Ordering::Relaxed) {
                return result;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_interrupts_the_work_is_done_by_what_it_interrupted() {
        let (delegated, mut done) = (Delegated::new(()), 0);
        let result = delegated.run(|()| {
            done += 1;
            if done == 1 {
                // As in a signal handler that interrupts the work.
                assert_eq!(delegated.run(|()| unreachable!("two at once")), None::<()>);
            }
            done
        });
        assert_eq!(result, Some(2));
        assert_eq!(delegated.run(|()| "again"), Some("again"));
    }
}
