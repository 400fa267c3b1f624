//! Deadlines of requests, for revisions whose libraries have no thread of their own for this. One thread for each Lua state ends the requests
//! whose time is over.
//!
//! The thread starts with the state's first request that has a deadline. It stays when the state closes, for the next state with the same
//! dispatcher.

use std::cmp::{Ordering as Order, Reverse};
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::chunks::Chunks;
use crate::delivery::DeliverError;
use crate::handle::Handle;
use crate::memory::{OutOfMemory, Shared, TryRoom};
use crate::outcome::Outcome;
use crate::states;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};
use crate::thread;

/// By when Lua must have started a request, and by when it must have answered.
#[derive(Clone, Copy)]
pub(crate) struct Deadline {
    start: Option<Instant>,
    finish: Option<Instant>,
}

impl Deadline {
    /// The deadlines, in nanoseconds from now. 0 means no deadline, and so does a time too far away for the clock.
    pub(crate) fn within(start: u64, finish: u64) -> Self {
        if (start, finish) == (0, 0) {
            return Deadline { start: None, finish: None };
        }
        let now = Instant::now();
        let at = |within: u64| match within {
            0 => None,
            nanoseconds => now.checked_add(Duration::from_nanos(nanoseconds)),
        };
        Deadline { start: at(start), finish: at(finish) }
    }

    /// The earlier of the two deadlines.
    pub(crate) fn next(&self) -> Option<Instant> {
        [self.start, self.finish].into_iter().flatten().min()
    }

    /// Ends the request if a deadline has passed, and removes that deadline.
    pub(crate) fn check(&mut self, handle: Handle, ticket: u64, late: &Late) {
        let now = Instant::now();
        let over = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        let end = |queued_only| {
            states::dispatcher_of(handle)
                .is_some_and(|dispatcher| dispatcher.end(handle, ticket, Outcome::TimedOut, queued_only))
        };
        if over(self.start) {
            self.start = None;
            // Set this first, because ending the request tells its library.
            late.not_started.store(true, Ordering::Relaxed);
            if end(true) {
                return;
            }
            late.not_started.store(false, Ordering::Relaxed);
        }
        if over(self.finish) {
            self.finish = None;
            end(false);
        }
    }
}

/// What a request and its deadline share.
pub(crate) struct Late {
    /// The request has ended.
    over: AtomicBool,
    /// It is being ended because Lua has not started it.
    not_started: AtomicBool,
}

impl Late {
    /// Makes one for a request of that handle's library, and ensures that its deadline can be watched.
    pub(crate) fn try_new(handle: Handle) -> Result<Shared<Self>, DeliverError> {
        // The handle may be invalid, and name any dispatcher.
        states::dispatcher_of(handle).ok_or(DeliverError::InvalidHandle)?;
        let late = Shared::try_new(Self::unwatched())?;
        timer(handle)?.promise()?;
        Ok(late)
    }

    /// Makes one for a thread that checks the deadline itself.
    pub(crate) fn unwatched() -> Self {
        Late { over: AtomicBool::new(false), not_started: AtomicBool::new(false) }
    }

    /// Records that the request has ended. Returns whether that was because Lua had not started it.
    pub(crate) fn end(&self, outcome: Outcome) -> bool {
        self.over.store(true, Ordering::Relaxed);
        outcome == Outcome::TimedOut && self.not_started.load(Ordering::Relaxed)
    }
}

/// Watches the deadline of a request that was accepted, or cancels the promise if it was not.
pub(crate) fn watch(late: &Shared<Late>, handle: Handle, taken: Option<u64>, deadline: Deadline) {
    // The timer exists since the promise.
    if let Ok(timer) = timer(handle) {
        let watched = taken.and_then(|ticket| {
            Some(Watched { at: deadline.next()?, deadline, handle, ticket, late: late.clone() })
        });
        timer.keep_promise(watched);
    }
}

