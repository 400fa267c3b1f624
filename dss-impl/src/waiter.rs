//! Who waits for the end of a delivery: a thread that sleeps, or a request that is completed.

// The standard library's, also in a model: what is read of it without the lock only saves a sleep.
use std::sync::atomic::{AtomicBool, Ordering};

use crate::boundary;
use crate::memory::{OutOfMemory, Shared};
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::port::RequestPort;
use crate::sync::{Condvar, Mutex};

struct Release {
    told: Mutex<Told>,
    /// Whether there is an outcome, to be read without the lock.
    ended: AtomicBool,
    released: Condvar,
    /// Who is told in place of a thread that sleeps.
    completion: Option<Completion>,
}

/// How a delivery ended, and whether its thread has to be woken for that.
#[derive(Default)]
struct Told {
    outcome: Option<Outcome>,
    asleep: bool,
}

/// Rounds that a waiting thread spins before it sleeps: some two microseconds. To fall asleep and to be woken takes ten times that, and
/// a Lua thread that is at its items answers sooner. None in a model, which has no time.
const SPINS: u32 = if cfg!(loom) { 0 } else { 250 };

/// A request: its library is told how it ended, and no thread sleeps for that.
pub(crate) struct Completion {
    pub(crate) port: &'static dyn RequestPort,
    pub(crate) payload: Payload,
}

/// The right to release one waiting thread, or to complete what no thread sleeps for. Consumed by [`Waiter::release`]; one
/// that is dropped otherwise releases too, as cancelled, so that nobody is ever left behind. With no lock held.
pub(crate) struct Waiter(Shared<Release>);

/// The waiting thread's own end.
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
    /// The right to complete what no thread sleeps for.
    pub(crate) fn completing(completion: Completion) -> Result<Self, OutOfMemory> {
        Release::try_new(Some(completion)).map(Waiter)
    }

    /// Whether its release is a call into the library.
    pub(crate) fn completes(&self) -> bool {
        self.0.completion.is_some()
    }

    /// Lets the thread go, and tells it why.
    pub(crate) fn release(self, outcome: Outcome) {
        self.end(outcome);
    }

    /// Gives the right up: the delivery was not taken.
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
            // It was told: this is the right's own end.
            return;
        }
        if let Some(Completion { port, payload }) = &self.0.completion {
            boundary::complete(*port, payload, outcome);
            return;
        }
        // The waiting thread looks at the outcome, and says that it sleeps, under the lock: it either saw it or is asleep by now, and gets
        // this.
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
