//! Values of any kind, and how they cross the boundary.

use std::borrow::Cow;
use std::fmt;

use abi_stable::std_types::{RBox, RVec};

use crate::callback::Callback;
use crate::contract::ServiceObject;
use crate::deep::too_deep;
use crate::error::ValueError;
use crate::object::AnyObject;
use crate::value::{RawEntry, RawValue, MAX_DEPTH};

/// Any value that a library and Lua can exchange.
///
/// A Lua table with the keys 1, 2, 3 and so on is a list, and any other table is a map. An empty table may be either.
/// If you match on a value, accept both.
///
/// Lists and maps may be nested 64 deep. DSS refuses a deeper value. A refused value is dropped without recursion; a
/// deep value that you drop yourself is dropped by Rust, with recursion.
///
/// ```
/// use dss_abi_v2::{Library, Value};
///
/// fn describe(_: &Library, value: Value) -> String {
///     match value {
///         Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
///         Value::List(items) => format!("{} items", items.len()),
///         Value::Map(entries) => format!("{} fields", entries.len()),
///         other => other.kind().to_owned(),
///     }
/// }
/// # let library = |_: fn(&Library, Value) -> String| {};
/// # library(describe);
/// ```
pub enum Value {
    /// `nil`.
    Nil,
    /// A boolean.
    Boolean(bool),
    /// An integer. A Lua without integers refuses one beyond 2^53; it does not round it.
    Integer(i64),
    /// A float.
    Float(f64),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// A table of values at 1, 2, 3 and so on.
    List(Vec<Value>),
    /// A table of keys and values.
    Map(Vec<(Value, Value)>),
    /// A Lua function.
    Callback(Callback),
    /// An object of the library, on its way to Lua. An object from Lua is an [`ObjectRef`](crate::ObjectRef) and
    /// never a value.
    Object(AnyObject),
}

/// Prints `...` for tables that are nested deeper than allowed.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self, 0).fmt(f)
    }
}

/// A value, and its depth.
struct Shown<'a>(&'a Value, usize);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(value, depth) = *self;
        match value {
            Value::Nil => f.write_str("Nil"),
            Value::Boolean(value) => f.debug_tuple("Boolean").field(value).finish(),
            Value::Integer(value) => f.debug_tuple("Integer").field(value).finish(),
            Value::Float(value) => f.debug_tuple("Float").field(value).finish(),
            Value::Bytes(bytes) => f.debug_tuple("Bytes").field(bytes).finish(),
            Value::Callback(callback) => f.debug_tuple("Callback").field(callback).finish(),
            Value::Object(object) => f.debug_tuple("Object").field(object).finish(),
            Value::List(_) | Value::Map(_) if depth > MAX_DEPTH => f.write_str("..."),
            Value::List(items) => f.debug_tuple("List").field(&ShownItems(items, depth + 1)).finish(),
            Value::Map(entries) => f.debug_tuple("Map").field(&ShownEntries(entries, depth + 1)).finish(),
        }
    }
}

struct ShownItems<'a>(&'a [Value], usize);

impl fmt::Debug for ShownItems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|item| Shown(item, self.1))).finish()
    }
}

struct ShownEntries<'a>(&'a [(Value, Value)], usize);

