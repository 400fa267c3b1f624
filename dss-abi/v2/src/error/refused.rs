//! The errors of deliveries, of requests, and of a library's other calls.

use std::fmt;

use super::ValueError;
use crate::any::Value;
use crate::contract::Code;

/// Why a delivery was refused.
///
/// ```
/// use dss_abi_v2::{Callback, DeliverError, Library};
///
/// /// Whether to go on delivering.
/// fn report(library: &Library, callback: &Callback, line: &str) -> bool {
///     match library.deliver(callback, line) {
///         Ok(_) => true,
///         Err(refused) => match refused.reason {
///             DeliverError::Unregistered | DeliverError::Closing => false,
///             DeliverError::InvalidCallback => false,
///             _ => true, // this line is lost
///         },
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliverError {
    /// The library is no longer registered, or its state is closed.
    Unregistered,
    /// The state is closing.
    Closing,
    /// There is no memory for the item, or no thread for its deadlines.
    OutOfMemory,
    /// The call would wait for the Lua thread on the Lua thread.
    WouldDeadlock,
    /// The queue is full.
    Full,
    /// The delivery waited for room under [`Policy::Wait`](crate::Policy::Wait), and there was none in time.
    TimedOut,
    /// The callback's state has closed, or the callback belongs to another state.
    InvalidCallback,
    /// Lists and maps are nested too deep.
    TooDeep,
    /// The item alone is larger than the library's limit in bytes, or than 4 GiB.
    TooLarge,
    /// One of the values cannot go to Lua.
    Value(ValueError),
    /// A reason that this version of the crate does not know.
    Other(u32),
}

impl From<Code> for DeliverError {
    fn from(code: Code) -> Self {
        match code {
            Code::INVALID_HANDLE => DeliverError::Unregistered,
            Code::STOPPING => DeliverError::Closing,
            Code::OUT_OF_MEMORY => DeliverError::OutOfMemory,
            Code::WOULD_DEADLOCK => DeliverError::WouldDeadlock,
            Code::FULL => DeliverError::Full,
            Code::TIMED_OUT => DeliverError::TimedOut,
            Code::INVALID_CALLBACK => DeliverError::InvalidCallback,
            Code::TOO_DEEP => DeliverError::TooDeep,
            Code::TOO_LARGE => DeliverError::TooLarge,
            Code(other) => DeliverError::Other(other),
        }
    }
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeliverError::Unregistered => {
                "the library is not registered in that Lua state any more: stop delivering to it"
            }
            DeliverError::Closing => "the Lua state is closing: stop delivering to it",
            DeliverError::OutOfMemory => "there is no memory for another item: try again later",
            DeliverError::WouldDeadlock => WOULD_DEADLOCK,
            DeliverError::Full => "the library's queue is full: try again when Lua has taken some items",
            DeliverError::TimedOut => {
                "the queue had no room for the item in time: Lua takes items too slowly"
            }
            DeliverError::InvalidCallback => {
                "the callback is dead, because its Lua state has closed, or it belongs to another state"
            }
            DeliverError::TooDeep => "lists and maps are nested too deep",
            DeliverError::TooLarge => "the item alone is larger than the limit of the library's queue",
            DeliverError::Value(error) => return write!(f, "a value cannot be passed to Lua: {}", error),
            DeliverError::Other(code) => {
                return write!(
                    f,
                    "DSS refused the item for reason {}, which this library is too old to know",
                    code
                )
            }
        })
    }
}

impl std::error::Error for DeliverError {}

/// A refused delivery: the reason and the values.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # use dss_abi_v2::{testing::TestState, DeliverError, Rest, Value};
/// # let state = TestState::new();
/// # let (library, callback) = (state.library(), state.callback());
/// state.refuse(DeliverError::Full);
/// let refused = library.deliver(&callback, ("line", 7)).unwrap_err();
/// assert_eq!(refused.reason, DeliverError::Full);
/// assert_eq!(refused.values, [Value::from("line"), Value::from(7)]);
///
/// state.accept();
/// library.deliver(&callback, Rest(refused.values)).unwrap(); // once more
/// # }
/// ```
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Refused {
    /// The reason.
    pub reason: DeliverError,
    /// The values of the delivery. A value that cannot go to Lua (see [`DeliverError::Value`]) is nil here, and so
    /// are tables nested more than twice as deep as allowed.
    pub values: Vec<Value>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refused {}

/// Which [deadline](crate::Deadline) of a request was over.
///
/// ```
/// use dss_abi_v2::{Phase, RequestError};
///
/// fn is_lua_busy(error: &RequestError) -> bool {
///     matches!(error, RequestError::TimedOut(Phase::Start))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The deadline to start: Lua had not begun with the request.
    Start,
    /// The deadline to finish: Lua had not answered.
    Finish,
}

