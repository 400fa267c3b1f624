//! From values to serde's data model.

use ::serde::de::value::{MapDeserializer, SeqDeserializer, StringDeserializer};
use ::serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor};
use ::serde::forward_to_deserialize_any;

use crate::any::Value;
use crate::error::ValueError;
use crate::from_value::{entries, float, integer, FromValue};

pub(super) struct Deserializer(pub(super) Value);

impl<'de> IntoDeserializer<'de, ValueError> for Deserializer {
    type Deserializer = Deserializer;

    fn into_deserializer(self) -> Deserializer {
        self
    }
}

/// A list, which an empty table is too.
fn visit_list<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, ValueError> {
    let mut items = SeqDeserializer::new(Vec::<Value>::from_value(value)?.into_iter().map(Deserializer));
    let made = visitor.visit_seq(&mut items)?;
    items.end()?;
    Ok(made)
}

fn visit_table<'de, V: Visitor<'de>>(value: Value, visitor: V) -> Result<V::Value, ValueError> {
    let entries = entries(value)?.into_iter().map(|(key, value)| (Deserializer(key), Deserializer(value)));
    let mut table = MapDeserializer::new(entries);
    let made = visitor.visit_map(&mut table)?;
    table.end()?;
    Ok(made)
}

macro_rules! integers {
    ($($name:ident)+) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            // A number below 0 is then refused by whoever wants none.
            visitor.visit_i64(integer(&self.0)?)
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

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_f64(float(&self.0)?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_f64(float(&self.0)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_string(String::from_value(self.0)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_str(visitor)
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
            name @ Value::Bytes(_) => (name, Value::Nil),
            Value::Map(mut entries) if entries.len() == 1 => entries.remove(0),
            other => return Err(other.unlike("the name of a variant, or a table with that as its one key")),
        };
        visitor.visit_enum(Variant { name: String::from_value(name)?, content })
    }

    forward_to_deserialize_any! {
        bool char unit unit_struct identifier ignored_any
    }
}

/// A variant of an enum, and what is in it.
struct Variant {
    name: String,
    content: Value,
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
