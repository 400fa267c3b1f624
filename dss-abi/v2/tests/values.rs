//! Conversions, there and back, and what they say where they fail.

mod common;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::convert::TryFrom;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dss_abi_v2::{Bytes, Callback, FromValue, FromValues, IntoValue, Rest, Value, ValueError};

fn round<T: IntoValue + FromValue + Clone + PartialEq + Debug>(value: T, raw: Value) {
    assert_eq!(value.clone().into_value().unwrap(), raw);
    assert_eq!(T::from_value(raw).unwrap(), value);
}

fn error<T: FromValue + Debug>(value: impl IntoValue) -> String {
    T::from_value(value.into_value().unwrap()).unwrap_err().to_string()
}

#[test]
fn values_go_round() {
    round(true, Value::Boolean(true));
    round(-5_i8, Value::Integer(-5));
    round(i64::MIN, Value::Integer(i64::MIN));
    round(u16::MAX, Value::Integer(65_535));
    round(7_usize, Value::Integer(7));
    round(7_u128, Value::Integer(7));
    round(0.25_f32, Value::Float(0.25));
    round(0.1_f64, Value::Float(0.1));
    round("a".to_owned(), Value::Bytes(vec![b'a']));
    round(Bytes(vec![0, 255]), Value::Bytes(vec![0, 255]));
    round(PathBuf::from("/tmp/a"), Value::from("/tmp/a"));
    round(Duration::from_millis(1500), Value::Float(1.5));
    round(Some(1_u8), Value::Integer(1));
    round(None::<u8>, Value::Nil);
    round(vec![1_u8, 2], Value::List(vec![Value::Integer(1), Value::Integer(2)]));
    round([true, false], Value::List(vec![Value::Boolean(true), Value::Boolean(false)]));
    round(BTreeMap::from([("a".to_owned(), 1_u8)]), Value::Map(vec![(Value::from("a"), Value::Integer(1))]));
    round(HashMap::from([(1_u8, true)]), Value::Map(vec![(Value::Integer(1), Value::Boolean(true))]));
    assert_eq!("a".into_value().unwrap(), Value::from(Cow::Borrowed("a")));
    assert_eq!(Path::new("a").into_value().unwrap(), Value::from("a".to_owned()));
    assert_eq!(u8::try_from(Value::Integer(3)), Ok(3));
    assert_eq!(Value::try_from(3_u64), Ok(Value::Integer(3)));
}

#[test]
fn whole_floats_are_integers_and_small_integers_floats() {
    assert_eq!(i64::from_value(Value::Float(-3.0)), Ok(-3));
    assert_eq!(i64::from_value(Value::Float(-9_007_199_254_740_992.0)), Ok(-(1 << 53)));
    assert_eq!(f64::from_value(Value::Integer(1 << 53)), Ok(9_007_199_254_740_992.0));
    assert_eq!(f64::from_value(Value::Integer(i64::MIN)), Ok(-9_223_372_036_854_775_808.0));
    assert_eq!(
        error::<i64>(9_007_199_254_740_994.0),
        "wanted an integer, found 9007199254740994.0, a float past 2^53, which may be rounded"
    );
    assert_eq!(error::<i64>(1.5), "wanted an integer, found 1.5");
    assert_eq!(error::<i64>(f64::NAN), "wanted an integer, found NaN");
    assert_eq!(
        error::<f64>((1_i64 << 53) + 1),
        "wanted a number that a float can hold, found 9007199254740993"
    );
    assert_eq!(error::<f64>(i64::MAX), "wanted a number that a float can hold, found 9223372036854775807");
}

#[test]
fn tables_of_other_shapes_are_read() {
    assert_eq!(Vec::<u8>::from_value(Value::Map(Vec::new())), Ok(Vec::new()));
    assert_eq!(HashMap::<u8, u8>::from_value(Value::List(Vec::new())), Ok(HashMap::new()));
    let list = Value::List(vec![Value::from("a"), Value::from("b")]);
    assert_eq!(
        BTreeMap::<i32, String>::from_value(list),
        Ok(BTreeMap::from([(1, "a".to_owned()), (2, "b".to_owned())]))
    );
}

