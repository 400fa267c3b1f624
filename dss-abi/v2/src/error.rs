//! The errors of each operation.

use std::borrow::Cow;
use std::fmt;

use abi_stable::std_types::{RBox, RVec};

use crate::any::Value;
use crate::contract::{Code, ServiceObject};
use crate::deep::too_deep;
use crate::into_value::IntoValue;
use crate::value::{RawValue, MAX_DEPTH};

/// Why a function of the library failed: what Lua is to raise, as a rule a sentence. Made from any error or text, with `?` or
/// `into`.
///
/// ```
/// fn port(text: String) -> dss_abi_v2::Result<u16> {
///     if text.is_empty() {
///         return Err("a port must not be empty".into());
///     }
///     Ok(text.parse()?)
/// }
/// assert_eq!(port("x".to_owned()).unwrap_err().as_str(), "invalid digit found in string");
/// ```
#[derive(Debug, PartialEq)]
pub struct Error {
    sentence: String,
    /// What is raised in place of the sentence.
    value: Option<Box<Value>>,
}

/// What a function of the library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of that sentence. [any-thread]
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Error { sentence: sentence.into(), value: None }
    }

    /// An error that is any value of Lua's, a table for one: `pcall` gives that. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{Error, IntoValue};
    /// #[derive(IntoValue)]
    /// struct Refusal {
    ///     code: u16,
    ///     reason: &'static str,
    /// }
    /// let error = Error::of(Refusal { code: 404, reason: "no such user" });
    /// assert_eq!(error.as_str(), "(a table)");
    /// ```
    #[must_use]
    pub fn of(value: impl IntoValue) -> Self {
        match value.into_value() {
            Ok(Value::Bytes(bytes)) => Error::new(String::from_utf8_lossy(&bytes)),
            Ok(value) if value.is_deeper_than(MAX_DEPTH) => {
                value.discard();
                Error::from(too_deep())
            }
            Ok(value) => Error { sentence: format!("({})", value.kind()), value: Some(Box::new(value)) },
            Err(error) => Error::from(error),
        }
    }

    /// The sentence; of a value that is none, what kind of value it is. [any-thread]
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.sentence
    }

    /// What is raised, as it crosses the boundary.
    pub(crate) fn into_raw(self, service: &'static ServiceObject) -> RawValue {
        let value = self.value.map_or_else(|| Value::from(self.sentence), |value| *value);
        match value.into_raw(service) {
            Ok(raw) => raw,
            Err((error, _)) => RawValue::Bytes(RBox::new(RVec::from(error.to_string().into_bytes()))),
        }
    }
}

// `Error` itself is not `Display`, so that this does not meet the reflexive `From`.
impl<E: fmt::Display> From<E> for Error {
    fn from(error: E) -> Self {
        Error::new(error.to_string())
    }
}

/// Why a value is not what was wanted.
#[derive(Clone, PartialEq, Eq)]
pub struct ValueError(Box<Mismatch>);

#[derive(Clone, PartialEq, Eq)]
struct Mismatch {
    /// Where in a list, a map or a struct, from the outside in.
    path: String,
    wanted: Cow<'static, str>,
    /// What was found; none where `wanted` is the whole sentence.
    found: Option<Cow<'static, str>>,
}

impl ValueError {
    /// A value that is something else: `wanted a string, found a number`. [any-thread]
    #[must_use]
    pub fn new(wanted: impl Into<Cow<'static, str>>, found: impl Into<Cow<'static, str>>) -> Self {
        ValueError(Box::new(Mismatch {
            path: String::new(),
            wanted: wanted.into(),
            found: Some(found.into()),
        }))
    }

    /// An error of any other sentence. [any-thread]
    #[must_use]
    pub fn message(sentence: impl Into<Cow<'static, str>>) -> Self {
        ValueError(Box::new(Mismatch { path: String::new(), wanted: sentence.into(), found: None }))
    }

    /// The same error, of a value inside another: `field 'port': wanted ...`. [any-thread]
    #[must_use]
    pub fn inside(mut self, place: impl fmt::Display) -> Self {
        self.0.path = format!("{}: {}", place, self.0.path);
        self
    }

    /// The same error, where there was no value at all in place of a nil. [any-thread]
    #[must_use]
    pub(crate) fn of_nothing(mut self) -> Self {
        if self.0.path.is_empty() && self.0.found.is_some() {
            self.0.found = Some("nothing".into());
        }
        self
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.found {
            Some(found) => write!(f, "{}wanted {}, found {}", self.0.path, self.0.wanted, found),
            None => write!(f, "{}{}", self.0.path, self.0.wanted),
        }
    }
}

