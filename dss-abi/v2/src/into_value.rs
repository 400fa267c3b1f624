//! From Rust's types to values.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::any::Value;
use crate::call::Uses;
use crate::callback::Callback;
use crate::error::ValueError;
use crate::object::AnyObject;

/// A type that converts to a Lua value.
///
/// | Rust | Lua |
/// |---|---|
/// | `bool` | a boolean |
/// | integers | an integer; one that `i64` cannot hold is an error |
/// | `f32`, `f64` | a float |
/// | `&str`, `String`, `Cow<str>` | a string |
/// | [`Bytes`] | a string |
/// | `&Path`, `PathBuf` | a string |
/// | `Duration` | a float, in seconds |
/// | `Vec<T>`, arrays | a list; a `Vec<u8>` is a list of numbers, and [`Bytes`] is a string |
/// | `HashMap`, `BTreeMap`, structs that derive the trait | a table |
/// | `Option` | the value, or nil |
/// | [`Nil`] | nil; `()` is no value |
/// | [`Callback`] | the function |
/// | an [object](crate::Object) | a userdata |
///
/// `#[derive(IntoValue)]` implements it for a struct with named fields. You can also implement it by hand:
///
/// ```
/// use dss_abi_v2::{IntoValue, Value, ValueError};
///
/// struct Version(u8, u8);
///
/// impl IntoValue for Version {
///     fn into_value(self) -> Result<Value, ValueError> {
///         format!("{}.{}", self.0, self.1).into_value()
///     }
/// }
///
/// assert_eq!(Version(2, 1).into_value(), Ok(Value::from("2.1")));
/// ```
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be made into a Lua value",
        label = "`{Self}` does not implement `IntoValue`",
        note = "these can: `bool`, numbers, `String`, `&str`, `Bytes` for any bytes, `PathBuf`, `Duration`, `Callback`, `Nil`, `Value`; an `Option`, `Vec`, array or map of these",
        note = "a struct becomes a table with `#[derive(IntoValue)]`, and an object with methods with `object!`"
    )
)]
pub trait IntoValue {
    /// Converts to a value. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{IntoValue, Value};
    ///
    /// let list = vec![Some("a"), None].into_value();
    /// assert_eq!(list, Ok(Value::List(vec![Value::from("a"), Value::Nil])));
    /// assert!(u64::MAX.into_value().is_err());
    /// ```
    ///
    /// # Errors
    /// Lua cannot have such a value.
    fn into_value(self) -> Result<Value, ValueError>;

    /// Adds the classes of the objects in the value, if the type names them.
    #[doc(hidden)]
    fn uses(_: &mut Uses)
    where
        Self: Sized,
    {
    }
}

/// Lua's `nil`. Use it for a nil before other values, as in `(Nil, "no such file")`. `()` is not nil: it is no value.
///
/// ```
/// use dss_abi_v2::{IntoValues, Library, Nil};
///
/// fn find(_: &Library, name: String) -> (Nil, String) {
///     (Nil, format!("no such file: {}", name)) // in Lua: nil, "no such file: x"
/// }
/// # fn is_fit<T: IntoValues>(_: fn(&Library, String) -> T) {}
/// # is_fit(find);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nil;

/// A Lua string of any bytes, UTF-8 or not. As a parameter or a result, `Vec<u8>` is a list of numbers; use this for
/// a string.
///
/// ```
/// use dss_abi_v2::{Bytes, Library, Result};
///
/// fn read(_: &Library, path: String) -> Result<Bytes> {
///     Ok(Bytes(std::fs::read(path)?))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(
    /// The bytes.
    pub Vec<u8>,
);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Bytes(bytes.to_vec())
    }
}

