//! Work that one thread does for all who want it, so that nobody waits for his turn.
//!
//! Who finds another at it leaves a word, and that one does it once more. The other may be the very thread that a signal handler
//! interrupted: to wait for it would be to wait for ever.

use crate::sync::{AtomicBool, Mutex, Ordering, fence};

/// What the work is done with, one thread at a time.
pub(crate) struct Delegated<T> {
    value: Mutex<T>,
    /// Somebody wants it done that has not been done since.
    wanted: AtomicBool,
}

impl<T> Delegated<T> {
    pub(crate) fn new(value: T) -> Self {
        Delegated { value: Mutex::new(value), wanted: AtomicBool::new(false) }
    }

    /// Does `work`, and once more where others wanted it meanwhile; returns what it returned last. None where it is left to a thread
    /// that is at it. [any-thread], also in a signal handler, if `work` may be done there.
    pub(crate) fn run<R>(&self, mut work: impl FnMut(&mut T) -> R) -> Option<R> {
        let mut result = None;
        // Exchanged, as below, so that one follows the other: a store may come before what another thread has just taken off.
        self.wanted.swap(true, Ordering::SeqCst);
        loop {
            // With the fence below: who fails here is seen there, or finds it given up.
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
                // As a signal handler's, which finds this one under way.
                assert_eq!(delegated.run(|()| unreachable!("two at once")), None::<()>);
            }
            done
        });
        assert_eq!(result, Some(2));
        assert_eq!(delegated.run(|()| "again"), Some("again"));
    }
}
