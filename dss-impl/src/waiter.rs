//! What waits for the end of a delivery: a thread that sleeps, or a request that is completed.

// The standard library's type, even in a model: reading it without the lock only saves a sleep.
use std::sync::atomic::{AtomicBool, Ordering};

use crate::boundary;
use crate::memory::{OutOfMemory, Shared};
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::port::RequestPort;
use crate::sync::{Condvar, Mutex};

struct Release {
    told: Mutex<Told>,
    /// Whether there is an outcome. Read without the lock.
    ended: AtomicBool,
    released: Condvar,
    /// What is told instead of a sleeping thread.
    completion: Option<Completion>,
}

/// How a delivery ended, and whether its thread has to be woken.
#[derive(Default)]
struct Told {
    outcome: Option<Outcome>,
    asleep: bool,
}

/// How many rounds a waiting thread spins before it sleeps: about two microseconds. Falling asleep and being woken takes ten times that,
/// and a Lua thread that is handling its items answers sooner. None in a model, which has no time.
const SPINS: u32 = if cfg!(loom) { 0 } else { 250 };

/// A request. Its library is told how it ended, and no thread sleeps for it.
pub(crate) struct Completion {
    pub(crate) port: &'static dyn RequestPort,
    pub(crate) payload: Payload,
}

/// The right to release one waiting thread, or to complete a request. [`Waiter::release`] consumes it. If it is
/// dropped otherwise, it releases as cancelled, so that no thread waits forever. Must be used with no lock held.
pub(crate) struct Waiter(Shared<Release>);

/// The waiting thread's end.
pub(crate) struct Waiting(Shared<Release>);

impl Release {
    fn try_new(completion: Option<Completion>) -> Result<Shared<Self>, OutOfMemory> {
        let (told, ended) = (Mutex::new(Told::default()), AtomicBool::new(false));
        Shared::try_new(Release { told, ended, released: Condvar::new(), completion })
    }
}

/// Makes the two ends of one wait.
pub(crate) fn wait_pair() -> Result<(Waiter, Waiting), OutOfMemory> {
    let release = Release::try_new(None)?;
    Ok((Waiter(release.clone()), Waiting(release)))
}

impl Waiter {
    /// The right to complete a request.
    pub(crate) fn completing(completion: Completion) -> Result<Self, OutOfMemory> {
        Release::try_new(Some(completion)).map(Waiter)
    }

    /// Whether a release calls the library.
    pub(crate) fn completes(&self) -> bool {
        self.0.completion.is_some()
    }

    /// Releases the thread, and tells it the outcome.
    pub(crate) fn release(self, outcome: Outcome) {
        self.end(outcome);
    }

    /// Gives up the right, because the delivery was not taken.
    pub(crate) fn disarm(self) {
        self.0.told.lock().outcome.get_or_insert(Outcome::Withdrawn);
    }

    fn end(&self, outcome: Outcome) {
        let (first, asleep) = {
            let mut told = self.0.told.lock();
            let first = told.outcome.is_none();
            told.outcome.get_or_insert(outcome);
            self.0.ended.store(true, Ordering::Release);
            (first, told.asleep)
        };
        if !first {
            // The outcome was already told; this is only the drop.
            return;
        }
        if let Some(Completion { port, payload }) = &self.0.completion {
            boundary::complete(*port, payload, outcome);
            return;
        }
        // No wake-up is lost: under the lock, the waiting thread checks the outcome and notes that it sleeps. It either saw the outcome,
        // or is asleep by now and is woken here.
        if asleep {
            self.0.released.notify_one();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

impl Waiting {
    /// Sleeps until the delivery has ended. `[blocks]`
    pub(crate) fn wait(self) -> Outcome {
        for _ in 0..SPINS {
            if self.0.ended.load(Ordering::Acquire) {
                break;
            }
            std::hint::spin_loop();
        }
        let mut told = self.0.told.lock();
        loop {
            if let Some(outcome) = told.outcome {
                return outcome;
            }
            told.asleep = true;
            told = self.0.released.wait(told);
        }
    }
}
