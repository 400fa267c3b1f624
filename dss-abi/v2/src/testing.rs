//! Unit tests of a library, without Lua and without DSS: a [`Library`] for tests, and what came of it to look at.
//!
//! With the feature `testing`, which belongs in the library's `[dev-dependencies]`:
//!
//! ```toml
//! [dependencies]
//! dss-abi-v2 = "1.0.1"
//!
//! [dev-dependencies]
//! dss-abi-v2 = { version = "1.0.1", features = ["testing"] }
//! ```
//!
//! ```
//! use dss_abi_v2::testing::TestState;
//! use dss_abi_v2::{Callback, Deadline, Library, RequestError, Result, Value};
//! use std::time::Duration;
//!
//! fn count(library: &Library, to: i64, step: Callback) -> Result<i64> {
//!     for number in 1..=to {
//!         library.deliver(&step, ("step", number))?;
//!     }
//!     Ok(to)
//! }
//!
//! fn ask(library: &Library, question: &Callback) -> Result<String, RequestError> {
//!     library.request(question, "name?", Deadline::within(Duration::from_secs(5)))
//! }
//!
//! let state = TestState::new();
//! let step = state.callback();
//! assert_eq!(count(&state.library(), 2, step.clone()).unwrap(), 2);
//! let calls = state.take();
//! assert_eq!(calls.len(), 2);
//! assert_eq!(calls[0].callback, step);
//! assert_eq!(calls[1].values, [Value::from("step"), Value::from(2)]);
//!
//! // A thread of the library's asks, and a Lua function answers.
//! let library = state.library();
//! let question = state.answering(|asked| match &asked[..] {
//!     [Value::Bytes(text)] if text == b"name?" => Ok("Ada".into()),
//!     _ => Err("what?".into()),
//! });
//! let answer = std::thread::spawn(move || ask(&library, &question)).join().unwrap();
//! assert_eq!(answer.unwrap(), "Ada");
//! ```
//!
//! A test state does what DSS does as far as a library can see it. Items come in order and once, a refused delivery gives its values
//! back, a request ends once, and everything is refused after the library was unregistered. It has no bound: call
//! [`TestState::refuse`] to say that there is no room. A test calls the functions directly, so Lua's arguments and results are not part
//! of it. [`ObjectRef::of`](crate::ObjectRef::of) makes an `ObjectRef`.

mod service;

use std::fmt;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use abi_stable::std_types::RVec;

use crate::any::Value;
use crate::callback::Callback;
use crate::contract::{ServiceObject, ENDED_ANSWERED, ENDED_COLLECTED, ENDED_FAILED};
use crate::error::{DeliverError, Error};
use crate::library::{Library, Ticket};
use crate::limits::Limits;
use crate::values::{IntoValues, Values};
use service::{Open, Shared};

/// A test double of a Lua state, with one library registered in it. Any thread may use it.
///
/// Some of its memory is never freed, because a [`Library`] may be used at any time.
pub struct TestState {
    shared: Arc<Shared>,
    service: &'static ServiceObject,
}

impl fmt::Debug for TestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestState").field("queued", &self.queued()).finish_non_exhaustive()
    }
}

impl Default for TestState {
    fn default() -> Self {
        Self::new()
    }
}

impl TestState {
    /// A state whose Lua thread is this one: a [`Library::request`] on it is refused, as it is in a function that Lua calls.
    /// [any-thread]
    #[must_use]
    pub fn new() -> Self {
        Self::with(Some(thread::current().id()))
    }

    /// A state whose Lua thread is not one of the test's threads: each of them may wait for an answer. [any-thread]
    #[must_use]
    pub fn elsewhere() -> Self {
        Self::with(None)
    }

    fn with(lua_thread: Option<ThreadId>) -> Self {
        let shared = Arc::new(Shared::new(lua_thread));
        let service = service::service(&shared);
        TestState { shared, service }
    }

    /// The library. [any-thread]
    #[must_use]
    pub fn library(&self) -> Library {
        Library::new(self.service, service::HANDLE)
    }

    /// A Lua function. What is delivered to it, and requested of it, is taken by [`Self::next`]. [any-thread]
    #[must_use]
    pub fn callback(&self) -> Callback {
        Callback::new(service::new_callback(), self.service)
    }

    /// A Lua function that answers requests itself: inside the request, on its thread, and with what `answer` makes of the values.
    /// An `Err` is a Lua error. What is delivered to it is taken by [`Self::next`]. [any-thread]
    #[must_use]
    pub fn answering<F>(&self, answer: F) -> Callback
    where
        F: Fn(Vec<Value>) -> Result<Value, Error> + Send + Sync + 'static,
    {
        let callback = self.callback();
        self.shared.lock().answers.insert(callback.id(), Arc::new(answer));
        callback
    }

