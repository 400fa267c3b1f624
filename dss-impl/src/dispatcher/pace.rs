//! Pauses: what keeps a program's loop from finding DSS first for ever.
//!
//! A loop may look at its descriptors again and again until none is ready, before it comes to its timers. Items that come as fast as they are
//! handled keep the descriptor ready. So a poll or a dispatch that leaves items behind, in a program that has been kept busy for
//! [`BUSY`], announces them 0.1 ms later: the loop finds nothing of DSS's, and goes round. A thread of DSS's sends it then. If that
//! cannot be started it is sent at once.

use std::time::{Duration, Instant};

use super::Dispatcher;
use crate::sync::Ordering;

#[cfg(not(loom))]
pub(super) use thread::Pacer;

/// After how long a pause is due.
const BUSY: Duration = Duration::from_millis(1);

/// Since when items have been left behind, without a pause.
#[derive(Default)]
pub(super) struct Busy(Option<Instant>);

impl Busy {
    /// A poll or a dispatch leaves so many items behind. Returns whether a pause is due.
    pub(super) fn wants_pause(&mut self, queued: usize) -> bool {
        if queued == 0 {
            self.0 = None;
            return false;
        }
        let since = *self.0.get_or_insert_with(Instant::now);
        // A model has no clock.
        let due = cfg!(loom) || since.elapsed() >= BUSY;
        if due {
            self.0 = None;
        }
        due
    }
}

impl Dispatcher {
    /// The pause is over: sends what was planned.
    #[cfg_attr(loom, doc(hidden))]
    pub fn send_planned(&self) {
        let mut intake = self.intake.lock();
        // What the Lua thread is taking at this moment it announces itself.
        let queued = intake.items.len() + self.ahead.load(Ordering::Relaxed);
        let due = intake.credit.claim_planned(queued);
        drop(intake);
        if let Some(due) = due {
            // If it fails nothing is outstanding, and the next deliver tries again.
            self.send(due);
        }
    }
}

#[cfg(not(loom))]
mod thread {
    use std::sync::OnceLock;
    use std::time::{Duration, Instant};

    use crate::dispatcher::Dispatcher;
    use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};

    /// How long a pause is: enough for one look of a loop.
    const PAUSE: Duration = Duration::from_micros(100);

    /// Has a thread send what was planned.
    pub(in crate::dispatcher) struct Pacer {
        /// Its dispatcher, if that stays for ever.
        of: OnceLock<&'static Dispatcher>,
        /// When to send.
        at: Mutex<Option<Instant>>,
        planned: Condvar,
        /// The thread was started.
        started: AtomicBool,
    }

    impl Dispatcher {
        /// Lets it have a thread that announces what is left after a pause: it stays for ever. [any-thread]
        pub fn allow_pauses(&'static self) {
            self.pacer.of.get_or_init(|| self);
        }
    }

    impl Pacer {
        pub(in crate::dispatcher) fn new() -> Self {
            Pacer {
                of: OnceLock::new(),
                at: Mutex::new(None),
                planned: Condvar::new(),
                started: AtomicBool::new(false),
            }
        }

        /// Whether the thread runs, or could be started. [lua-thread]
        pub(in crate::dispatcher) fn is_ready(&self) -> bool {
            self.started.load(Ordering::Relaxed) || self.start()
        }

        #[cold]
        fn start(&self) -> bool {
            let Some(dispatcher) = self.of.get() else { return false };
            let started = crate::thread::start(c"dss pacer", *dispatcher, send_planned_for_ever).is_ok();
            self.started.store(started, Ordering::Relaxed);
            started
        }

        /// Has the thread send after a pause. [lua-thread]
        pub(in crate::dispatcher) fn plan(&self) {
            *self.at.lock() = Some(Instant::now() + PAUSE);
            // The thread has the lock to take yet, and looks then, or waits with the lock given up.
            self.planned.notify_one();
        }
    }

    /// The thread. It stays for the next states that are served here.
    fn send_planned_for_ever(dispatcher: &'static Dispatcher) {
        let pacer = &dispatcher.pacer;
        let mut at = pacer.at.lock();
        loop {
            let now = Instant::now();
            at = match *at {
                None => pacer.planned.wait(at),
                Some(moment) if moment > now => pacer.planned.wait_for(at, moment - now),
                Some(_) => {
                    *at = None;
                    drop(at);
                    dispatcher.send_planned();
                    pacer.at.lock()
                }
            };
        }
    }
}

/// In a model the test sends what was planned, where it says so.
#[cfg(loom)]
pub(super) struct Pacer(std::sync::atomic::AtomicBool);

#[cfg(loom)]
impl Pacer {
    pub(super) fn new() -> Self {
        Pacer(std::sync::atomic::AtomicBool::new(false))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(super) fn plan(&self) {}
}

#[cfg(loom)]
impl Dispatcher {
    /// Each announcement of what is left is planned from now on, and sent by [`Self::send_planned`].
    #[doc(hidden)]
    pub fn pause_always(&self) {
        self.pacer.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
