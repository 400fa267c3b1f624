//! Values of types that implement serde's traits.

mod de;
mod ser;

use std::fmt::Display;
use std::ops::{Deref, DerefMut};

use ::serde::de::{DeserializeOwned, Expected, Unexpected};
use ::serde::Serialize;

use crate::any::Value;
use crate::deep::too_deep;
use crate::error::ValueError;
use crate::from_value::FromValue;
use crate::into_value::IntoValue;
use crate::value::MAX_DEPTH;

/// Converts any type with `Serialize` to a value. [any-thread]
///
/// Structs and maps become tables, and bytes become a string. A variant of an enum becomes its name; if it has
/// content, it becomes a table with its name as the key.
///
/// ```
/// use dss_abi_v2::{to_value, Value};
///
/// let value = to_value(&("Ada", 36)).unwrap();
/// assert_eq!(value, Value::List(vec![Value::from("Ada"), Value::from(36)]));
/// ```
///
/// # Errors
/// The value contains an integer that `i64` cannot hold, is nested too deep, or fails to serialize.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ValueError> {
    value.serialize(ser::Serializer::new())
}

/// Converts a value to any type with `Deserialize`. [any-thread]
///
/// ```
/// use dss_abi_v2::{from_value, Value};
///
/// let value = Value::Map(vec![(Value::from("port"), Value::from(8080))]);
/// let options: std::collections::HashMap<String, u16> = from_value(value).unwrap();
/// assert_eq!(options["port"], 8080);
/// ```
///
/// # Errors
/// The value has the wrong type, or contains a function or an object, which serde does not support. The error says
/// where, like the error of a struct with `#[derive(FromValue)]`.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ValueError> {
    if value.is_deeper_than(MAX_DEPTH) {
        value.discard();
        return Err(too_deep());
    }
    T::deserialize(de::Deserializer(value))
}

/// A parameter or a result of any type that serde supports. It is converted as by [`from_value`] and [`to_value`].
///
/// ```
/// use dss_abi_v2::{Library, Serde};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Deserialize)]
/// struct Options {
///     path: String,
///     depth: Option<u32>,
/// }
///
/// #[derive(Serialize)]
/// enum Found {
///     Nothing,
///     Files(Vec<String>),
/// }
///
/// // find { path = "/tmp", depth = 2 } gives { Files = { ... } } or "Nothing"
/// fn find(_: &Library, Serde(options): Serde<Options>) -> Serde<Found> {
///     Serde(if options.depth == Some(0) { Found::Nothing } else { Found::Files(vec![options.path]) })
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serde<T>(
    /// The inner value.
    pub T,
);

impl<T: DeserializeOwned> FromValue for Serde<T> {
    fn from_value(value: Value) -> Result<Self, ValueError> {
        from_value(value).map(Serde)
    }
}

impl<T: Serialize> IntoValue for Serde<T> {
    fn into_value(self) -> Result<Value, ValueError> {
        to_value(&self.0)
    }
}

impl<T> Deref for Serde<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Serde<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl ::serde::ser::Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        ValueError::message(message.to_string())
    }
}

/// The sentences are those of [`FromValue`].
impl ::serde::de::Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        ValueError::message(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        ValueError::new(wanted.to_string(), kind(found))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        ValueError::new(wanted.to_string(), found.to_string())
    }

    fn invalid_length(found: usize, wanted: &dyn Expected) -> Self {
        ValueError::new(wanted.to_string(), format!("a table of {}", found))
    }

    fn unknown_variant(found: &str, wanted: &'static [&'static str]) -> Self {
        ValueError::new(one_of(wanted, "no variant"), format!("'{}'", found))
    }

    fn unknown_field(found: &str, wanted: &'static [&'static str]) -> Self {
        ValueError::new(one_of(wanted, "no field"), format!("'{}'", found))
    }

    fn missing_field(field: &'static str) -> Self {
        ValueError::new("a value", "nothing").inside(format_args!("field '{}'", field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        ValueError::message("it is in the table twice").inside(format_args!("field '{}'", field))
    }
}

/// The kind of value that was found, in this crate's words.
fn kind(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(_) => "a boolean".to_owned(),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number".to_owned(),
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a string".to_owned(),
        Unexpected::Unit | Unexpected::Option => "nil".to_owned(),
        Unexpected::Seq | Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// `'one', 'two' or 'three'`, or `none` if `names` is empty.
fn one_of(names: &[&str], none: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("'{}'", name)).collect();
    match quoted.split_last() {
        None => none.to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {}", others.join(", "), last),
    }
}