#[test]
fn errors_say_what_and_where() {
    assert_eq!(error::<bool>(1), "wanted a boolean, found a number");
    assert_eq!(error::<bool>(None::<u8>), "wanted a boolean, found nil");
    assert_eq!(error::<String>(1), "wanted a string, found a number");
    assert_eq!(
        error::<String>(Bytes(vec![0xff])),
        "wanted a string in UTF-8, found a string with invalid UTF-8 at byte 1"
    );
    assert_eq!(error::<Bytes>(true), "wanted a string, found a boolean");
    assert_eq!(error::<u8>(-1), "wanted an integer from 0 to 255, found -1");
    assert_eq!(error::<i8>(200), "wanted an integer from -128 to 127, found 200");
    assert_eq!(error::<u64>("1"), "wanted an integer, found a string");
    assert_eq!(error::<f32>("1"), "wanted a number, found a string");
    assert_eq!(error::<Duration>(-0.5), "wanted a number of seconds that is not negative, found -0.5");
    assert_eq!(
        error::<Duration>(f64::INFINITY),
        "wanted a number of seconds that is not negative, found inf"
    );
    assert_eq!(error::<Duration>("1"), "wanted a number of seconds, found a string");
    assert_eq!(error::<PathBuf>(1), "wanted a path, found a number");
    assert_eq!(error::<Callback>("f"), "wanted a function, found a string");
    assert_eq!(error::<Vec<u8>>(1), "wanted a list, found a number");
    assert_eq!(error::<Vec<u8>>(HashMap::from([("a", 1)])), "wanted a list, found a table with other keys");
    assert_eq!(error::<Vec<u8>>(vec![1, 256]), "item 2: wanted an integer from 0 to 255, found 256");
    assert_eq!(error::<[u8; 3]>(vec![1]), "wanted a list of 3 items, found one of 1");
    assert_eq!(
        error::<HashMap<String, Vec<u8>>>(HashMap::from([("a", vec!["x"])])),
        "field 'a': item 1: wanted an integer, found a string"
    );
    assert_eq!(
        error::<HashMap<String, u8>>(HashMap::from([(true, 1)])),
        "key true: wanted a string, found a boolean"
    );
    let into = |value: Result<Value, ValueError>| value.unwrap_err().to_string();
    assert_eq!(
        into(vec![u64::MAX].into_value()),
        "item 1: wanted a signed 64-bit integer, found 18446744073709551615"
    );
    assert_eq!(
        into(BTreeMap::from([("k", i128::MIN)]).into_value()),
        "field 'k': wanted a signed 64-bit integer, found -170141183460469231731687303715884105728"
    );
}

#[test]
fn several_values_are_a_tuple_or_the_rest() {
    let values = || vec![Value::Integer(1), Value::from("b")];
    assert_eq!(<(u8, String)>::from_values(values()), Ok((1, "b".to_owned())));
    assert_eq!(<(u8,)>::from_values(values()), Ok((1,)));
    assert_eq!(u8::from_values(values()), Ok(1));
    assert_eq!(<()>::from_values(values()), Ok(()));
    assert_eq!(Rest::from_values(values()), Ok(Rest(values())));
    assert_eq!(<(u8, String, Option<u8>)>::from_values(values()), Ok((1, "b".to_owned(), None)));
    let error = <(u8, String, u8)>::from_values(values()).unwrap_err();
    assert_eq!(error.to_string(), "value 3: wanted an integer, found nothing");
    assert_eq!(format!("{:?}", error), "ValueError(\"value 3: wanted an integer, found nothing\")");
}

#[test]
fn callbacks_are_values() {
    let world = common::world();
    let (callback, id) = world.callback();
    round(callback.clone(), Value::Callback(callback.clone()));
    assert_eq!(format!("{:?}", callback), format!("Callback({:#x})", id));
    drop(callback);
    assert_eq!(common::references(id), 0);
}
