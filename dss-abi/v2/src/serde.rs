//! Values of whatever implements serde's traits.

mod de;
mod ser;

use ::serde::{de::DeserializeOwned, Serialize};

use crate::any::Value;
use crate::error::ValueError;

/// The value of whatever serde can serialize: structs and maps as tables, the variants of an enum by name, bytes as a
/// string. [any-thread]
///
/// # Errors
/// It has an integer in it that is past `i64`, or says itself that it cannot be serialized.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ValueError> {
    value.serialize(ser::Serializer)
}

/// What serde can deserialize, of a value. [any-thread]
///
/// # Errors
/// The value is something else; or it has a function or an object in it, which serde has no word for.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ValueError> {
    T::deserialize(de::Deserializer(value))
}

impl ::serde::ser::Error for ValueError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        ValueError::message(message.to_string())
    }
}

impl ::serde::de::Error for ValueError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        ValueError::message(message.to_string())
    }
}
