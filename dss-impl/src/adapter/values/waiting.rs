//! Requests whose thread waits for their end, for revisions whose libraries cannot wait themselves.

use std::time::{Duration, Instant};

use super::deadlines::{Deadline, Late};
use super::service::{Given, Refused, Source, dispatcher, request};
use super::wire::Wire;
use crate::delivery::DeliverError;
use crate::handle::Handle;
use crate::memory::Shared;
use crate::outcome::Outcome;
use crate::sync::{Condvar, Mutex};
use crate::value::{Raised, Value};

/// How a request ended.
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    /// It was ended because Lua had not started it.
    pub(crate) not_started: bool,
    pub(crate) answer: Option<Result<Vec<Value>, Raised>>,
}

/// The place where the end of a request arrives.
pub(crate) struct Cell {
    end: Mutex<Option<End>>,
    arrived: Condvar,
    late: Late,
}

impl Cell {
    /// The request has ended. [any-thread]
    pub(crate) fn end(&self, outcome: Outcome, answer: Option<Result<Vec<Value>, Raised>>) {
        let not_started = self.late.end(outcome);
        *self.end.lock() = Some(End { outcome, not_started, answer });
        // No wake-up is lost: the waiting thread checks under the lock before it sleeps, so it saw the end, or it is asleep and gets this.
        self.arrived.notify_one();
    }

    /// Sleeps until the request has ended. Ends it at its deadlines. `[blocks]`
    fn wait(&self, handle: Handle, ticket: u64, mut deadline: Deadline) -> End {
        loop {
            let mut end = self.end.lock();
            let next = deadline.next();
            if end.is_none() {
                end = match next.map(|at| at.saturating_duration_since(Instant::now())) {
                    None => self.arrived.wait(end),
                    Some(Duration::ZERO) => end,
                    Some(left) => self.arrived.wait_for(end, left),
                };
            }
            if let Some(end) = end.take() {
                return end;
            }
            drop(end);
            // With no lock held, because ending the request takes it.
            if next.is_some_and(|at| at <= Instant::now()) {
                deadline.check(handle, ticket, &self.late);
            }
        }
    }
}

/// Hands over a request, and waits for its end. `completion` tells the cell. [any-thread] `[blocks]`
pub(crate) fn wait<W: Wire, S: Source<W>>(
    raw: usize,
    given: Given<'_, S>,
    deadline: Deadline,
    completion: impl FnOnce(Shared<Cell>) -> W::Completion,
) -> Result<End, Refused> {
    let (dispatcher, handle) = dispatcher(raw)?;
    if dispatcher.on_lua_thread() {
        dispatcher.count_refused(handle, 1);
        return Err(DeliverError::WouldDeadlock.into());
    }
    let cell = Cell { end: Mutex::new(None), arrived: Condvar::new(), late: Late::unwatched() };
    let cell = Shared::try_new(cell).map_err(DeliverError::from)?;
    let accepted = request::<W, S>(raw, given, completion(cell.clone()))?;
    Ok(cell.wait(handle, accepted.sequence, deadline))
}