impl fmt::Debug for ShownEntries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.0.iter().map(|(key, value)| (Shown(key, self.1), Shown(value, self.1)));
        f.debug_list().entries(entries).finish()
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Value {
    /// The kind of the value, for the sentence of an error. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::Value;
    /// assert_eq!(Value::from("x").kind(), "a string");
    /// assert_eq!(Value::from(1.5).kind(), "a number");
    /// ```
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Boolean(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Bytes(_) => "a string",
            Value::List(_) | Value::Map(_) => "a table",
            Value::Callback(_) => "a function",
            Value::Object(_) => "an object",
        }
    }

    /// The error that this value has the wrong kind. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::Value;
    /// let error = Value::Nil.unlike("a point");
    /// assert_eq!(error.to_string(), "wanted a point, found nil");
    /// ```
    #[must_use]
    pub fn unlike(&self, wanted: impl Into<Cow<'static, str>>) -> ValueError {
        ValueError::new(wanted, self.kind())
    }

    /// The value as it crosses the boundary. If it cannot cross, it comes back, with nil for tables that are nested
    /// more than twice as deep as allowed.
    pub(crate) fn into_raw(self, service: &'static ServiceObject) -> Result<RawValue, (ValueError, Value)> {
        self.into_raw_at(0, service)
    }

    fn into_raw_at(
        self,
        depth: usize,
        service: &'static ServiceObject,
    ) -> Result<RawValue, (ValueError, Value)> {
        Ok(match self {
            Value::Nil => RawValue::Nil,
            Value::Boolean(value) => RawValue::Boolean(value),
            Value::Integer(value) => RawValue::Integer(value),
            Value::Float(value) => RawValue::Float(value),
            Value::Bytes(bytes) => RawValue::Bytes(RBox::new(RVec::from(bytes))),
            Value::Callback(callback) => return callback.into_raw(service),
            Value::Object(object) => RawValue::Object(object.into_raw()),
            Value::List(_) | Value::Map(_) if depth >= MAX_DEPTH => {
                // Its owner would drop it by recursion: what no stack is sure to have room for, is dropped here.
                if self.is_deeper_than(MAX_DEPTH) {
                    self.discard();
                    return Err((too_deep(), Value::Nil));
                }
                return Err((too_deep(), self));
            }
            Value::List(items) => match list_into_raw(items, depth + 1, service) {
                Ok(items) => RawValue::List(RBox::new(RVec::from(items))),
                Err((error, items)) => return Err((error, Value::List(items))),
            },
            Value::Map(entries) => {
                let mut flat = Vec::with_capacity(entries.len() * 2);
                for (key, value) in entries {
                    flat.push(key);
                    flat.push(value);
                }
                match list_into_raw(flat, depth + 1, service) {
                    Ok(flat) => RawValue::Map(RBox::new(pairs(flat, |key, value| RawEntry { key, value }))),
                    Err((error, flat)) => {
                        return Err((error, Value::Map(pairs(flat, |key, value| (key, value)))))
                    }
                }
            }
        })
    }

    /// Converts a value that crossed the boundary.
    ///
    /// # Errors
    /// The value is an object that Lua owns, or contains one.
    pub(crate) fn from_raw(raw: RawValue, service: &'static ServiceObject) -> Result<Value, ValueError> {
        Ok(match raw {
            RawValue::Nil => Value::Nil,
            RawValue::Boolean(value) => Value::Boolean(value),
            RawValue::Integer(value) => Value::Integer(value),
            RawValue::Float(value) => Value::Float(value),
            RawValue::Bytes(bytes) => Value::Bytes(RBox::into_inner(bytes).into_vec()),
            RawValue::Callback(raw) => Value::Callback(Callback::new(raw, service)),
            RawValue::Object(raw) => Value::Object(AnyObject::from_raw(raw)),
            RawValue::Borrowed(raw) => {
                return Err(ValueError::new(
                    "a value",
                    format!("an object of the class {}, which Lua keeps", raw.class.name),
                ))
            }
            RawValue::List(items) => {
                let items = RBox::into_inner(items).into_iter().enumerate().map(|(at, item)| {
                    Value::from_raw(item, service)
                        .map_err(|error| error.inside(format_args!("item {}", at + 1)))
                });
                Value::List(items.collect::<Result<_, _>>()?)
            }
            RawValue::Map(entries) => {
                let entries = RBox::into_inner(entries).into_iter().map(|RawEntry { key, value }| {
                    let key = Value::from_raw(key, service).map_err(|error| error.inside("a key"))?;
                    let value = Value::from_raw(value, service)
                        .map_err(|error| error.inside(format_args!("field {}", key.as_place())))?;
                    Ok((key, value))
                });
                Value::Map(entries.collect::<Result<_, ValueError>>()?)
            }
        })
    }

    /// The value as a key, for the sentence of an error.
    pub(crate) fn as_place(&self) -> String {
        match self {
            Value::Bytes(bytes) => format!("'{}'", String::from_utf8_lossy(bytes)),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Boolean(value) => value.to_string(),
            other => other.kind().to_owned(),
        }
    }
}

/// Converts all items of a list, or returns the list.
fn list_into_raw(
    items: Vec<Value>,
    depth: usize,
    service: &'static ServiceObject,
) -> Result<Vec<RawValue>, (ValueError, Vec<Value>)> {
    let mut raw = Vec::with_capacity(items.len());
    let mut rest = items.into_iter();
    while let Some(item) = rest.next() {
        match item.into_raw_at(depth, service) {
            Ok(item) => raw.push(item),
            Err((error, item)) => {
                let mut items: Vec<Value> = raw.into_iter().map(|raw| again(raw, service)).collect();
                items.push(item);
                // Those that were not looked at may lie as deep, and whoever gets them drops them.
                items.extend(rest.map(|item| {
                    if item.is_deeper_than(MAX_DEPTH) {
                        item.discard();
                        Value::Nil
                    } else {
                        item
                    }
                }));
                return Err((error, items));
            }
        }
    }
    Ok(raw)
}

/// Converts back a value that did not get to Lua.
pub(crate) fn again(raw: RawValue, service: &'static ServiceObject) -> Value {
    // What refuses is an object that Lua owns, and no `Value` is made into one.
    Value::from_raw(raw, service).unwrap_or(Value::Nil)
}

fn pairs<T, P, C: std::iter::FromIterator<P>>(flat: Vec<T>, pair: impl Fn(T, T) -> P) -> C {
    let mut flat = flat.into_iter();
    std::iter::from_fn(move || Some(pair(flat.next()?, flat.next()?))).collect()
}
