//! What serde knows, as values.
#![cfg(feature = "serde")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use dss_abi_v2::{from_value, to_value, FromValue, IntoValue, Serde, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Box { width: u8, height: Option<u8> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Newtype(u16);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct All {
    name: String,
    letter: char,
    small: i8,
    large: u64,
    float: f32,
    flag: bool,
    nothing: Option<u8>,
    newtype: Newtype,
    pair: (u8, String),
    shapes: Vec<Shape>,
    by_number: BTreeMap<u8, bool>,
}

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let made = to_value(&value).unwrap();
    assert_eq!(from_value::<T>(made).unwrap(), value);
}

#[test]
fn values_go_round() {
    round(All {
        name: "a".to_owned(),
        letter: '\u{e4}',
        small: -1,
        large: 1 << 60,
        float: 0.5,
        flag: true,
        nothing: None,
        newtype: Newtype(9),
        pair: (1, "b".to_owned()),
        shapes: vec![
            Shape::Point,
            Shape::Circle(2.0),
            Shape::Line(3, -4),
            Shape::Box { width: 5, height: None },
            Shape::Box { width: 5, height: Some(6) },
        ],
        by_number: BTreeMap::from([(1, true), (7, false)]),
    });
    round(Vec::<u8>::new());
    round(BTreeMap::<String, u8>::new());
    round(BTreeMap::from([(1_u8, 2_u8)]));
}

#[test]
fn variants_are_named() {
    assert_eq!(to_value(&Shape::Point), Ok(Value::from("Point")));
    assert_eq!(
        to_value(&Shape::Circle(1.5)),
        Ok(Value::Map(vec![(Value::from("Circle"), Value::Float(1.5))]))
    );
}

#[test]
fn shapes_of_lua_are_read() {
    assert_eq!(from_value::<u8>(Value::Float(3.0)).unwrap(), 3);
    assert_eq!(from_value::<f64>(Value::Integer(3)).unwrap(), 3.0);
    assert_eq!(from_value::<Vec<u8>>(Value::Map(Vec::new())).unwrap(), []);
    assert_eq!(
        from_value::<BTreeMap<u8, bool>>(Value::List(vec![true.into()])).unwrap(),
        BTreeMap::from([(1, true)])
    );
}

#[test]
fn errors_are_sentences() {
    let error = |value: Value| from_value::<Newtype>(value).unwrap_err().to_string();
    assert_eq!(error(Value::from("x")), "wanted an integer, found a string");
    assert_eq!(error(Value::Integer(-1)), "wanted an integer from 0 to 65535, found -1");
    assert_eq!(
        from_value::<Shape>(Value::Integer(1)).unwrap_err().to_string(),
        "wanted the name of a variant, or a table with that as its one key, found a number"
    );
    assert_eq!(
        to_value(&vec![u64::MAX]).unwrap_err().to_string(),
        "item 1: wanted a signed 64-bit integer, found 18446744073709551615"
    );
}

#[test]
fn errors_say_where() {
    let error = |value: Value| from_value::<All>(value).unwrap_err().to_string();
    let table = |key: &str, value: Value| Value::Map(vec![(key.into(), value)]);
    assert_eq!(error(table("name", "a".into())), "field 'letter': wanted a value, found nothing");
    assert_eq!(error(table("letter", 1.into())), "field 'letter': wanted a character, found a number");
    let circle = Value::List(vec!["Point".into(), table("Circle", "x".into())]);
    assert_eq!(
        error(table("shapes", circle)),
        "field 'shapes': item 2: field 'Circle': wanted a number, found a string"
    );
    assert_eq!(
        error(table("shapes", Value::List(vec!["Square".into()]))),
        "field 'shapes': item 1: wanted 'Point', 'Circle', 'Line' or 'Box', found 'Square'"
    );
    assert_eq!(
        to_value(&BTreeMap::from([("a", vec![1, u64::MAX])])).unwrap_err().to_string(),
        "field 'a': item 2: wanted a signed 64-bit integer, found 18446744073709551615"
    );
    assert_eq!(
        to_value(&Either::Other(u64::MAX)).unwrap_err().to_string(),
        "field 'Other': wanted a signed 64-bit integer, found 18446744073709551615"
    );
}

#[derive(Serialize)]
enum Either {
    Other(u64),
}

