//! From values to Rust's types.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::path::PathBuf;
use std::time::Duration;

use crate::any::Value;
use crate::callback::Callback;
use crate::deep::Taken;
use crate::error::ValueError;
use crate::into_value::{Bytes, Nil};

/// A type that a Lua value converts to. The table at [`IntoValue`](crate::IntoValue) lists the types; read it from
/// right to left.
///
/// A whole float up to 2^53 converts to an integer type, and an integer that a float can hold converts to a float
/// type. There are no other conversions between kinds: a number is not a string, and nil is not `false`.
///
/// `#[derive(FromValue)]` implements it for a struct with named fields. You can also implement it by hand:
///
/// ```
/// use dss_abi_v2::{FromValue, Library, Value, ValueError};
///
/// enum Colour {
///     Red,
///     Green,
/// }
///
/// impl FromValue for Colour {
///     fn from_value(value: Value) -> Result<Self, ValueError> {
///         match &String::from_value(value)?[..] {
///             "red" => Ok(Colour::Red),
///             "green" => Ok(Colour::Green),
///             other => Err(ValueError::new("'red' or 'green'", format!("'{}'", other))),
///         }
///     }
/// }
///
/// fn paint(_: &Library, colour: Colour) {
///     // ...
/// #   let _ = colour;
/// }
/// ```
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be made from a Lua value",
        label = "`{Self}` does not implement `FromValue`",
        note = "these can: `bool`, numbers, `String`, `Bytes` for any bytes, `PathBuf`, `Duration`, `Callback`, `Nil`, `Value`; an `Option`, `Vec`, array or map of these; a struct with `#[derive(FromValue)]`",
        note = "only objects can be borrowed from Lua: take `String`, not `&str`, and `Callback`, not `&Callback`",
        note = "for a type with `object!`, take `ObjectRef<T>`; for any number of arguments, take `Rest` as the last parameter"
    )
)]
pub trait FromValue: Sized {
    /// Converts a value. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{FromValue, Value};
    ///
    /// assert_eq!(u8::from_value(Value::Float(7.0)).unwrap(), 7);
    /// let error = u8::from_value(Value::Integer(256)).unwrap_err();
    /// assert_eq!(error.to_string(), "wanted an integer from 0 to 255, found 256");
    /// ```
    ///
    /// # Errors
    /// The value has the wrong type, or is out of range.
    fn from_value(value: Value) -> Result<Self, ValueError>;
}

macro_rules! from_value {
    ($($type:ty: $value:ident => $made:expr;)+) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self, ValueError> {
                let $value = value.emptied();
                $made
            }
        }

        impl TryFrom<Value> for $type {
            type Error = ValueError;

            fn try_from(value: Value) -> Result<Self, ValueError> {
                Self::from_value(value)
            }
        }
    )+};
}

from_value! {
    bool: value => match value {
        Value::Boolean(value) => Ok(value),
        other => Err(other.unlike("a boolean")),
    };
    f64: value => float(&value);
    f32: value => float(&value).map(|value| value as f32);
    String: value => match value {
        Value::Bytes(bytes) => String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to() + 1;
            ValueError::new("a string in UTF-8", format!("a string with invalid UTF-8 at byte {}", at))
        }),
        other => Err(other.unlike("a string")),
    };
    Bytes: value => match value {
        Value::Bytes(bytes) => Ok(Bytes(bytes)),
        other => Err(other.unlike("a string")),
    };
    PathBuf: value => match value {
        Value::Bytes(bytes) => path(bytes),
        other => Err(other.unlike("a path")),
    };
    Duration: value => {
        let seconds = match value {
            Value::Integer(_) | Value::Float(_) => float(&value)?,
            other => return Err(other.unlike("a number of seconds")),
        };
        // Below 2^64 seconds, which is what a `Duration` can hold.
        if (0.0..18_446_744_073_709_551_616.0).contains(&seconds) {
            Ok(Duration::from_secs_f64(seconds))
        } else {
            Err(ValueError::new("a number of seconds that is not negative", format!("{:?}", seconds)))
        }
    };
    Callback: value => match value {
        Value::Callback(callback) => Ok(callback),
        other => Err(other.unlike("a function")),
    };
    Nil: value => match value {
        Value::Nil => Ok(Nil),
        other => Err(other.unlike("nil")),
    };
}

