//! The errors of each operation.

use std::fmt;

use crate::contract::Code;
use crate::library::Library;

/// Whether the notification of an accepted delivery was sent.
///
/// ```no_run
/// use dss_abi_v1::{Announced, Failure, Library, LuaState};
///
/// /// Whether Lua learns of the item now.
/// fn wake(library: &Library) -> bool {
///     let nothing = |_: LuaState| -> Result<usize, Failure> { Ok(0) };
///     matches!(library.deliver(nothing), Ok(Announced::Yes))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Announced {
    /// The notification was sent, or none is needed.
    Yes,
    /// The item is queued, but the notification could not be sent. The next delivery tries again.
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
///
/// ```no_run
/// use dss_abi_v1::{DeliverError, Delivery, Library};
///
/// /// Whether to go on delivering.
/// fn send<D: Delivery>(library: &Library, item: D) -> bool {
///     match library.deliver(item) {
///         Ok(_) => true,
///         Err(refused) => refused.reason == DeliverError::OutOfMemory,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliverError {
    /// The library is no longer registered, or its state is closed.
    Unregistered,
    /// The state is closing.
    Closing,
    /// There is no memory for the item.
    OutOfMemory,
    /// The call would wait for the Lua thread on the Lua thread.
    WouldDeadlock,
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
///
/// ```no_run
/// # use std::os::raw::c_void;
/// use dss_abi_v1::{Dss, Library, LibraryId, RegisterError};
///
/// static TICKER: LibraryId = LibraryId::new("ticker");
///
/// /// # Safety
/// /// `lua` is a live state that runs on this thread.
/// unsafe fn open(dss: Dss, lua: *mut c_void) -> Result<Library, RegisterError> {
///     match dss.register(lua, &TICKER, || {}) {
///         Err(RegisterError::Already(library)) => Ok(library),
///         other => other,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The library is registered in that state already. Contains that registration.
    Already(Library),
    /// DSS was not required in that Lua state.
    NotRequired,
    /// The state is closing or closed.
    Closing,
    /// The state has no room for another library.
    Full,
    /// The library is not registered in that state. Only [`Dss::find`](crate::Dss::find) returns it.
    Unknown,
    /// A reason that this version of the crate does not know.
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
///
/// ```no_run
/// use dss_abi_v1::{Library, UnregisterError};
///
/// fn stop(library: Library) -> Result<(), UnregisterError> {
///     match library.unregister() {
///         Err(UnregisterError::Unregistered) => Ok(()), // another thread did it
///         other => other,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnregisterError {
    /// The library is not registered, or another thread is unregistering it.
    Unregistered,
    /// A reason that this version of the crate does not know.
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

/// Why a decode or a reply failed. `?` and `into` make it from any error and any text.
///
/// ```
/// use dss_abi_v1::Failure;
///
/// fn port(text: &str) -> Result<u16, Failure> {
///     if text.is_empty() {
///         return Err("a port must not be empty".into());
///     }
///     Ok(text.parse()?)
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// The sentence that Lua raises.
    ///
    /// ```
    /// let failure = dss_abi_v1::Failure::from("a port must not be empty");
    /// assert_eq!(failure.as_str(), "a port must not be empty");
    /// ```
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
