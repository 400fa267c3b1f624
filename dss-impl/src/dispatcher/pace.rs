//! Pauses, which keep a program's loop from handling only DSS.
//!
//! A loop may check its descriptors repeatedly until none is ready before it looks at its timers. If items arrive as fast as they are
//! handled, the descriptor stays ready. So if a poll or a dispatch leaves items behind in a program that has been busy for
//! [`BUSY`], they are announced 0.1 ms later. In that time the loop finds nothing from DSS, and goes on to its timers. A thread of DSS
//! sends the notification. If that thread cannot be started, the notification is sent immediately.

use std::time::{Duration, Instant};

use super::Dispatcher;
use crate::sync::Ordering;

#[cfg(not(loom))]
pub(super) use thread::Pacer;

/// A pause is due after this time.
const BUSY: Duration = Duration::from_millis(1);

/// Since when items have been left behind without a pause.
#[derive(Default)]
pub(super) struct Busy(Option<Instant>);

impl Busy {
    /// Called when a poll or a dispatch leaves `queued` items behind. Returns whether a pause is due.
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
    /// Sends the planned notification, after the pause.
    #[cfg_attr(loom, doc(hidden))]
    pub fn send_planned(&self) {
        let mut intake = self.intake.lock();
        // Items that the Lua thread is taking at this moment are announced by that thread.
        let queued = intake.items.len() + self.ahead.load(Ordering::Relaxed);
        let due = intake.credit.claim_planned(queued);
        drop(intake);
        if let Some(due) = due {
            // If this fails, nothing is outstanding, and the next deliver tries again.
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

    /// How long a pause is: enough for a loop to check its descriptors once.
    const PAUSE: Duration = Duration::from_micros(100);

    /// Makes a thread send planned notifications.
    pub(in crate::dispatcher) struct Pacer {
        /// Its dispatcher, if that is never freed.
        of: OnceLock<&'static Dispatcher>,
        /// When to send the notification.
        at: Mutex<Option<Instant>>,
        planned: Condvar,
        /// The thread was started.
        started: AtomicBool,
    }

    impl Dispatcher {
        /// Allows it to start a thread that announces remaining items after a pause. The dispatcher is never freed. [any-thread]
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

        /// Whether the thread is running; starts it if necessary. [lua-thread]
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

        /// Makes the thread send a notification after a pause. [lua-thread]
        pub(in crate::dispatcher) fn plan(&self) {
            *self.at.lock() = Some(Instant::now() + PAUSE);
            // No wake-up is lost: the thread has yet to take the lock, and then sees the time, or it waits and has released the lock.
            self.planned.notify_one();
        }
    }

    /// The thread's main function. It also serves later states of this dispatcher.
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

/// In a model, the test decides when the planned notifications are sent.
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
    /// From now on, each notification of remaining items is planned, and sent by [`Self::send_planned`].
    #[doc(hidden)]
    pub fn pause_always(&self) {
        self.pacer.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}
