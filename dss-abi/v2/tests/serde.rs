//! What serde knows, as values.
#![cfg(feature = "serde")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use dss_abi_v2::{from_value, to_value, Value};
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
    assert_eq!(error(Value::Integer(-1)), "invalid value: integer `-1`, expected u16");
    assert_eq!(
        from_value::<Shape>(Value::Integer(1)).unwrap_err().to_string(),
        "wanted the name of a variant, or a table with that as its one key, found a number"
    );
    assert_eq!(
        to_value(&vec![u64::MAX]).unwrap_err().to_string(),
        "item 1: wanted an integer of 64 bits with a sign, found 18446744073709551615"
    );
}