#[test]
fn a_wrapper_is_a_parameter_and_a_result() {
    let Serde(shape) = Serde::<Shape>::from_value("Point".into()).unwrap();
    assert_eq!(shape, Shape::Point);
    assert_eq!(
        Serde::<Shape>::from_value("Square".into()).unwrap_err().to_string(),
        "wanted 'Point', 'Circle', 'Line' or 'Box', found 'Square'"
    );
    assert_eq!(Serde(Newtype(9)).into_value(), Ok(Value::Integer(9)));
    assert_eq!(Serde::<Option<Newtype>>::from_value(Value::Nil), Ok(Serde(None)));
    let mut newtype = Serde(Newtype(1));
    newtype.0 .0 += 1;
    assert_eq!((*newtype).0, 2);
}

#[cfg(feature = "derive")]
mod beside_derive {
    use super::*;

    #[derive(Debug, Clone, PartialEq, FromValue, IntoValue, Serialize, Deserialize)]
    struct Options {
        path: String,
        port: u16,
        #[dss(default)]
        #[serde(default)]
        deep: bool,
        ratio: Option<f64>,
        inner: Inner,
        by_name: BTreeMap<String, Vec<u8>>,
    }

    #[derive(Debug, Clone, PartialEq, FromValue, IntoValue, Serialize, Deserialize)]
    struct Inner {
        items: Vec<[i8; 2]>,
    }

    fn table(fields: Vec<(&str, Value)>) -> Value {
        Value::Map(fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
    }

    fn list(items: Vec<Value>) -> Value {
        Value::List(items)
    }

    /// Plain data once more.
    fn twin(value: &Value) -> Value {
        match value {
            Value::Boolean(value) => Value::Boolean(*value),
            Value::Integer(value) => Value::Integer(*value),
            Value::Float(value) => Value::Float(*value),
            Value::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Value::List(items) => Value::List(items.iter().map(twin).collect()),
            Value::Map(entries) => {
                Value::Map(entries.iter().map(|(key, value)| (twin(key), twin(value))).collect())
            }
            _ => Value::Nil,
        }
    }

    /// The options with one field changed.
    fn with(changed: &str, value: Value) -> Value {
        let mut fields = vec![
            ("path", "/tmp".into()),
            ("port", 80.into()),
            ("deep", true.into()),
            ("ratio", 0.5.into()),
            ("inner", table(vec![("items", list(vec![list(vec![1.into(), 2.into()])]))])),
            ("by_name", table(vec![("a", list(vec![7.into()]))])),
        ];
        fields.retain(|(name, _)| *name != changed);
        fields.push((changed, value));
        table(fields)
    }

    #[test]
    fn both_say_the_same_of_what_does_not_fit() {
        let inner = |pair: Value| table(vec![("items", list(vec![list(vec![1.into(), 2.into()]), pair]))]);
        let wrong = [
            (with("path", 1.into()), "field 'path': wanted a string, found a number"),
            (with("port", 65536.into()), "field 'port': wanted an integer from 0 to 65535, found 65536"),
            (with("port", 1.5.into()), "field 'port': wanted an integer, found 1.5"),
            (with("port", "x".into()), "field 'port': wanted an integer, found a string"),
            (with("deep", 1.into()), "field 'deep': wanted a boolean, found a number"),
            (with("ratio", "x".into()), "field 'ratio': wanted a number, found a string"),
            (with("inner", 1.into()), "field 'inner': wanted a table, found a number"),
            (
                with("inner", inner(list(vec![1.into(), "x".into()]))),
                "field 'inner': field 'items': item 2: item 2: wanted an integer, found a string",
            ),
            (
                with("inner", inner(list(vec![1.into(), 2.into(), 3.into()]))),
                "field 'inner': field 'items': item 2: wanted a list of 2 items, found one of 3",
            ),
            (
                with("by_name", table(vec![("b", list(vec![0.into(), 256.into()]))])),
                "field 'by_name': field 'b': item 2: wanted an integer from 0 to 255, found 256",
            ),
            (
                with("by_name", list(vec![list(vec![])])),
                "field 'by_name': key 1: wanted a string, found a number",
            ),
            (
                with("by_name", table(vec![("b", 1.into())])),
                "field 'by_name': field 'b': wanted a list, found a number",
            ),
            (1.into(), "wanted a table, found a number"),
        ];
        for (value, said) in wrong {
            assert_eq!(from_value::<Options>(twin(&value)).unwrap_err().to_string(), said, "by serde");
            assert_eq!(Options::from_value(value).unwrap_err().to_string(), said, "by derive");
        }
        let right = with("port", 8080.into());
        let made: Options = from_value(with("port", 8080.into())).unwrap();
        assert_eq!(Options::from_value(right), Ok(made.clone()));
        assert_eq!(to_value(&made).unwrap(), made.into_value().unwrap());
    }
}
