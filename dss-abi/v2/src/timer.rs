//! The library's timer: it watches the deadlines of requests that are futures, and wakes deliveries that wait for
//! room. It is one thread for the whole library. The first use starts it.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::deadline::Moments;
use crate::guard::run_quietly;
use crate::library::{Library, Ticket};
use crate::request::Cell;
use crate::room::Slot;

static TIMER: Mutex<Option<Timer>> = Mutex::new(None);
/// Notified when the first moment of all has changed.
static EARLIER: Condvar = Condvar::new();

struct Timer {
    /// The earliest first.
    watched: BinaryHeap<Reverse<Watched>>,
    /// When so many are watched, those that are over are removed.
    full: usize,
    /// One queue for each state in which deliveries wait for room.
    queues: Vec<Queue>,
}

/// Deliveries that wait for room in one state.
struct Queue {
    library: Library,
    /// In the order in which they found no room. The slots of dropped deliveries are dead.
    waiting: Vec<Weak<Slot>>,
    /// When the timer looks next.
    at: Instant,
    /// The pause before that look.
    pause: Duration,
}

/// The pause before the first look for room, and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(32);

impl Timer {
    fn new() -> Self {
        Timer { watched: BinaryHeap::new(), full: FEW, queues: Vec::new() }
    }

    /// The first moment of all.
    fn first(&self) -> Option<Instant> {
        let deadline = self.watched.peek().map(|first| first.0.at);
        self.queues.iter().map(|queue| queue.at).chain(deadline).min()
    }

    /// Takes what is due.
    fn take_due(&mut self, now: Instant) -> Due {
        if let Some(at) = self.queues.iter().position(|queue| queue.at <= now) {
            let queue = &mut self.queues[at];
            let waiting = std::mem::take(&mut queue.waiting);
            if waiting.is_empty() {
                // Nobody has waited here since the last look.
                self.queues.swap_remove(at);
            } else {
                queue.pause = (queue.pause * 2).min(LAST_PAUSE);
                queue.at = now + queue.pause;
            }
            return Due::Room(waiting);
        }
        self.watched.pop().map_or(Due::Room(Vec::new()), |Reverse(watched)| Due::Deadline(watched))
    }
}

enum Due {
    Deadline(Watched),
    Room(Vec<Weak<Slot>>),
}

/// A request with a deadline that is not over.
struct Watched {
    at: Instant,
    moments: Moments,
    library: Library,
    ticket: Ticket,
    /// Dead, or over, if the request no longer needs a deadline.
    cell: Weak<Cell>,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Watched {}

impl PartialOrd for Watched {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Watched {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

/// From so many on it is worth removing those that are over.
const FEW: usize = 256;

fn lock() -> MutexGuard<'static, Option<Timer>> {
    // A thread that panicked while it held this left it whole.
    TIMER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread, if it does not run yet.
pub(crate) fn start() -> io::Result<()> {
    let mut timer = lock();
    if timer.is_none() {
        // It ends with the process: the library's image stays mapped for as long.
        std::thread::Builder::new().name("dss deadlines".to_owned()).spawn(run)?;
        *timer = Some(Timer::new());
    }
    Ok(())
}

/// Watches a request, if it has deadlines. Call [`start`] first.
pub(crate) fn watch(library: Library, ticket: Ticket, cell: &Arc<Cell>, moments: Moments) {
    let at = match moments.next() {
        Some(at) => at,
        None => return,
    };
    let mut timer = lock();
    let timer = match timer.as_mut() {
        Some(timer) => timer,
        None => return,
    };
    if timer.watched.len() >= timer.full {
        let live =
            |watched: &Reverse<Watched>| watched.0.cell.upgrade().map_or(false, |cell| !cell.is_over());
        let mut all = std::mem::take(&mut timer.watched).into_vec();
        all.retain(live);
        timer.watched = all.into();
        // Looked through again when as many have come as there are now: that costs a constant for each.
        timer.full = FEW.max(timer.watched.len() * 2);
    }
    let first = timer.first().map_or(true, |first| at < first);
    timer.watched.push(Reverse(Watched { at, moments, library, ticket, cell: Arc::downgrade(cell) }));
    if first {
        // The thread waits for a later one, or without an end, with this lock given up; or it has the lock to take yet,
        // and looks then.
        EARLIER.notify_one();
    }
}

/// Wakes the task of a slot when there may be room in its state. Call [`start`] first.
pub(crate) fn wait_for_room(library: Library, slot: &Arc<Slot>) {
    let mut timer = lock();
    let timer = match timer.as_mut() {
        Some(timer) => timer,
        None => return,
    };
    let slot = Arc::downgrade(slot);
    if let Some(queue) = timer.queues.iter_mut().find(|queue| queue.library == library) {
        // The thread has its moment in view.
        queue.waiting.push(slot);
        return;
    }
    let at = Instant::now() + FIRST_PAUSE;
    let first = timer.first().map_or(true, |first| at < first);
    timer.queues.push(Queue { library, waiting: vec![slot], at, pause: FIRST_PAUSE });
    if first {
        // As in `watch`.
        EARLIER.notify_one();
    }
}

/// Says that a waiting delivery found room. There may soon be room for more.
pub(crate) fn found_room(library: Library) {
    let mut timer = lock();
    let timer = match timer.as_mut() {
        Some(timer) => timer,
        None => return,
    };
    let at = Instant::now() + FIRST_PAUSE;
    let first = timer.first().map_or(true, |first| at < first);
    if let Some(queue) = timer.queues.iter_mut().find(|queue| queue.library == library) {
        queue.pause = FIRST_PAUSE;
        queue.at = queue.at.min(at);
        if first {
            // As in `watch`.
            EARLIER.notify_one();
        }
    }
}

fn run() {
    let mut guard = lock();
    loop {
        let now = Instant::now();
        // Set before this lock was given up by `start`, and never taken away.
        let timer = guard.get_or_insert_with(Timer::new);
        guard = match timer.first() {
            None => EARLIER.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(at) if at > now => {
                let left = at.saturating_duration_since(now);
                EARLIER.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                let due = timer.take_due(now);
                // DSS is called, and tasks are woken, with no lock held: both are, or may run, other code.
                drop(guard);
                match due {
                    Due::Deadline(due) => fire(due, now),
                    Due::Room(waiting) => waiting.iter().for_each(wake),
                }
                lock()
            }
        };
    }
}

/// Wakes the task of a delivery, which then looks for room.
fn wake(slot: &Weak<Slot>) {
    // The waker is the author's code; and the slot has another one, where the task was polled meanwhile and is gone by now.
    run_quietly(|| {
        if let Some(waker) = slot.upgrade().and_then(|slot| slot.take()) {
            waker.wake();
        }
    });
}

/// Ends a request at a deadline. If it is not ended and has another deadline, it is watched further.
fn fire(mut due: Watched, now: Instant) {
    let cell = match due.cell.upgrade() {
        Some(cell) if !cell.is_over() => cell,
        _ => return,
    };
    if let Some(phase) = due.moments.take_over(now) {
        if !cell.time_out(due.library, due.ticket, phase) {
            watch(due.library, due.ticket, &cell, due.moments);
        }
    }
}
