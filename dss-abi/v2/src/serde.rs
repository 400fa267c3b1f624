//! Values of whatever implements serde's traits.

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

/// The value of whatever serde can serialize: structs and maps as tables, the variants of an enum by name, bytes as a
/// string. [any-thread]
///
/// # Errors
/// It has an integer in it that is past `i64`, lies too deep within itself, or says itself that it cannot be serialized.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ValueError> {
    value.serialize(ser::Serializer::new())
}

/// What serde can deserialize, of a value. [any-thread]
///
/// # Errors
/// The value is something else; or it has a function or an object in it, which serde has no word for. The error says where, as that
/// of a struct with `#[derive(FromValue)]` does.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ValueError> {
    if value.is_deeper_than(MAX_DEPTH) {
        value.discard();
        return Err(too_deep());
    }
    T::deserialize(de::Deserializer(value))
}

/// A parameter or a result that is whatever serde knows: as [`from_value`] and [`to_value`].
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
    /// What it is.
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

/// Its words are those of [`FromValue`]'s errors.
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
        ValueError::message("it is there twice").inside(format_args!("field '{}'", field))
    }
}

/// What was found, in this crate's words.
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

/// `'one', 'two' or 'three'`; `none` if there is none.
fn one_of(names: &[&str], none: &str) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("'{}'", name)).collect();
    match quoted.split_last() {
        None => none.to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {}", others.join(", "), last),
    }
}