    /// How many clones of this callback there are besides it: 0 if the library has dropped all that it had. [any-thread]
    #[must_use]
    pub fn references(&self, callback: &Callback) -> usize {
        callback.references() - 1
    }

    /// What Lua would call next: waits for it, so long at most. [any-thread] `[blocks]`
    #[must_use = "a request that is dropped is not answered"]
    pub fn next(&self, within: Duration) -> Option<Call> {
        let end = Instant::now().checked_add(within);
        self.shared.next(end).map(|open| self.call(open))
    }

    /// All that Lua would call now, in order. [any-thread]
    #[must_use = "a request that is dropped is not answered"]
    pub fn take(&self) -> Vec<Call> {
        let all = self.shared.take();
        all.into_iter().map(|open| self.call(open)).collect()
    }

    fn call(&self, open: Open) -> Call {
        let service = self.service;
        Call {
            callback: Callback::new(service::callback(open.callback), service),
            // What is delivered has no object that Lua owns in it, and nothing else is refused.
            values: open
                .values
                .into_iter()
                .map(|value| Value::from_raw(value, service).unwrap_or(Value::Nil))
                .collect(),
            key: open.key,
            ticket: Ticket(open.ticket),
            is_request: open.is_request,
            reply: Reply { shared: Arc::clone(&self.shared), ticket: open.ticket, service },
        }
    }

    /// How much is queued. [any-thread]
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// How many requests have no answer yet, queued or taken. [any-thread]
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.lock().requests.len()
    }

    /// Refuses all deliveries and requests from now on, for that reason. [any-thread]
    ///
    /// # Panics
    /// The reason is [`DeliverError::Value`], which is the values' own.
    pub fn refuse(&self, reason: DeliverError) {
        self.shared.lock().refuse = Some(service::code(reason));
    }

    /// Takes them again. [any-thread]
    pub fn accept(&self) {
        self.shared.lock().refuse = None;
    }

    /// How many [`Hold`](crate::Hold)s there are. [any-thread]
    #[must_use]
    pub fn holds(&self) -> usize {
        self.shared.lock().holds
    }

    /// What the library has said last with [`Library::keep_alive`]. [any-thread]
    #[must_use]
    pub fn keep_alive(&self) -> Option<bool> {
        self.shared.lock().keeps_alive
    }

    /// The bounds that the library has set last with [`Library::limit`]. [any-thread]
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.shared.lock().limits
    }

    /// Whether the library is registered: until it [unregisters](Library::unregister), or the state closes. [any-thread]
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.shared.lock().is_registered
    }

    /// Closes the state: what is queued is dropped, each request without an answer ends as closed, and all that follows is
    /// refused. [any-thread]
    pub fn close(&self) {
        self.shared.leave();
    }
}

/// What Lua would call: a function with values.
#[must_use = "a request that is dropped is not answered"]
pub struct Call {
    /// The function.
    pub callback: Callback,
    /// The values.
    pub values: Vec<Value>,
    /// The key of [`Library::deliver_keyed`]; else empty.
    pub key: Vec<u8>,
    /// Its name.
    pub ticket: Ticket,
    /// Whether an answer is waited for.
    pub is_request: bool,
    reply: Reply,
}

/// The reply of a request, or of none. What is dropped uncalled is one that Lua dropped.
struct Reply {
    shared: Arc<Shared>,
    ticket: u64,
    service: &'static ServiceObject,
}

impl Drop for Reply {
    fn drop(&mut self) {
        // False where it was answered, or is none.
        self.shared.complete(self.ticket, ENDED_COLLECTED, RVec::new(), "");
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("callback", &self.callback)
            .field("values", &self.values)
            .field("is_request", &self.is_request)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// Answers a request. False if it is over, or if this is a plain delivery. [any-thread]
    ///
    /// # Panics
    /// Lua cannot have such values.
    pub fn answer(self, values: impl IntoValues) -> bool {
        let mut held = Values::new(self.reply.service);
        values.into_values(&mut held);
        let values = held.into_results().unwrap_or_else(|error| panic!("that answer cannot be: {}", error));
        self.reply.shared.complete(self.ticket.0, ENDED_ANSWERED, values, "")
    }

    /// Answers a request with a Lua error. False as for [`Self::answer`]. [any-thread]
    pub fn fail(self, message: &str) -> bool {
        self.reply.shared.complete(self.ticket.0, ENDED_FAILED, RVec::new(), message)
    }
}