/// A request with a deadline ahead.
struct Watched {
    at: Instant,
    deadline: Deadline,
    handle: Handle,
    ticket: u64,
    late: Shared<Late>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Watched {}

impl PartialOrd for Watched {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for Watched {
    fn cmp(&self, other: &Self) -> Order {
        self.at.cmp(&other.at)
    }
}

/// With fewer watched requests than this, it is not worth looking for those that are over.
const FEW: usize = 256;

/// The deadlines of one dispatcher.
struct Timer {
    all: Mutex<All>,
    /// Signals that the earliest deadline has changed.
    earlier: Condvar,
}

struct All {
    /// The earliest first. It has room for all promised requests.
    heap: BinaryHeap<Reverse<Watched>>,
    promised: usize,
    /// At this length, requests that are over are removed.
    full: usize,
    /// Whether the thread was started.
    started: bool,
}

/// The timers, by the number of their dispatcher. A forked process has its own dispatchers, and so its own timers.
static TIMERS: Chunks<Timer> = Chunks::new();

/// The timer of the dispatcher that a handle names.
fn timer(handle: Handle) -> Result<&'static Timer, OutOfMemory> {
    TIMERS.get_or_make(handle.dispatcher, |_| Timer::new()).ok_or(OutOfMemory)
}

impl Timer {
    fn new() -> Self {
        let all = All { heap: BinaryHeap::new(), promised: 0, full: FEW, started: false };
        Timer { all: Mutex::new(all), earlier: Condvar::new() }
    }

    /// Reserves room for another request and ensures that the thread runs. A request is refused if its deadline cannot be watched.
    fn promise(&'static self) -> Result<(), OutOfMemory> {
        let mut all = self.all.lock();
        if !all.started {
            thread::start(c"dss deadlines", self, Timer::run)?;
            all.started = true;
        }
        let promised = all.promised + 1;
        all.heap.try_room(promised)?;
        all.promised = promised;
        Ok(())
    }

    fn keep_promise(&self, watched: Option<Watched>) {
        let mut all = self.all.lock();
        all.promised = all.promised.saturating_sub(1);
        let Some(watched) = watched else { return };
        if all.heap.len() >= all.full {
            all.heap.retain(|Reverse(watched)| !watched.late.over.load(Ordering::Relaxed));
            // The next search is when the number has doubled, so the cost of each request stays constant.
            all.full = FEW.max(2 * all.heap.len());
        }
        let first = all.heap.peek().is_none_or(|Reverse(first)| watched.at < first.at);
        all.heap.push(Reverse(watched));
        drop(all);
        if first {
            // No wake-up is lost: the thread is waiting, without the lock, for a later deadline, or it has yet to take the lock and will look then.
            self.earlier.notify_one();
        }
    }

    fn run(&self) {
        let mut all = self.all.lock();
        loop {
            let now = Instant::now();
            let first = all.heap.peek().map(|Reverse(first)| first.at);
            all = match first {
                None => self.earlier.wait(all),
                Some(at) if at > now => self.earlier.wait_for(all, at - now),
                Some(_) => {
                    let due = all.heap.pop();
                    // A request is ended with no lock held, because that runs its library's code.
                    drop(all);
                    if let Some(Reverse(mut due)) = due
                        && !due.late.over.load(Ordering::Relaxed)
                    {
                        due.deadline.check(due.handle, due.ticket, &due.late);
                        if let Some(at) = due.deadline.next() {
                            self.again(Watched { at, ..due });
                        }
                    }
                    self.all.lock()
                }
            };
        }
    }

    /// Watches the second deadline of a request, in the room of the first.
    fn again(&self, watched: Watched) {
        let mut all = self.all.lock();
        // Others may have taken that room meanwhile. If there is none, this deadline is not watched, and something else ends the request.
        let promised = all.promised;
        if all.heap.try_room(promised + 1).is_ok() {
            all.heap.push(Reverse(watched));
        }
    }
}