macro_rules! integers {
    ($($type:ty)+) => {
        from_value! {$(
            $type: value => {
                let number = integer(&value)?;
                <$type>::try_from(number).map_err(|_| {
                    ValueError::new(
                        format!("an integer from {} to {}", <$type>::MIN, <$type>::MAX),
                        number.to_string(),
                    )
                })
            };
        )+}
    };
}

integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

/// The integer that a value is. A whole float is accepted up to 2^53: a larger one may be another integer that a Lua
/// without integers has rounded.
pub(crate) fn integer(value: &Value) -> Result<i64, ValueError> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Integer(number) => Ok(*number),
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT => Ok(*number as i64),
        Value::Float(number) if number.fract() == 0.0 => Err(ValueError::new(
            "an integer",
            format!("{:?}, a float past 2^53, which may be rounded", number),
        )),
        Value::Float(number) => Err(ValueError::new("an integer", format!("{:?}", number))),
        other => Err(other.unlike("an integer")),
    }
}

/// The float that a value is. An integer is accepted if a float can hold it.
pub(crate) fn float(value: &Value) -> Result<f64, ValueError> {
    const PAST: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Float(number) => Ok(*number),
        Value::Integer(number) => {
            let float = *number as f64;
            // The largest integers round up to a float that none of them is.
            if float < PAST && float as i64 == *number {
                Ok(float)
            } else {
                Err(ValueError::new("a number that a float can hold", number.to_string()))
            }
        }
        other => Err(other.unlike("a number")),
    }
}

#[cfg(unix)]
fn path(bytes: Vec<u8>) -> Result<PathBuf, ValueError> {
    use std::os::unix::ffi::OsStringExt;
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> Result<PathBuf, ValueError> {
    String::from_value(Value::Bytes(bytes)).map(PathBuf::from)
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        Ok(value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        match value {
            Value::Nil => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        let items = match value {
            Value::List(items) => items,
            Value::Map(entries) if entries.is_empty() => Vec::new(),
            table @ Value::Map(_) => {
                table.discard();
                return Err(ValueError::new("a list", "a table with other keys"));
            }
            other => return Err(other.unlike("a list")),
        };
        let items = Taken::new(items).enumerate().map(|(at, item)| {
            T::from_value(item).map_err(|error| error.inside(format_args!("item {}", at + 1)))
        });
        items.collect()
    }
}

impl<T: FromValue, const N: usize> FromValue for [T; N] {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        let items = Vec::<T>::from_value(value)?;
        let count = items.len();
        items
            .try_into()
            .map_err(|_| ValueError::new(format!("a list of {} items", N), format!("one of {}", count)))
    }
}

/// The entries of a table or of a list.
pub(crate) fn entries(value: Value) -> Result<Vec<(Value, Value)>, ValueError> {
    match value {
        Value::Map(entries) => Ok(entries),
        Value::List(items) => Ok((1..).zip(items).map(|(at, item)| (Value::Integer(at), item)).collect()),
        other => Err(other.unlike("a table")),
    }
}

fn map<K: FromValue, V: FromValue, M: std::iter::FromIterator<(K, V)>>(
    value: Value,
) -> Result<M, ValueError> {
    let entries = Taken::new(entries(value)?).map(|(key, value)| {
        let place = key.as_place();
        let key = match K::from_value(key) {
            Ok(key) => key,
            Err(error) => {
                value.discard();
                return Err(error.inside(format_args!("key {}", place)));
            }
        };
        let value = V::from_value(value).map_err(|error| error.inside(format_args!("field {}", place)))?;
        Ok((key, value))
    });
    entries.collect()
}

impl<K, V, S> FromValue for HashMap<K, V, S>
where
    K: FromValue + Eq + Hash,
    V: FromValue,
    S: BuildHasher + Default,
{
    fn from_value(value: Value) -> Result<Self, ValueError> {
        map(value)
    }
}

impl<K: FromValue + Ord, V: FromValue> FromValue for BTreeMap<K, V> {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        map(value)
    }
}