impl From<Bytes> for Vec<u8> {
    fn from(bytes: Bytes) -> Self {
        bytes.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Implements `From` and `IntoValue` for types that always convert.
macro_rules! always {
    ($($type:ty: $this:ident => $value:expr;)+) => {$(
        impl From<$type> for Value {
            #[inline]
            fn from($this: $type) -> Self {
                $value
            }
        }

        impl IntoValue for $type {
            #[inline]
            fn into_value(self) -> Result<Value, ValueError> {
                Ok(Value::from(self))
            }
        }
    )+};
}

always! {
    bool: this => Value::Boolean(this);
    i8: this => Value::Integer(this.into());
    i16: this => Value::Integer(this.into());
    i32: this => Value::Integer(this.into());
    i64: this => Value::Integer(this);
    u8: this => Value::Integer(this.into());
    u16: this => Value::Integer(this.into());
    u32: this => Value::Integer(this.into());
    f32: this => Value::Float(this.into());
    f64: this => Value::Float(this);
    &str: this => Value::Bytes(this.as_bytes().to_vec());
    String: this => Value::Bytes(this.into_bytes());
    Cow<'_, str>: this => Value::Bytes(this.into_owned().into_bytes());
    Bytes: this => Value::Bytes(this.0);
    Duration: this => Value::Float(this.as_secs_f64());
    Callback: this => Value::Callback(this);
    AnyObject: this => Value::Object(this);
    Nil: _nil => Value::Nil;
}

/// Implements `TryFrom` and `IntoValue` for integers that `i64` may not hold.
macro_rules! fitting {
    ($($type:ty)+) => {$(
        impl TryFrom<$type> for Value {
            type Error = ValueError;

            #[inline]
            fn try_from(number: $type) -> Result<Self, ValueError> {
                i64::try_from(number).map(Value::Integer).map_err(|_| {
                    ValueError::new("a signed 64-bit integer", number.to_string())
                })
            }
        }

        impl IntoValue for $type {
            #[inline]
            fn into_value(self) -> Result<Value, ValueError> {
                Value::try_from(self)
            }
        }
    )+};
}

fitting!(u64 u128 usize i128 isize);

impl IntoValue for Value {
    #[inline]
    fn into_value(self) -> Result<Value, ValueError> {
        Ok(self)
    }
}

impl IntoValue for &Path {
    fn into_value(self) -> Result<Value, ValueError> {
        self.to_path_buf().into_value()
    }
}

#[cfg(unix)]
impl IntoValue for PathBuf {
    fn into_value(self) -> Result<Value, ValueError> {
        use std::os::unix::ffi::OsStringExt;
        Ok(Value::Bytes(self.into_os_string().into_vec()))
    }
}

#[cfg(not(unix))]
impl IntoValue for PathBuf {
    fn into_value(self) -> Result<Value, ValueError> {
        match self.into_os_string().into_string() {
            Ok(text) => Ok(Value::from(text)),
            Err(text) => Err(ValueError::new("a path in Unicode", format!("{:?}", text))),
        }
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    fn into_value(self) -> Result<Value, ValueError> {
        self.map_or(Ok(Value::Nil), T::into_value)
    }

    fn uses(found: &mut Uses) {
        T::uses(found);
    }
}

fn list<T: IntoValue>(items: impl Iterator<Item = T>) -> Result<Value, ValueError> {
    let mut values = Vec::with_capacity(items.size_hint().0);
    for (at, item) in items.enumerate() {
        match item.into_value() {
            Ok(value) => values.push(value),
            Err(error) => {
                Value::List(values).discard();
                return Err(error.inside(format_args!("item {}", at + 1)));
            }
        }
    }
    Ok(Value::List(values))
}

fn map<K: IntoValue, V: IntoValue>(entries: impl Iterator<Item = (K, V)>) -> Result<Value, ValueError> {
    let mut values = Vec::with_capacity(entries.size_hint().0);
    let entry = |key: K, value: V| {
        let key = key.into_value().map_err(|error| error.inside("a key"))?;
        match value.into_value() {
            Ok(value) => Ok((key, value)),
            Err(error) => {
                let error = error.inside(format_args!("field {}", key.as_place()));
                key.discard();
                Err(error)
            }
        }
    };
    for (key, value) in entries {
        match entry(key, value) {
            Ok(entry) => values.push(entry),
            Err(error) => {
                Value::Map(values).discard();
                return Err(error);
            }
        }
    }
    Ok(Value::Map(values))
}

impl<T: IntoValue> IntoValue for Vec<T> {
    fn into_value(self) -> Result<Value, ValueError> {
        list(self.into_iter())
    }

    fn uses(found: &mut Uses) {
        T::uses(found);
    }
}

impl<T: IntoValue, const N: usize> IntoValue for [T; N] {
    fn into_value(self) -> Result<Value, ValueError> {
        list(self.into_iter())
    }

    fn uses(found: &mut Uses) {
        T::uses(found);
    }
}

impl<K: IntoValue, V: IntoValue, S> IntoValue for HashMap<K, V, S> {
    fn into_value(self) -> Result<Value, ValueError> {
        map(self.into_iter())
    }

    fn uses(found: &mut Uses) {
        K::uses(found);
        V::uses(found);
    }
}

impl<K: IntoValue, V: IntoValue> IntoValue for BTreeMap<K, V> {
    fn into_value(self) -> Result<Value, ValueError> {
        map(self.into_iter())
    }

    fn uses(found: &mut Uses) {
        K::uses(found);
        V::uses(found);
    }
}
