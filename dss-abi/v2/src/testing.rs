//! Unit tests of a library, without Lua and without DSS. A [`TestState`] makes a [`Library`] for your functions, and
//! shows what they delivered and requested.
//!
//! The module needs the feature `testing`, which belongs in the library's `[dev-dependencies]`:
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
//! // A thread of the library asks, and a Lua function answers.
//! let library = state.library();
//! let question = state.answering(|asked| match &asked[..] {
//!     [Value::Bytes(text)] if text == b"name?" => Ok("Ada".into()),
//!     _ => Err("what?".into()),
//! });
//! let answer = std::thread::spawn(move || ask(&library, &question)).join().unwrap();
//! assert_eq!(answer.unwrap(), "Ada");
//! ```
//!
//! To a library, a test state behaves like DSS. Items arrive once and in order, a refused delivery gives its values
//! back, a request ends once, and everything is refused after the library was unregistered. The queue has no limit:
//! call [`TestState::refuse`] to simulate a full queue.
//!
//! A test calls your functions directly, so it does not test the conversion of Lua's arguments and results.
//! [`ObjectRef::of`](crate::ObjectRef::of) makes the argument for a parameter of the type `ObjectRef`.

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

/// A Lua state for tests, with one library registered in it. Any thread may use it.
///
/// Some of its memory is never freed, because a [`Library`] may be used at any time.
///
/// ```
/// use dss_abi_v2::{testing::TestState, Value};
///
/// let state = TestState::new();
/// let callback = state.callback();
/// state.library().deliver(&callback, "hello").unwrap();
/// assert_eq!(state.take()[0].values, [Value::from("hello")]);
/// ```
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
    /// Makes a state whose Lua thread is the calling thread. On this thread, [`Library::request`] is refused, as it
    /// is in a function that Lua calls. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{testing::TestState, Deadline, RequestError};
    ///
    /// let state = TestState::new();
    /// let answer: Result<(), _> = state.library().request(&state.callback(), 1, Deadline::none());
    /// assert!(matches!(answer, Err(RequestError::WouldDeadlock(_))));
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with(Some(thread::current().id()))
    }

    /// Makes a state whose Lua thread is none of the test's threads. Each of them may wait for an answer.
    /// [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{testing::TestState, Deadline};
    ///
    /// let state = TestState::elsewhere();
    /// let seven = state.answering(|_| Ok(7.into()));
    /// let answer: Result<u8, _> = state.library().request(&seven, (), Deadline::none());
    /// assert_eq!(answer.unwrap(), 7);
    /// ```
    #[must_use]
    pub fn elsewhere() -> Self {
        Self::with(None)
    }

    fn with(lua_thread: Option<ThreadId>) -> Self {
        let shared = Arc::new(Shared::new(lua_thread));
        let service = service::service(&shared);
        TestState { shared, service }
    }

    /// The library of this state, for your functions. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{testing::TestState, Library};
    ///
    /// fn greet(_: &Library, name: String) -> String {
    ///     format!("hello {}", name)
    /// }
    ///
    /// let state = TestState::new();
    /// assert_eq!(greet(&state.library(), "Ada".to_owned()), "hello Ada");
    /// ```
    #[must_use]
    pub fn library(&self) -> Library {
        Library::new(self.service, service::HANDLE)
    }

    /// Makes a Lua function. [`Self::next`] and [`Self::take`] return the calls of it. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::testing::TestState;
    ///
    /// let state = TestState::new();
    /// let (opened, closed) = (state.callback(), state.callback());
    /// state.library().deliver(&closed, ()).unwrap();
    /// assert_eq!(state.take()[0].callback, closed);
    /// # let _ = opened;
    /// ```
    #[must_use]
    pub fn callback(&self) -> Callback {
        Callback::new(service::new_callback(), self.service)
    }

    /// Makes a Lua function that answers each request with the result of `answer`. An `Err` is a Lua error.
    /// [any-thread]
    ///
    /// `answer` is called on the thread that makes the request, inside the request. [`Self::next`] returns plain
    /// deliveries to the function.
    ///
    /// ```
    /// use dss_abi_v2::{testing::TestState, Deadline, Value};
    ///
    /// let state = TestState::elsewhere();
    /// let double = state.answering(|values| match values[..] {
    ///     [Value::Integer(number)] => Ok((number * 2).into()),
    ///     _ => Err("wanted a number".into()),
    /// });
    /// let answer: Result<i64, _> = state.library().request(&double, 21, Deadline::none());
    /// assert_eq!(answer.unwrap(), 42);
    /// ```
    #[must_use]
    pub fn answering<F>(&self, answer: F) -> Callback
    where
        F: Fn(Vec<Value>) -> Result<Value, Error> + Send + Sync + 'static,
    {
        let callback = self.callback();
        self.shared.lock().answers.insert(callback.id(), Arc::new(answer));
        callback
    }

    /// How many other clones of this callback there are. It is 0 if the library has dropped all of them. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::testing::TestState;
    /// let state = TestState::new();
    /// let callback = state.callback();
    /// let kept = callback.clone();
    /// assert_eq!(state.references(&callback), 1);
    /// drop(kept);
    /// assert_eq!(state.references(&callback), 0);
    /// ```
    #[must_use]
    pub fn references(&self, callback: &Callback) -> usize {
        callback.references() - 1
    }

    /// Waits for the next call that Lua would make, at most this long. [any-thread] `[blocks]`
    ///
    /// ```
    /// use dss_abi_v2::testing::TestState;
    /// use std::{thread, time::Duration};
    ///
    /// let state = TestState::new();
    /// let (library, callback) = (state.library(), state.callback());
    /// thread::spawn(move || library.deliver(&callback, "done"));
    /// assert!(state.next(Duration::from_secs(20)).is_some());
    /// assert!(state.next(Duration::ZERO).is_none());
    /// ```
    #[must_use = "a request that is dropped is not answered"]
    pub fn next(&self, within: Duration) -> Option<Call> {
        let end = Instant::now().checked_add(within);
        self.shared.next(end).map(|open| self.call(open))
    }

    /// Takes all calls that Lua would make now, in order. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::testing::TestState;
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// library.deliver(&callback, 1).unwrap();
    /// library.deliver(&callback, 2).unwrap();
    /// assert_eq!(state.take().len(), 2);
    /// assert_eq!(state.take().len(), 0);
    /// ```
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

    /// How many items are queued. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::testing::TestState;
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// library.deliver(&callback, 1).unwrap();
    /// assert_eq!(state.queued(), 1);
    /// ```
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// How many requests have no answer yet, queued or taken. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{testing::TestState, Deadline, Request};
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// let request: Request<u8> = library.request_async(&callback, (), Deadline::none());
    /// assert_eq!(state.pending(), 1);
    /// state.take().remove(0).answer(7);
    /// assert_eq!(state.pending(), 0);
    /// # drop(request);
    /// ```
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.lock().requests.len()
    }

    /// Refuses all later deliveries and requests, for this reason. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{testing::TestState, DeliverError};
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// state.refuse(DeliverError::Full);
    /// assert_eq!(library.deliver(&callback, 1).unwrap_err().reason, DeliverError::Full);
    /// ```
    ///
    /// # Panics
    /// The reason is [`DeliverError::Value`], which depends on the values.
    pub fn refuse(&self, reason: DeliverError) {
        self.shared.lock().refuse = Some(service::code(reason));
    }

    /// Accepts deliveries and requests again, after [`Self::refuse`]. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{testing::TestState, DeliverError};
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// state.refuse(DeliverError::Full);
    /// state.accept();
    /// assert!(library.deliver(&callback, 1).is_ok());
    /// ```
    pub fn accept(&self) {
        self.shared.lock().refuse = None;
    }

    /// How many [`Hold`](crate::Hold)s the library has. [any-thread]
    ///
    /// ```
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// let hold = state.library().hold().unwrap();
    /// assert_eq!(state.holds(), 1);
    /// # drop(hold);
    /// ```
    #[must_use]
    pub fn holds(&self) -> usize {
        self.shared.lock().holds
    }

    /// The last value that the library passed to [`Library::keep_alive`]. [any-thread]
    ///
    /// ```
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// assert_eq!(state.keep_alive(), None);
    /// state.library().keep_alive(false).unwrap();
    /// assert_eq!(state.keep_alive(), Some(false));
    /// ```
    #[must_use]
    pub fn keep_alive(&self) -> Option<bool> {
        self.shared.lock().keeps_alive
    }

    /// The last limits that the library passed to [`Library::limit`]. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::Limits;
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// state.library().limit(Limits::new().items(16)).unwrap();
    /// assert_eq!(state.limits(), Some(Limits::new().items(16)));
    /// ```
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.shared.lock().limits
    }

    /// Whether the library is registered. It is registered until it [unregisters](Library::unregister) or the state
    /// closes. [any-thread]
    ///
    /// ```
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// assert!(state.is_registered());
    /// state.library().unregister().unwrap();
    /// assert!(!state.is_registered());
    /// ```
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.shared.lock().is_registered
    }

    /// Closes the state. Queued deliveries are dropped, requests without an answer end with
    /// [`RequestError::Closed`](crate::RequestError::Closed), and all later calls are refused. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{testing::TestState, DeliverError};
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// state.close();
    /// assert_eq!(library.deliver(&callback, 1).unwrap_err().reason, DeliverError::Unregistered);
    /// ```
    pub fn close(&self) {
        self.shared.leave();
    }
}

