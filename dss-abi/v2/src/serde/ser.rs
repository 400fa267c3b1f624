//! From serde's data model to values.

use ::serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use crate::any::Value;
use crate::deep::too_deep;
use crate::error::ValueError;
use crate::into_value::IntoValue;
use crate::value::MAX_DEPTH;

/// The depth of the value that is serialized next.
#[derive(Clone, Copy)]
pub(super) struct Serializer {
    /// The number of lists and maps around it.
    depth: usize,
    /// The number of wrappers around it that leave nothing in the value.
    wrappers: usize,
}

/// Serde recurses for a wrapper too, so their depth is limited as well.
const MAX_WRAPPERS: usize = 16 * MAX_DEPTH;

impl Serializer {
    pub(super) fn new() -> Self {
        Serializer { depth: 0, wrappers: 0 }
    }

    /// For an item of a list or a map.
    fn inside(self) -> Result<Self, ValueError> {
        if self.depth == MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(Serializer { depth: self.depth + 1, ..self })
    }

    /// For the content of an `Option` or of a struct with one unnamed field.
    fn unwrapped(self) -> Result<Self, ValueError> {
        if self.wrappers == MAX_WRAPPERS {
            return Err(too_deep());
        }
        Ok(Serializer { wrappers: self.wrappers + 1, ..self })
    }
}

type Made = Result<Value, ValueError>;

/// A list that is not finished. It may belong to a variant.
pub(super) struct List {
    /// The serializer for its items.
    inner: Serializer,
    items: Vec<Value>,
    variant: Option<&'static str>,
}

/// A map that is not finished. It may belong to a variant.
pub(super) struct Map {
    /// The serializer for its keys and values.
    inner: Serializer,
    entries: Vec<(Value, Value)>,
    key: Value,
    variant: Option<&'static str>,
}

/// The value of a variant: a table with its name as the key.
fn named(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(name) => Value::Map(vec![(Value::from(name), value)]),
        None => value,
    }
}

fn list(outer: Serializer, count: usize, variant: Option<&'static str>) -> Result<List, ValueError> {
    // What is announced is not trusted with memory.
    Ok(List { inner: within(outer, variant)?, items: Vec::with_capacity(count.min(4096)), variant })
}

fn map(outer: Serializer, count: usize, variant: Option<&'static str>) -> Result<Map, ValueError> {
    let entries = Vec::with_capacity(count.min(4096));
    Ok(Map { inner: within(outer, variant)?, entries, key: Value::Nil, variant })
}

/// The serializer for the content of a table. The table of a variant is inside one more table.
fn within(outer: Serializer, variant: Option<&'static str>) -> Result<Serializer, ValueError> {
    match variant {
        Some(_) => outer.inside()?.inside(),
        None => outer.inside(),
    }
}

macro_rules! simple {
    ($($name:ident: $type:ty)+) => {$(
        fn $name(self, value: $type) -> Made {
            value.into_value()
        }
    )+};
}

impl ::serde::Serializer for Serializer {
    type Ok = Value;
    type Error = ValueError;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Map;
    type SerializeStruct = Map;
    type SerializeStructVariant = Map;

    simple! {
        serialize_bool: bool
        serialize_i8: i8
        serialize_i16: i16
        serialize_i32: i32
        serialize_i64: i64
        serialize_i128: i128
        serialize_u8: u8
        serialize_u16: u16
        serialize_u32: u32
        serialize_u64: u64
        serialize_u128: u128
        serialize_f32: f32
        serialize_f64: f64
        serialize_str: &str
    }

    fn serialize_char(self, value: char) -> Made {
        Ok(Value::from(value.to_string()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Made {
        Ok(Value::Bytes(value.to_vec()))
    }

    fn serialize_none(self) -> Made {
        Ok(Value::Nil)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Made {
        value.serialize(self.unwrapped()?)
    }

    fn serialize_unit(self) -> Made {
        Ok(Value::Nil)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Made {
        Ok(Value::Nil)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Made {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Made {
        value.serialize(self.unwrapped()?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Made {
        let value = value.serialize(self.inside()?);
        Ok(named(Some(variant), value.map_err(|error| error.inside(format_args!("field '{}'", variant)))?))
    }

    fn serialize_seq(self, count: Option<usize>) -> Result<List, ValueError> {
        list(self, count.unwrap_or(0), None)
    }

    fn serialize_tuple(self, count: usize) -> Result<List, ValueError> {
        list(self, count, None)
    }

    fn serialize_tuple_struct(self, _: &'static str, count: usize) -> Result<List, ValueError> {
        list(self, count, None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<List, ValueError> {
        list(self, count, Some(variant))
    }

    fn serialize_map(self, count: Option<usize>) -> Result<Map, ValueError> {
        map(self, count.unwrap_or(0), None)
    }

    fn serialize_struct(self, _: &'static str, count: usize) -> Result<Map, ValueError> {
        map(self, count, None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        count: usize,
    ) -> Result<Map, ValueError> {
        map(self, count, Some(variant))
    }
}

impl List {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let at = self.items.len() + 1;
        let value = value.serialize(self.inner).map_err(|error| error.inside(format_args!("item {}", at)))?;
        self.items.push(value);
        Ok(())
    }

    fn finish(self) -> Made {
        Ok(named(self.variant, Value::List(self.items)))
    }
}

macro_rules! lists {
    ($($trait:ident $add:ident)+) => {$(
        impl $trait for List {
            type Ok = Value;
            type Error = ValueError;

            fn $add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.add(value)
            }

            fn end(self) -> Made {
                self.finish()
            }
        }
    )+};
}

lists! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

impl Map {
    fn add<T: Serialize + ?Sized>(&mut self, key: Value, value: &T) -> Result<(), ValueError> {
        let value = value
            .serialize(self.inner)
            .map_err(|error| error.inside(format_args!("field {}", key.as_place())))?;
        if value != Value::Nil {
            self.entries.push((key, value));
        }
        Ok(())
    }

    fn finish(self) -> Made {
        Ok(named(self.variant, Value::Map(self.entries)))
    }
}

impl SerializeMap for Map {
    type Ok = Value;
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        self.key = key.serialize(self.inner).map_err(|error| error.inside("a key"))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let key = std::mem::replace(&mut self.key, Value::Nil);
        self.add(key, value)
    }

    fn end(self) -> Made {
        self.finish()
    }
}

macro_rules! structs {
    ($($trait:ident)+) => {$(
        impl $trait for Map {
            type Ok = Value;
            type Error = ValueError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), ValueError> {
                self.add(Value::from(name), value)
            }

            fn end(self) -> Made {
                self.finish()
            }
        }
    )+};
}

structs!(SerializeStruct SerializeStructVariant);
