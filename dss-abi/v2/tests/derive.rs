//! Structs as tables.
#![cfg(feature = "derive")]

use dss_abi_v2::{FromValue, IntoValue, Value};

#[derive(Debug, PartialEq, Clone, IntoValue, FromValue)]
struct Options {
    path: String,
    #[dss(rename = "max-depth")]
    max_depth: Option<u32>,
    #[dss(default)]
    recursive: bool,
    r#type: Inner<u8>,
}

#[derive(Debug, PartialEq, Clone, IntoValue, FromValue)]
struct Inner<T> {
    items: Vec<T>,
}

#[derive(Debug, PartialEq, IntoValue, FromValue)]
struct Empty {}

fn options() -> Options {
    Options { path: "/tmp".to_owned(), max_depth: None, recursive: true, r#type: Inner { items: vec![1, 2] } }
}

#[test]
fn a_struct_is_a_table() {
    let value = options().into_value().unwrap();
    let list = Value::List(vec![Value::Integer(1), Value::Integer(2)]);
    assert_eq!(
        value,
        Value::Map(vec![
            (Value::from("path"), Value::from("/tmp")),
            (Value::from("recursive"), Value::Boolean(true)),
            (Value::from("type"), Value::Map(vec![(Value::from("items"), list)])),
        ])
    );
    assert_eq!(Options::from_value(value), Ok(options()));
    let deep = Options { max_depth: Some(3), ..options() };
    assert_eq!(Options::from_value(deep.clone().into_value().unwrap()), Ok(deep));
    assert_eq!(Empty::from_value(Value::List(Vec::new())), Ok(Empty {}));
    assert_eq!(Empty {}.into_value(), Ok(Value::Map(Vec::new())));
}

#[test]
fn fields_are_missing_or_wrong_by_name() {
    let table = |fields: Vec<(&str, Value)>| {
        Value::Map(fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
    };
    let error = |value: Value| Options::from_value(value).unwrap_err().to_string();
    let inner = || table(vec![("items", Value::List(Vec::new()))]);
    let made = Options::from_value(table(vec![("path", "a".into()), ("type", inner()), ("other", 1.into())]));
    assert!(!made.unwrap().recursive);
    assert_eq!(error(table(vec![])), "field 'path': wanted a string, found nothing");
    assert_eq!(
        error(table(vec![("path", "a".into()), ("max-depth", "x".into())])),
        "field 'max-depth': wanted an integer, found a string"
    );
    assert_eq!(
        error(table(vec![("path", "a".into()), ("recursive", 1.into())])),
        "field 'recursive': wanted a boolean, found a number"
    );
    let wrong = table(vec![("items", Value::List(vec![Value::Integer(256)]))]);
    assert_eq!(
        error(table(vec![("path", "a".into()), ("type", wrong)])),
        "field 'type': field 'items': item 1: wanted an integer from 0 to 255, found 256"
    );
    assert_eq!(error(Value::Nil), "wanted a table, found nil");
}

/// A struct that a macro makes, its types and names being its caller's.
macro_rules! table {
    ($($item:item)*) => { $(#[derive(IntoValue, FromValue, Clone, Debug, PartialEq)] $item)* };
}

macro_rules! wrapper {
    ($name:ident, $type:ident) => {
        #[derive(IntoValue, FromValue, Clone, Debug, PartialEq)]
        struct $name {
            value: $type,
        }
    };
}

table! { struct Point { x: f64, y: f64 } }
wrapper! { Wrapped, String }

#[test]
fn a_macro_may_make_the_struct() {
    let point = Point { x: 1.5, y: 2.0 };
    assert_eq!(Point::from_value(point.clone().into_value().unwrap()), Ok(point));
    let wrapped = Wrapped { value: "a".to_owned() };
    assert_eq!(Wrapped::from_value(wrapped.clone().into_value().unwrap()), Ok(wrapped));
}
