//! From values to serde's data model.

use ::serde::de::value::StringDeserializer;
use ::serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use ::serde::forward_to_deserialize_any;

use crate::any::Value;
use crate::error::ValueError;
use crate::from_value::{entries, FromValue};

pub(super) struct Deserializer(pub(super) Value);

/// The items of a list, taken one by one.
struct Items {
    items: std::vec::IntoIter<Value>,
    /// How many were taken.
    at: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = ValueError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ValueError> {
        let item = match self.items.next() {
            Some(item) => item,
            None => return Ok(None),
        };
        self.at += 1;
        let made = seed.deserialize(Deserializer(item));
        made.map(Some).map_err(|error| error.inside(format_args!("item {}", self.at)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

/// The entries of a table, taken one by one.
struct Entries {
    entries: std::vec::IntoIter<(Value, Value)>,
    /// The value of the last key that was taken, and its place.
    value: Option<(Value, String)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = ValueError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, ValueError> {
        let (key, value) = match self.entries.next() {
            Some(entry) => entry,
            None => return Ok(None),
        };
        let place = key.as_place();
        let made = seed.deserialize(Deserializer(key));
        let made = made.map_err(|error| error.inside(format_args!("key {}", place)))?;
        self.value = Some((value, place));
        Ok(Some(made))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ValueError> {
        // Asked for once after each key; what asks in another order is told that there is nothing.
        let (value, place) = self.value.take().unwrap_or((Value::Nil, "nil".to_owned()));
        let made = seed.deserialize(Deserializer(value));
        made.map_err(|error| error.inside(format_args!("field {}", place)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A list. An empty table is a list too.
fn visit_list<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, ValueError> {
    let items = Vec::<Value>::from_value(value)?;
    let count = items.len();
    let mut items = Items { items: items.into_iter(), at: 0 };
    let made = visitor.visit_seq(&mut items)?;
    if items.items.len() > 0 {
        return Err(ValueError::new(format!("a list of {} items", items.at), format!("one of {}", count)));
    }
    Ok(made)
}

fn visit_table<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, ValueError> {
    visitor.visit_map(Entries { entries: entries(value)?.into_iter(), value: None })
}

/// Types that [`FromValue`] converts as well. The errors are the same.
macro_rules! simple {
    ($($name:ident: $type:ty, $visit:ident)+) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            visitor.$visit(<$type>::from_value(self.0)?)
        }
    )+};
}

impl<'de> ::serde::Deserializer<'de> for Deserializer {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Nil => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Float(value) => visitor.visit_f64(value),
            Value::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => visitor.visit_string(text),
                Err(error) => visitor.visit_byte_buf(error.into_bytes()),
            },
            list @ Value::List(_) => visit_list(list, visitor),
            table @ Value::Map(_) => visit_table(table, visitor),
            other @ (Value::Callback(_) | Value::Object(_)) => Err(other.unlike("plain data")),
        }
    }

    simple! {
        deserialize_bool: bool, visit_bool
        deserialize_i8: i8, visit_i8
        deserialize_i16: i16, visit_i16
        deserialize_i32: i32, visit_i32
        deserialize_i64: i64, visit_i64
        deserialize_i128: i128, visit_i128
        deserialize_u8: u8, visit_u8
        deserialize_u16: u16, visit_u16
        deserialize_u32: u32, visit_u32
        deserialize_u64: u64, visit_u64
        deserialize_u128: u128, visit_u128
        deserialize_f32: f64, visit_f64
        deserialize_f64: f64, visit_f64
        deserialize_str: String, visit_string
        deserialize_string: String, visit_string
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Bytes(bytes) => visitor.visit_byte_buf(bytes),
            list @ Value::List(_) => visit_list(list, visitor),
            other => Err(other.unlike("a string")),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::Nil => visitor.visit_none(),
            value => visitor.visit_some(Deserializer(value)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visit_list(self.0, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ValueError> {
        visit_list(self.0, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visit_list(self.0, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visit_table(self.0, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visit_table(self.0, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let (name, content) = match self.0 {
            name @ Value::Bytes(_) => return visitor.visit_enum(Variant::new(name, Value::Nil)?),
            Value::Map(mut entries) if entries.len() == 1 => entries.remove(0),
            other => return Err(other.unlike("the name of a variant, or a table with that as its one key")),
        };
        let place = name.as_place();
        let made = visitor.visit_enum(Variant::new(name, content)?);
        made.map_err(|error| error.inside(format_args!("field {}", place)))
    }

    forward_to_deserialize_any! {
        char unit unit_struct identifier ignored_any
    }
}

/// A variant of an enum, and its content.
struct Variant {
    name: String,
    content: Value,
}

impl Variant {
    fn new(name: Value, content: Value) -> Result<Self, ValueError> {
        Ok(Variant { name: String::from_value(name)?, content })
    }
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = ValueError;
    type Variant = Deserializer;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Deserializer), ValueError> {
        let name: StringDeserializer<ValueError> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Deserializer(self.content)))
    }
}

impl<'de> VariantAccess<'de> for Deserializer {
    type Error = ValueError;

    fn unit_variant(self) -> Result<(), ValueError> {
        match self.0 {
            Value::Nil => Ok(()),
            other => Err(other.unlike("a variant with nothing in it")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ValueError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ValueError> {
        visit_list(self.0, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visit_table(self.0, visitor)
    }
}
