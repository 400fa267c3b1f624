//! The deadlines of requests that are awaited: one thread for all of a library's, started by the first.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use crate::deadline::Moments;
use crate::library::{Library, Ticket};
use crate::request::Cell;

static TIMER: Mutex<Option<Timer>> = Mutex::new(None);
/// Notified where the first deadline of all has changed.
static EARLIER: Condvar = Condvar::new();

struct Timer {
    /// The earliest first.
    watched: BinaryHeap<Reverse<Watched>>,
    /// At so many, those that are over are thrown out.
    full: usize,
}

/// A request with a deadline ahead.
struct Watched {
    at: Instant,
    moments: Moments,
    library: Library,
    ticket: Ticket,
    /// Gone, or over, where the request needs no deadline any more.
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

/// How many are watched before it is worth to look for those that are over.
const FEW: usize = 256;

fn lock() -> MutexGuard<'static, Option<Timer>> {
    // A thread that panicked while it held this left it whole.
    TIMER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread, where it does not run yet.
pub(crate) fn start() -> io::Result<()> {
    let mut timer = lock();
    if timer.is_none() {
        // It ends with the process: the library's image stays mapped for as long.
        std::thread::Builder::new().name("dss deadlines".to_owned()).spawn(run)?;
        *timer = Some(Timer { watched: BinaryHeap::new(), full: FEW });
    }
    Ok(())
}

/// Ends a request at its deadlines, where it has any; after [`start`].
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
    let first = timer.watched.peek().map_or(true, |first| at < first.0.at);
    timer.watched.push(Reverse(Watched { at, moments, library, ticket, cell: Arc::downgrade(cell) }));
    if first {
        // The thread waits for a later one, or without an end, with this lock given up; or it has the lock to take yet,
        // and looks then.
        EARLIER.notify_one();
    }
}

fn run() {
    let mut guard = lock();
    loop {
        let now = Instant::now();
        // Set before this lock was given up by `start`, and never taken away.
        let timer = guard.get_or_insert_with(|| Timer { watched: BinaryHeap::new(), full: FEW });
        let first = timer.watched.peek().map(|first| first.0.at);
        guard = match first {
            None => EARLIER.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(at) if at > now => {
                let left = at.saturating_duration_since(now);
                EARLIER.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
            }
            Some(_) => {
                let due = timer.watched.pop();
                // DSS is called with no lock held, for it completes the request inside, which wakes the author's task.
                drop(guard);
                if let Some(Reverse(due)) = due {
                    fire(due, now);
                }
                lock()
            }
        };
    }
}

/// Ends a request at a deadline of its; or watches it on, where it has another.
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
