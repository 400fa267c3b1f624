//! What the derive macros expand to: the fields of a struct, as a table.
//!
//! A type that is not a struct with named fields does not compile. Unknown attributes and two fields of one name do
//! not compile either:
//!
//! ```compile_fail
//! #[derive(dss_abi_v2::IntoValue)]
//! struct Pair(u8, u8);
//! ```
//! ```compile_fail
//! #[derive(dss_abi_v2::FromValue)]
//! enum Either {
//!     One,
//!     Other,
//! }
//! ```
//! ```compile_fail
//! #[derive(dss_abi_v2::FromValue)]
//! struct Options {
//!     #[dss(optional)]
//!     port: u16,
//! }
//! ```
//! ```compile_fail
//! #[derive(dss_abi_v2::IntoValue)]
//! struct Options {
//!     #[dss(rename = "port")]
//!     first: u16,
//!     port: u16,
//! }
//! ```

use std::mem::take;

use crate::any::Value;
use crate::error::ValueError;
use crate::from_value::{entries, FromValue};
use crate::into_value::IntoValue;

/// A table on its way to Lua.
#[derive(Debug)]
pub struct Entries(Vec<(Value, Value)>);

impl Entries {
    /// An empty table with room for `count` fields.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Entries(Vec::with_capacity(count))
    }

    /// Adds a field. A nil is not added.
    pub fn put(&mut self, name: &str, value: impl IntoValue) -> Result<(), ValueError> {
        let value = value.into_value().map_err(|error| error.inside(format_args!("field '{}'", name)))?;
        if value != Value::Nil {
            self.0.push((Value::from(name), value));
        }
        Ok(())
    }

    /// The table.
    #[must_use]
    pub fn finish(mut self) -> Value {
        Value::Map(take(&mut self.0))
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        Value::Map(take(&mut self.0)).discard();
    }
}

/// The fields of a Lua table. Fields that are not taken are ignored.
#[derive(Debug)]
pub struct Fields(Vec<(Value, Value)>);

impl Fields {
    /// The fields of `value`.
    pub fn new(value: Value) -> Result<Self, ValueError> {
        entries(value).map(Fields)
    }

    fn find(&mut self, name: &str) -> Option<Value> {
        let at =
            self.0.iter().position(|(key, _)| matches!(key, Value::Bytes(key) if key == name.as_bytes()))?;
        match self.0.swap_remove(at).1 {
            Value::Nil => None,
            value => Some(value),
        }
    }

    /// Takes a field.
    pub fn take<T: FromValue>(&mut self, name: &str) -> Result<T, ValueError> {
        let made = match self.find(name) {
            Some(value) => T::from_value(value),
            None => T::from_value(Value::Nil).map_err(ValueError::of_nothing),
        };
        made.map_err(|error| error.inside(format_args!("field '{}'", name)))
    }

    /// Takes a field. If it is missing, the result is the default.
    pub fn take_or_default<T: FromValue + Default>(&mut self, name: &str) -> Result<T, ValueError> {
        match self.find(name) {
            Some(value) => {
                T::from_value(value).map_err(|error| error.inside(format_args!("field '{}'", name)))
            }
            None => Ok(T::default()),
        }
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        Value::Map(take(&mut self.0)).discard();
    }
}
