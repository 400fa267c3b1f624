//! Requests: a delivery, and the cell in which its answer arrives.
//!
//! | the cell is | until | by |
//! |---|---|---|
//! | waiting | the answer arrives | `complete`, once, on the thread that ends the request |
//! | answered | the answer is taken | the waiting thread, or the task that polls |
//! | taken | the end | |
//!
//! The waiting side and DSS share the cell. The reference of DSS is the raw `context` of the request. `complete`
//! takes it back. If the request is refused, `send` takes it back.

use std::os::raw::c_void;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::any::Value;
use crate::callback::Callback;
use crate::contract::{
    CompleteFn, RawAnswer, RawRequest, ServiceObject, ENDED_ANSWERED, ENDED_CANCELLED, ENDED_CLOSED,
    ENDED_COLLECTED, ENDED_DROPPED, ENDED_FAILED, ENDED_TIMED_OUT,
};
use crate::deadline::{Deadline, Moments};
use crate::error::{DeliverError, Failure, Phase, RequestError};
use crate::guard::run_quietly;
use crate::library::{Library, Ticket};
use crate::values::{check, FromValues, IntoValues};

/// The place at which an answer arrives.
#[derive(Default)]
pub(crate) struct Cell {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    answer: Option<RawAnswer>,
    /// Whether the answer has come, taken or not.
    over: bool,
    /// The deadline that was last found to be over.
    phase: Option<Phase>,
    /// The waker of the task that polls.
    waker: Option<Waker>,
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked while it held this left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the answer has come.
    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// The answer, if it has come. Otherwise `waker` is woken when it comes.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<(RawAnswer, Option<Phase>)> {
        let replaced = {
            let mut state = self.lock();
            if let Some(answer) = state.answer.take() {
                return Some((answer, state.phase));
            }
            // The waker is set under the lock under which `complete` looks for one: it finds this one, or was there
            // before, and then the answer was found above.
            match &state.waker {
                Some(known) if known.will_wake(waker) => None,
                _ => state.waker.replace(waker.clone()),
            }
        };
        drop(replaced); // the author's code, with no lock held
        None
    }

    /// Ends the request at a deadline. The deadline to start ends it only while it is queued. Returns false if it is
    /// too late.
    pub(crate) fn time_out(&self, library: Library, ticket: Ticket, phase: Phase) -> bool {
        // Said before, for the answer arrives inside the call. A deadline to start that is said and then refused is
        // never read: only the one to finish can time out a request that has begun.
        self.lock().phase = Some(phase);
        library.end(ticket, ENDED_TIMED_OUT, phase == Phase::Start)
    }

    /// Waits for the answer, on this thread.
    fn wait(&self, library: Library, ticket: Ticket, mut moments: Moments) -> (RawAnswer, Option<Phase>) {
        let mut state = self.lock();
        loop {
            // Looked at under the lock under which `complete` writes, which notifies after: an answer that is not seen
            // here is written while this waits, and the notification finds it waiting.
            if let Some(answer) = state.answer.take() {
                return (answer, state.phase);
            }
            state = match moments.next() {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(moment) => {
                    let now = Instant::now();
                    if let Some(phase) = moments.take_over(now) {
                        drop(state);
                        // Where it is too late, Lua has begun, or the answer is on its way.
                        self.time_out(library, ticket, phase);
                        self.lock()
                    } else {
                        let left = moment.saturating_duration_since(now);
                        self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                }
            };
        }
    }
}

/// Receives the answer of a request that DSS accepted.
unsafe extern "C" fn complete(context: *mut c_void, answer: RawAnswer) {
    // SAFETY: `context` is the reference that `send` gave away, and DSS completes a request once.
    let cell = unsafe { Arc::from_raw(context as *const Cell) };
    let waker = {
        let mut state = cell.lock();
        state.answer = Some(answer);
        state.over = true;
        state.waker.take()
    };
    cell.arrived.notify_one();
    if let Some(waker) = waker {
        run_quietly(move || waker.wake());
    }
    // The answer is dropped with the cell where nobody waits any more: only DSS's own memory and functions are in it.
    drop(cell);
}