/// The error that a Lua function raised. Its text is the message, followed by the traceback.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # use dss_abi_v2::{testing::TestState, Deadline, RequestError};
/// # let state = TestState::elsewhere();
/// # let library = state.library();
/// let function = state.answering(|_| Err("no such user".into()));
/// let answer: Result<u32, _> = library.request(&function, "Ada", Deadline::none());
/// match answer {
///     Err(RequestError::Failed(failure)) => assert_eq!(failure.message, "no such user"),
///     other => panic!("{:?}", other),
/// }
/// # }
/// ```
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// The raised message, such as `script.lua:7: no such user`. A value that is not a string is converted with
    /// `tostring`.
    pub message: String,
    /// The traceback, in lines. It is empty if there was no memory for it, or if nothing was called yet.
    pub traceback: String,
    /// The raised value, if it is not a string and a library can have it, such as a table.
    pub value: Option<Value>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.traceback.is_empty() {
            return Ok(());
        }
        write!(f, "\n{}", self.traceback)
    }
}

/// Why a request has no answer.
///
/// ```
/// use dss_abi_v2::{Callback, Deadline, Library, RequestError};
/// use std::time::Duration;
///
/// /// Whether Lua allows it; no answer in time is a no.
/// fn is_allowed(library: &Library, callback: &Callback, user: &str) -> Result<bool, RequestError> {
///     match library.request(callback, user, Deadline::within(Duration::from_secs(1))) {
///         Err(RequestError::TimedOut(_)) => Ok(false),
///         answer => answer,
///     }
/// }
/// ```
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum RequestError {
    /// The request was refused.
    Refused(Refused),
    /// The request would wait for Lua on the Lua thread. Contains the values of the request.
    WouldDeadlock(Vec<Value>),
    /// The Lua function raised an error.
    Failed(Failure),
    /// The reply function was collected without being called.
    Collected,
    /// A deadline was over.
    TimedOut(Phase),
    /// The library cancelled the request, with [`Library::cancel`](crate::Library::cancel).
    Cancelled,
    /// The library was unregistered, or the state closed.
    Closed,
    /// The request was dropped to make room for a later item, under
    /// [`Policy::DropOldest`](crate::Policy::DropOldest).
    Dropped,
    /// The answer has the wrong type.
    Answer(ValueError),
    /// The request ended in a way that this version of the crate does not know.
    Other(u32),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestError::Refused(refused) => return refused.fmt(f),
            RequestError::WouldDeadlock(_) => WOULD_DEADLOCK,
            RequestError::Failed(failure) => return write!(f, "the Lua function failed: {}", failure),
            RequestError::Collected => "Lua dropped the deferred reply without calling it",
            RequestError::TimedOut(Phase::Start) => "Lua did not start the request in time",
            RequestError::TimedOut(Phase::Finish) => "Lua did not answer the request in time",
            RequestError::Cancelled => "the library cancelled the request",
            RequestError::Closed => {
                "the library was unregistered or the Lua state closed before Lua answered"
            }
            RequestError::Dropped => "the request was dropped from the queue to make room for a later item",
            RequestError::Answer(error) => return write!(f, "Lua's answer does not fit: {}", error),
            RequestError::Other(ended) => {
                return write!(f, "the request ended in way {}, which this library is too old to know", ended)
            }
        })
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RequestError::Refused(refused) => Some(&refused.reason),
            RequestError::Answer(error) => Some(error),
            _ => None,
        }
    }
}

const WOULD_DEADLOCK: &str =
    "waiting for Lua on the Lua thread would never end: deliver without waiting, await a future, or use another thread";

/// Why [`Library::limit`](crate::Library::limit), [`Library::keep_alive`](crate::Library::keep_alive),
/// [`Library::hold`](crate::Library::hold) or [`Library::unregister`](crate::Library::unregister) failed.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # let library = dss_abi_v2::testing::TestState::new().library();
/// use dss_abi_v2::{LibraryError, Limits};
///
/// assert_eq!(library.limit(Limits::new().items(0)), Err(LibraryError::Malformed));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LibraryError {
    /// The library is not registered, or another thread is unregistering it.
    Unregistered,
    /// The state is closing.
    Closing,
    /// The limits are invalid: DSS does not know the policy, or there is no room for one item.
    Malformed,
    /// A reason that this version of the crate does not know.
    Other(u32),
}

impl From<Code> for LibraryError {
    fn from(code: Code) -> Self {
        match code {
            Code::INVALID_HANDLE => LibraryError::Unregistered,
            Code::STOPPING => LibraryError::Closing,
            Code::MALFORMED => LibraryError::Malformed,
            Code(other) => LibraryError::Other(other),
        }
    }
}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LibraryError::Unregistered => {
                "the library is not registered in that Lua state any more, or is being unregistered by another thread"
            }
            LibraryError::Closing => "the Lua state is closing",
            LibraryError::Malformed => "the limits are invalid: allow at least one item",
            LibraryError::Other(code) => {
                return write!(f, "DSS refused that for reason {}, which this library is too old to know", code)
            }
        })
    }
}

impl std::error::Error for LibraryError {}