/// A call that Lua would make: a function and its arguments. A request that is dropped without an answer fails with
/// [`RequestError::Collected`](crate::RequestError::Collected).
///
/// ```
/// # use dss_abi_v2::{testing::TestState, Value};
/// # let state = TestState::new();
/// # let (library, callback) = (state.library(), state.callback());
/// library.deliver_keyed(&callback, "a.txt", ("a.txt", 3)).unwrap();
/// let call = state.take().remove(0);
/// assert_eq!(call.callback, callback);
/// assert_eq!(call.values, [Value::from("a.txt"), Value::from(3)]);
/// assert_eq!(call.key, b"a.txt");
/// assert!(!call.is_request);
/// ```
#[must_use = "a request that is dropped is not answered"]
pub struct Call {
    /// The function.
    pub callback: Callback,
    /// The values.
    pub values: Vec<Value>,
    /// The key of [`Library::deliver_keyed`], or empty.
    pub key: Vec<u8>,
    /// Identifies the delivery or request.
    pub ticket: Ticket,
    /// Whether it is a request.
    pub is_request: bool,
    reply: Reply,
}

/// The reply function of a request. For a plain delivery it does nothing. Dropping it is as if Lua collected it.
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
    /// Answers a request. Returns false if the request is over, or if this is a plain delivery. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{testing::TestState, Deadline};
    /// use std::{thread, time::Duration};
    ///
    /// let state = TestState::elsewhere();
    /// let (library, callback) = (state.library(), state.callback());
    /// let asking = thread::spawn(move || library.request::<String>(&callback, "name?", Deadline::none()));
    /// assert!(state.next(Duration::from_secs(20)).unwrap().answer("Ada"));
    /// assert_eq!(asking.join().unwrap().unwrap(), "Ada");
    /// ```
    ///
    /// # Panics
    /// Lua cannot have one of the values.
    pub fn answer(self, values: impl IntoValues) -> bool {
        let mut held = Values::new(self.reply.service);
        values.into_values(&mut held);
        let values = held.into_results().unwrap_or_else(|error| panic!("the answer is invalid: {}", error));
        self.reply.shared.complete(self.ticket.0, ENDED_ANSWERED, values, "")
    }

    /// Answers a request with a Lua error. Returns false as [`Self::answer`] does. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{testing::TestState, Deadline};
    /// # use std::{thread, time::Duration};
    /// # let state = TestState::elsewhere();
    /// # let (library, callback) = (state.library(), state.callback());
    /// let asking = thread::spawn(move || library.request::<String>(&callback, "name?", Deadline::none()));
    /// assert!(state.next(Duration::from_secs(20)).unwrap().fail("no name"));
    /// let error = asking.join().unwrap().unwrap_err();
    /// assert_eq!(error.to_string(), "the Lua function failed: no name");
    /// ```
    pub fn fail(self, message: &str) -> bool {
        self.reply.shared.complete(self.ticket.0, ENDED_FAILED, RVec::new(), message)
    }
}
