//! Values that are nested too deep.
//!
//! A value from Lua is at most [`MAX_DEPTH`] deep. An author can make a value of any depth, for example from a file,
//! and a stack may be too small to walk or drop it by recursion. So nothing here recurses.
//!
//! `Value` itself has no destructor, because authors take its fields out by patterns, which a type with a destructor
//! does not allow. Rust drops the values that authors keep. The values that were handed over are dropped here.

use crate::any::Value;
use crate::error::ValueError;
use crate::value::MAX_DEPTH;

/// The error of a value that is too deep.
pub(crate) fn too_deep() -> ValueError {
    ValueError::message(format!("lists and maps are nested more than {} deep", MAX_DEPTH))
}

impl Value {
    /// Whether lists and maps are nested more than `most` deep.
    pub(crate) fn is_deeper_than(&self, most: usize) -> bool {
        // Those that are looked into yet, and how deep each lies.
        let mut tables = vec![(self, 0)];
        while let Some((value, depth)) = tables.pop() {
            if !value.is_table() {
                continue;
            }
            if depth == most {
                return true;
            }
            match value {
                Value::List(items) => tables.extend(items.iter().map(|item| (item, depth + 1))),
                Value::Map(entries) => {
                    for (key, value) in entries {
                        tables.push((key, depth + 1));
                        tables.push((value, depth + 1));
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn is_table(&self) -> bool {
        matches!(self, Value::List(_) | Value::Map(_))
    }

    /// Drops a value without recursion.
    pub(crate) fn discard(self) {
        let mut values = Vec::new();
        self.take_apart(&mut values);
        while let Some(value) = values.pop() {
            value.take_apart(&mut values);
        }
    }

    /// Moves the content of a table to `values`, and drops any other value.
    fn take_apart(self, values: &mut Vec<Value>) {
        match self {
            Value::List(items) => values.extend(items),
            Value::Map(entries) => {
                for (key, value) in entries {
                    values.push(key);
                    values.push(value);
                }
            }
            _ => {}
        }
    }

    /// The value, but a table is emptied. For a caller that only names the kind of a table.
    pub(crate) fn emptied(self) -> Value {
        match self {
            Value::List(items) => {
                Value::List(items).discard();
                Value::List(Vec::new())
            }
            Value::Map(entries) => {
                Value::Map(entries).discard();
                Value::Map(Vec::new())
            }
            other => other,
        }
    }

    /// Whether both are equal, without recursion.
    pub(crate) fn is_same(&self, other: &Value) -> bool {
        let mut pairs = vec![];
        let mut next = Some((self, other));
        while let Some((left, right)) = next {
            let same = match (left, right) {
                (Value::Nil, Value::Nil) => true,
                (Value::Boolean(left), Value::Boolean(right)) => left == right,
                (Value::Integer(left), Value::Integer(right)) => left == right,
                (Value::Float(left), Value::Float(right)) => left == right,
                (Value::Bytes(left), Value::Bytes(right)) => left == right,
                (Value::Callback(left), Value::Callback(right)) => left == right,
                (Value::Object(left), Value::Object(right)) => left == right,
                (Value::List(left), Value::List(right)) => {
                    pairs.extend(left.iter().zip(right));
                    left.len() == right.len()
                }
                (Value::Map(left), Value::Map(right)) => {
                    for (left, right) in left.iter().zip(right) {
                        pairs.push((&left.0, &right.0));
                        pairs.push((&left.1, &right.1));
                    }
                    left.len() == right.len()
                }
                _ => false,
            };
            if !same {
                return false;
            }
            next = pairs.pop();
        }
        true
    }
}

/// Values that were handed over and are taken one by one. The rest is dropped without recursion.
pub(crate) struct Taken<T: Discard>(std::vec::IntoIter<T>);

impl<T: Discard> Taken<T> {
    pub(crate) fn new(values: Vec<T>) -> Self {
        Taken(values.into_iter())
    }
}

impl<T: Discard> Iterator for Taken<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T: Discard> Drop for Taken<T> {
    fn drop(&mut self) {
        self.0.by_ref().for_each(T::discard_it);
    }
}

/// A type that contains values.
pub(crate) trait Discard {
    fn discard_it(self);
}

impl Discard for Value {
    fn discard_it(self) {
        self.discard();
    }
}

impl Discard for (Value, Value) {
    fn discard_it(self) {
        self.0.discard();
        self.1.discard();
    }
}