impl fmt::Debug for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueError({:?})", self.to_string())
    }
}

impl std::error::Error for ValueError {}

/// Why a delivery was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliverError {
    /// The library is not registered any more, or its state is closed.
    Unregistered,
    /// The state is closing.
    Closing,
    /// There is no memory for the item, or no thread for its deadlines.
    OutOfMemory,
    /// Waiting on the Lua thread for the Lua thread.
    WouldDeadlock,
    /// The library has as much queued as it may.
    Full,
    /// There was no room while the delivery waited for it, under [`Policy::Wait`](crate::Policy::Wait).
    TimedOut,
    /// The callback is dead, for its state has closed; or it is another state's.
    InvalidCallback,
    /// Lists and maps lie too deep within each other.
    TooDeep,
    /// The item alone is more than the library's bound in bytes, or 4 GiB.
    TooLarge,
    /// One of the values cannot go to Lua.
    Value(ValueError),
    /// A reason that this version of the crate has no word for.
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
            DeliverError::Full => {
                "the library has as much queued as it may: try again when Lua has taken some"
            }
            DeliverError::TimedOut => "the queue had no room for the item in time: Lua takes too few",
            DeliverError::InvalidCallback => {
                "the callback is dead, for its Lua state has closed, or it is another state's"
            }
            DeliverError::TooDeep => "lists and maps lie too deep within each other",
            DeliverError::TooLarge => "the item alone is more than the library may have queued",
            DeliverError::Value(error) => return write!(f, "a value cannot go to Lua: {}", error),
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

/// A delivery that was refused, and why.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Refused {
    /// The reason.
    pub reason: DeliverError,
    /// The values, as they were; with nil in the place of one that is none of Lua's
    /// (see [`DeliverError::Value`]), and of tables that lie more than twice as deep as may be.
    pub values: Vec<Value>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Refused {}

/// Which deadline of a request was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The one to start: Lua had not begun.
    Start,
    /// The one to finish.
    Finish,
}

/// The error that a Lua function raised. Its text is the message and then the traceback.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub struct Failure {
    /// What was raised: `script.lua:7: no such user`; what is no string, as `tostring` has it.
    pub message: String,
    /// Where, in lines; empty where there was no memory for one, or nothing was called yet.
    pub traceback: String,
    /// What was raised, where it is no string and a library can be given it: a table, for one.
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
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum RequestError {
    /// It was refused, and nothing of it was touched.
    Refused(Refused),
    /// It would wait for Lua on the Lua thread. The values, as they were.
    WouldDeadlock(Vec<Value>),
    /// The Lua function raised an error.
    Failed(Failure),
    /// Lua dropped the deferred reply uncalled.
    Collected,
    /// A deadline was over.
    TimedOut(Phase),
    /// The library cancelled it, with [`Library::cancel`](crate::Library::cancel).
    Cancelled,
    /// The library was unregistered, or the state closed.
    Closed,
    /// It made room for a later item, under [`Policy::DropOldest`](crate::Policy::DropOldest).
    Dropped,
    /// Lua answered with other values than were asked for.
    Answer(ValueError),
    /// A way in which this version of the crate knows no request to end.
    Other(u32),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestError::Refused(refused) => return refused.fmt(f),
            RequestError::WouldDeadlock(_) => WOULD_DEADLOCK,
            RequestError::Failed(failure) => return write!(f, "the Lua function failed: {}", failure),
            RequestError::Collected => "Lua dropped the deferred reply uncalled",
            RequestError::TimedOut(Phase::Start) => "Lua did not begin with the request in time",
            RequestError::TimedOut(Phase::Finish) => "Lua did not answer the request in time",
            RequestError::Cancelled => "the request was cancelled by its library",
            RequestError::Closed => {
                "the library was unregistered or the Lua state closed before Lua answered"
            }
            RequestError::Dropped => "the request was dropped from the queue, for a later item",
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

/// Why a call about the library itself was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LibraryError {
    /// It is not registered, or another thread is unregistering it.
    Unregistered,
    /// The state is closing.
    Closing,
    /// The limits are none: a policy that DSS does not know, or no room for an item.
    Malformed,
    /// A reason that this version of the crate has no word for.
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
            LibraryError::Malformed => "DSS can make nothing of these limits: give room for one item at least",
            LibraryError::Other(code) => {
                return write!(f, "DSS refused that for reason {}, which this library is too old to know", code)
            }
        })
    }
}

impl std::error::Error for LibraryError {}
