//! Passes a request to Lua, and makes the response from the answer or from its absence.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dss_abi_v2::{Callback, Deadline, DeliverError, Library, RequestError};

use dss_http_engine::{Response, plain};

use crate::message::{Asked, Reply, busy};

/// Answers the requests of one server.
pub(crate) struct Handler {
    pub(crate) library: Library,
    pub(crate) handler: Callback,
    pub(crate) log: Option<Callback>,
    pub(crate) deadline: Deadline,
    /// How many requests may wait for Lua.
    pub(crate) max: u32,
    pub(crate) counts: Counts,
}

/// How many requests are waiting, and how many ended in each way.
#[derive(Default)]
pub(crate) struct Counts {
    waiting: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    /// Waiting, answered, refused, failed.
    pub(crate) fn now(&self) -> [u64; 4] {
        [&self.waiting, &self.answered, &self.refused, &self.failed]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

/// A waiting request. It may be dropped at any moment if its client disconnects.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    /// None if `max` requests are waiting already.
    fn enter(count: &'a AtomicU64, max: u32) -> Option<Self> {
        let enter = |waiting| (waiting < u64::from(max)).then_some(waiting + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok().map(|_| Waiting(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handler {
    /// The response to the client. Dropping this future cancels the request.
    pub(crate) async fn answer(self: Arc<Self>, asked: Asked) -> Response {
        let Some(waiting) = Waiting::enter(&self.counts.waiting, self.max) else {
            return self.refuse("too many requests are waiting");
        };
        let name = format!("{} {}", asked.method, asked.path);
        let reply = self.library.request_async::<Reply>(&self.handler, asked, self.deadline).await;
        drop(waiting);
        match reply {
            Ok(Reply(response)) => {
                self.counts.answered.fetch_add(1, Ordering::Relaxed);
                response
            }
            Err(RequestError::Closed | RequestError::Cancelled) => self.refuse("the server is shutting down"),
            Err(RequestError::Refused(refused)) => match refused.reason {
                DeliverError::TooLarge | DeliverError::TooDeep => self.fail(&name, &refused),
                DeliverError::Closing | DeliverError::Unregistered | DeliverError::InvalidCallback => {
                    self.refuse("the server is shutting down")
                }
                _ => self.refuse("too many requests are waiting"),
            },
            Err(RequestError::TimedOut(_) | RequestError::Dropped) => self.refuse("the answer took too long"),
            // The handler raised an error, dropped its deferred reply, or returned something that is invalid in HTTP.
            Err(error) => self.fail(&name, &error),
        }
    }

    fn refuse(&self, why: &'static str) -> Response {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        busy(why)
    }

    /// The client is not told the error.
    fn fail(&self, name: &str, error: &dyn std::fmt::Display) -> Response {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        if let Some(log) = &self.log {
            // If this is refused, there is nobody else to tell.
            let _ = self.library.deliver(log, format!("httpd could not answer {name}: {error}"));
        }
        plain(500, "the server failed")
    }
}
