//! The errors of each operation.

use std::fmt;

use crate::contract::Code;
use crate::library::Library;

/// How a delivery that was taken stands with its notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Announced {
    /// A notification is on its way, or none is wanted.
    Yes,
    /// The item was taken; the notification could not be sent, and the next deliver will try again.
    Failed,
}

impl Announced {
    pub(crate) fn new(announced: bool) -> Self {
        if announced {
            Announced::Yes
        } else {
            Announced::Failed
        }
    }
}

/// Why a delivery was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliverError {
    /// The library is not registered any more, or its state is closed.
    Unregistered,
    /// The state is closing.
    Closing,
    /// There is no memory for the item.
    OutOfMemory,
    /// Waiting on the Lua thread for the Lua thread.
    WouldDeadlock,
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
            Code(other) => DeliverError::Other(other),
        }
    }
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliverError::Unregistered => {
                f.write_str("the library is not registered in that Lua state any more: stop delivering to it")
            }
            DeliverError::Closing => f.write_str("the Lua state is closing: stop delivering to it"),
            DeliverError::OutOfMemory => f.write_str("there is no memory for another item: try again later"),
            DeliverError::WouldDeadlock => f.write_str(
                "waiting for Lua on the Lua thread would never end: deliver without waiting, or from another thread",
            ),
            DeliverError::Other(code) => {
                write!(f, "DSS refused the item for reason {}, which this library is too old to know", code)
            }
        }
    }
}

impl std::error::Error for DeliverError {}

/// Why a library was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// It is registered in that state already; this is what it is registered as.
    Already(Library),
    /// DSS was not required in that Lua state.
    NotRequired,
    /// The state is closing or closed.
    Closing,
    /// The state has no room for another library.
    Full,
    /// No such library is registered in that state; from `Dss::find` alone.
    Unknown,
    /// A reason that this version of the crate has no word for.
    Other(u32),
}

impl From<Code> for RegisterError {
    fn from(code: Code) -> Self {
        match code {
            Code::NOT_REQUIRED => RegisterError::NotRequired,
            Code::STOPPING => RegisterError::Closing,
            Code::OUT_OF_MEMORY => RegisterError::Full,
            Code::UNKNOWN_LIBRARY => RegisterError::Unknown,
            Code(other) => RegisterError::Other(other),
        }
    }
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegisterError::Already(_) => f.write_str("the library is registered in this Lua state already"),
            RegisterError::NotRequired => {
                f.write_str("DSS is not loaded in this Lua state: call `require \"darksidesync\"` first")
            }
            RegisterError::Closing => {
                f.write_str("the Lua state is closing: nothing can register in it any more")
            }
            RegisterError::Full => {
                f.write_str("the Lua state has no room for another library: unregister one first")
            }
            RegisterError::Unknown => {
                f.write_str("the library is not registered in this Lua state: register it first")
            }
            RegisterError::Other(code) => {
                write!(
                    f,
                    "DSS refused the library for reason {}, which this library is too old to know",
                    code
                )
            }
        }
    }
}

impl std::error::Error for RegisterError {}

/// Why a library was not unregistered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnregisterError {
    /// It is not registered, or another thread is at it.
    Unregistered,
    /// A reason that this version of the crate has no word for.
    Other(u32),
}

impl From<Code> for UnregisterError {
    fn from(code: Code) -> Self {
        match code {
            Code::INVALID_HANDLE => UnregisterError::Unregistered,
            Code(other) => UnregisterError::Other(other),
        }
    }
}

impl fmt::Display for UnregisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnregisterError::Unregistered => f.write_str(
                "the library is not registered in that Lua state any more, or is being unregistered by another thread",
            ),
            UnregisterError::Other(code) => {
                write!(f, "DSS refused to unregister for reason {}, which this library is too old to know", code)
            }
        }
    }
}

impl std::error::Error for UnregisterError {}

/// Why a decode or a reply failed: a sentence for Lua. Made from any error or text, with `?` or `into`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// The sentence.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// `Failure` itself is not `Display`, so that this does not meet the reflexive `From`.
impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.to_string())
    }
}