/// Makes the request. Its answer arrives in the cell.
pub(crate) fn send(
    library: Library,
    callback: &Callback,
    values: impl IntoValues,
) -> Result<(Arc<Cell>, Ticket), RequestError> {
    let cell = Arc::new(Cell::default());
    let accepted = library.hand_over(callback, &[], values, |delivery| {
        let context = Arc::into_raw(Arc::clone(&cell)) as *mut c_void;
        let request = RawRequest { delivery, complete: CompleteFn(complete), context };
        let accepted = library.service.request(library.handle, request).into_result();
        if accepted.is_err() {
            // SAFETY: the reference given away above, which nobody took.
            drop(unsafe { Arc::from_raw(context as *const Cell) });
        }
        accepted
    });
    match accepted {
        Ok(accepted) => Ok((cell, Ticket(accepted.ticket))),
        Err(refused) if refused.reason == DeliverError::WouldDeadlock => {
            Err(RequestError::WouldDeadlock(refused.values))
        }
        Err(refused) => Err(RequestError::Refused(refused)),
    }
}

/// The result for the waiting side.
pub(crate) fn outcome<R: FromValues>(
    answer: RawAnswer,
    phase: Option<Phase>,
    service: &'static ServiceObject,
) -> Result<R, RequestError> {
    Err(match answer.ended {
        ENDED_ANSWERED => {
            let values: Result<Vec<Value>, _> =
                answer.values.into_iter().map(|value| Value::from_raw(value, service)).collect();
            return values.and_then(R::from_values).map_err(RequestError::Answer);
        }
        ENDED_FAILED => RequestError::Failed(Failure {
            message: answer.message.into_string(),
            traceback: answer.traceback.into_string(),
            value: answer.values.into_iter().next().and_then(|value| Value::from_raw(value, service).ok()),
        }),
        ENDED_COLLECTED => RequestError::Collected,
        ENDED_CANCELLED => RequestError::Cancelled,
        ENDED_CLOSED => RequestError::Closed,
        ENDED_TIMED_OUT => RequestError::TimedOut(phase.unwrap_or(Phase::Finish)),
        ENDED_DROPPED => RequestError::Dropped,
        other => RequestError::Other(other),
    })
}

impl Library {
    /// Calls a Lua function and waits for what it returns. [any-thread] `[blocks]`
    ///
    /// `R` is one value, a tuple, `()`, or [`Rest`](crate::Rest) for all values. The Lua function may also answer
    /// later, with a reply function from `darksidesync.defer()`.
    ///
    /// ```
    /// use dss_abi_v2::{Callback, Deadline, Library, RequestError};
    /// use std::time::Duration;
    ///
    /// fn ask(library: &Library, callback: &Callback, path: &str) -> Result<(u16, String), RequestError> {
    ///     let deadline = Deadline::within(Duration::from_secs(5)).start_within(Duration::from_secs(1));
    ///     library.request(callback, path, deadline)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RequestError`] says why there is no answer, or that the answer has the wrong type. On the Lua thread, which
    /// would wait for itself, it is [`RequestError::WouldDeadlock`].
    pub fn request<R: FromValues>(
        &self,
        callback: &Callback,
        values: impl IntoValues,
        deadline: Deadline,
    ) -> Result<R, RequestError> {
        check(&values);
        let moments = deadline.moments();
        if self.on_lua_thread() {
            let mut held = crate::values::Values::new(self.service);
            values.into_values(&mut held);
            return Err(RequestError::WouldDeadlock(held.into_again()));
        }
        let (cell, ticket) = send(*self, callback, values)?;
        let (answer, phase) = cell.wait(*self, ticket, moments);
        outcome(answer, phase, self.service)
    }
}
