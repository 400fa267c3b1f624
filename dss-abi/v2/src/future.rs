//! Requests as futures.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::callback::Callback;
use crate::contract::ENDED_CANCELLED;
use crate::deadline::Deadline;
use crate::error::{DeliverError, Refused, RequestError};
use crate::library::{Library, Ticket};
use crate::request::{outcome, send, Cell};
use crate::timer;
use crate::values::{check, FromValues, IntoValues, Values};

/// The future of a request's answer, from [`Library::request_async`]. It works in any runtime, and blocks no thread.
/// Dropping it cancels the request.
///
/// ```
/// use dss_abi_v2::{Callback, Deadline, Library, Request, RequestError};
///
/// async fn ask_both(library: Library, one: Callback, other: Callback) -> Result<(i64, i64), RequestError> {
///     // Both requests are queued before the first answer is awaited.
///     let first: Request<i64> = library.request_async(&one, "count?", Deadline::none());
///     let second: Request<i64> = library.request_async(&other, "count?", Deadline::none());
///     Ok((first.await?, second.await?))
/// }
/// ```
#[must_use = "a request that is dropped is cancelled"]
pub struct Request<R> {
    state: State,
    answer: PhantomData<fn() -> R>,
}

enum State {
    /// Refused.
    Failed(Box<RequestError>),
    Waiting {
        library: Library,
        ticket: Ticket,
        cell: Arc<Cell>,
    },
    Done,
}

impl<R> fmt::Debug for Request<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::Failed(_) => "Request(failed)",
            State::Waiting { .. } => "Request(waiting)",
            State::Done => "Request(done)",
        })
    }
}

impl<R> Request<R> {
    /// Identifies the request, for [`Library::cancel`]. `None` if the request was refused or is over. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use dss_abi_v2::{testing::TestState, Deadline, Request};
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// let request: Request<i64> = library.request_async(&callback, "count?", Deadline::none());
    /// assert!(library.cancel(request.ticket().unwrap()));
    /// # }
    /// ```
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        match &self.state {
            State::Waiting { ticket, .. } => Some(*ticket),
            State::Failed(_) | State::Done => None,
        }
    }
}

impl<R: FromValues> Future for Request<R> {
    type Output = Result<R, RequestError>;

    /// # Panics
    /// It was polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Waiting { cell, library, .. } = &self.state {
            return match cell.poll(context.waker()) {
                None => Poll::Pending,
                Some((answer, phase)) => {
                    let service = library.service;
                    self.state = State::Done;
                    Poll::Ready(outcome(answer, phase, service))
                }
            };
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Failed(error) => Poll::Ready(Err(*error)),
            State::Waiting { .. } | State::Done => panic!("a request was polled after it was ready"),
        }
    }
}

impl<R> Drop for Request<R> {
    fn drop(&mut self) {
        if let State::Waiting { library, ticket, cell } = &self.state {
            if !cell.is_over() {
                // False where its answer is on its way, which the cell takes and drops.
                library.end(*ticket, ENDED_CANCELLED, false);
            }
        }
    }
}

impl Library {
    /// Queues a call of a Lua function immediately, and returns a future of what the function returns. The future
    /// works in any runtime. [any-thread]
    ///
    /// The first request with a deadline starts one thread, which watches the deadlines of all requests of the
    /// library.
    ///
    /// ```
    /// use dss_abi_v2::{Callback, Deadline, Library, RequestError};
    ///
    /// async fn ask(library: Library, callback: Callback) -> Result<String, RequestError> {
    ///     library.request_async(&callback, ("name?", 1), Deadline::none()).await
    /// }
    /// ```
    ///
    /// # Errors
    /// The future has the errors of [`Self::request`]. Awaiting it on the Lua thread is not an error.
    pub fn request_async<R: FromValues>(
        &self,
        callback: &Callback,
        values: impl IntoValues,
        deadline: Deadline,
    ) -> Request<R> {
        check(&values);
        let moments = deadline.moments();
        let state = if moments.next().is_some() && timer::start().is_err() {
            let mut held = Values::new(self.service);
            values.into_values(&mut held);
            let refused = Refused { reason: DeliverError::OutOfMemory, values: held.into_again() };
            State::Failed(Box::new(RequestError::Refused(refused)))
        } else {
            match send(*self, callback, values) {
                Ok((cell, ticket)) => {
                    timer::watch(*self, ticket, &cell, moments);
                    State::Waiting { library: *self, ticket, cell }
                }
                Err(error) => State::Failed(Box::new(error)),
            }
        };
        Request { state, answer: PhantomData }
    }
}
