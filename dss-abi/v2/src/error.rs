//! The errors of each operation: of functions and of values here, of what DSS refuses in `refused`.

mod refused;

use std::borrow::Cow;
use std::fmt;

use abi_stable::std_types::{RBox, RVec};

use crate::any::Value;
use crate::contract::ServiceObject;
use crate::deep::too_deep;
use crate::into_value::IntoValue;
use crate::value::{RawValue, MAX_DEPTH};

pub use refused::{DeliverError, Failure, LibraryError, Phase, Refused, RequestError};

/// The Lua error of a function that failed. It is a sentence, or any other value. `?` and `into` make it from any
/// error and any text.
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
    /// The value that Lua raises in place of the sentence.
    value: Option<Box<Value>>,
}

/// The result of a function of the library that can fail.
///
/// ```
/// use dss_abi_v2::{Library, Result};
///
/// fn size(_: &Library, path: String) -> Result<u64> {
///     Ok(std::fs::metadata(path)?.len())
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error from a sentence. [any-thread]
    ///
    /// ```
    /// let error = dss_abi_v2::Error::new("a port must not be empty");
    /// assert_eq!(error.as_str(), "a port must not be empty");
    /// ```
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Self {
        Error { sentence: sentence.into(), value: None }
    }

    /// Makes an error from any value, such as a table. In Lua, `pcall` returns that value. [any-thread]
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

    /// The sentence. For an error that is another value, it says what kind of value. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{Error, Value};
    ///
    /// assert_eq!(Error::of("too late").as_str(), "too late");
    /// assert_eq!(Error::of(Value::Map(Vec::new())).as_str(), "(a table)");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.sentence
    }

    /// The raised value, as it crosses the boundary.
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

/// Why a value could not be converted.
///
/// ```
/// use dss_abi_v2::{FromValue, Value, ValueError};
///
/// /// A number of a port that is not reserved.
/// struct Port(u16);
///
/// impl FromValue for Port {
///     fn from_value(value: Value) -> Result<Self, ValueError> {
///         match u16::from_value(value)? {
///             port @ 1024..=u16::MAX => Ok(Port(port)),
///             other => Err(ValueError::new("a port from 1024 on", other.to_string())),
///         }
///     }
/// }
///
/// let error = Port::from_value(Value::Integer(80)).err().unwrap();
/// assert_eq!(error.to_string(), "wanted a port from 1024 on, found 80");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ValueError(Box<Mismatch>);

#[derive(Clone, PartialEq, Eq)]
struct Mismatch {
    /// The place in a list, a map or a struct, from the outside in.
    path: String,
    wanted: Cow<'static, str>,
    /// What was found. `None` if `wanted` is the whole sentence.
    found: Option<Cow<'static, str>>,
}

impl ValueError {
    /// Makes the error of a value of the wrong kind. [any-thread]
    ///
    /// ```
    /// let error = dss_abi_v2::ValueError::new("a string", "a number");
    /// assert_eq!(error.to_string(), "wanted a string, found a number");
    /// ```
    #[must_use]
    pub fn new(wanted: impl Into<Cow<'static, str>>, found: impl Into<Cow<'static, str>>) -> Self {
        ValueError(Box::new(Mismatch {
            path: String::new(),
            wanted: wanted.into(),
            found: Some(found.into()),
        }))
    }

    /// Makes an error from any other sentence. [any-thread]
    ///
    /// ```
    /// let error = dss_abi_v2::ValueError::message("the list is not sorted");
    /// assert_eq!(error.to_string(), "the list is not sorted");
    /// ```
    #[must_use]
    pub fn message(sentence: impl Into<Cow<'static, str>>) -> Self {
        ValueError(Box::new(Mismatch { path: String::new(), wanted: sentence.into(), found: None }))
    }

    /// Adds the place of the value inside another value. [any-thread]
    ///
    /// ```
    /// let error = dss_abi_v2::ValueError::new("a string", "a number").inside("field 'name'");
    /// assert_eq!(error.to_string(), "field 'name': wanted a string, found a number");
    /// ```
    #[must_use]
    pub fn inside(mut self, place: impl fmt::Display) -> Self {
        self.0.path = format!("{}: {}", place, self.0.path);
        self
    }

    /// The same error, if there was no value and not a nil. [any-thread]
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
