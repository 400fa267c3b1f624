//! Values far deeper than a stack: what is handed over is refused and dropped. A recursion would end the process.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::mem::forget;

use common::world;
use dss_abi_v2::{Bytes, DeliverError, Error, FromValue, FromValues, IntoValue, Rest, Value};

const DEEP: usize = 100_000;

fn list() -> Value {
    (0..DEEP).fold(Value::Integer(1), |value, _| Value::List(vec![value]))
}

/// Deep in its keys and in its values.
fn map() -> Value {
    (0..DEEP).fold(Value::Integer(1), |value, at| {
        Value::Map(vec![if at % 2 == 0 { (value, Value::Nil) } else { (Value::Nil, value) }])
    })
}

/// Runs `test` on a thread with a stack as small as those of threads may be.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(256 << 10).spawn(test).unwrap().join().unwrap();
}

const TOO_DEEP: &str = "lists and maps are nested more than 64 deep";

#[test]
fn a_delivery_is_refused() {
    on_small_stack(|| {
        let world = world();
        let (callback, _) = world.callback();
        for value in [list(), map()] {
            let refused = world.library.deliver(&callback, ("a", value, 2)).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("a value cannot be passed to Lua: value 2: {}", TOO_DEEP)
            );
            assert_eq!(refused.values.len(), 3);
            assert_eq!(refused.values[0], Value::from("a"));
            // What is left of it is as deep as may be, and can be dropped.
            assert_ne!(refused.values[1], Value::Nil);
        }
        let done = world.library.deliver_many([(&callback, list()), (&callback, map())]);
        assert!(matches!(done.refused, Some(DeliverError::Value(_))));
        assert_eq!((done.taken, done.rest.len()), (0, 2));
        drop(done);
        assert!(world.library.request::<()>(&callback, vec![map()], dss_abi_v2::Deadline::none()).is_err());
        let refused = world.library.deliver(&callback, Rest(vec![list(), list()])).unwrap_err();
        assert_eq!(refused.values.len(), 2);
        // What lies behind the one that is refused is dropped as it is.
        for value in
            [Value::List(vec![list(), map(), list()]), Value::Map(vec![(list(), map()), (map(), list())])]
        {
            assert!(world.library.deliver(&callback, value).is_err());
        }
        assert!(HashMap::<String, Value>::from_value(Value::Map(vec![(Value::Nil, list())])).is_err());
        assert!(world.dss.delivered.lock().unwrap().is_empty());
    });
}

#[test]
fn an_error_is_a_sentence_instead() {
    on_small_stack(|| {
        assert_eq!(Error::of(list()).as_str(), TOO_DEEP);
        assert_eq!(Error::of(vec![Some(map())]).as_str(), TOO_DEEP);
        let shallow = Error::of(vec![1, 2]);
        assert_eq!(shallow.as_str(), "(a table)");
    });
}

fn refused<T: FromValue + std::fmt::Debug>(value: Value) -> String {
    T::from_value(value).unwrap_err().to_string()
}

#[test]
fn types_that_want_something_else_drop_it() {
    on_small_stack(|| {
        assert_eq!(refused::<bool>(list()), "wanted a boolean, found a table");
        assert_eq!(refused::<u8>(map()), "wanted an integer, found a table");
        assert_eq!(refused::<f64>(list()), "wanted a number, found a table");
        assert_eq!(refused::<String>(list()), "wanted a string, found a table");
        assert_eq!(refused::<Bytes>(list()), "wanted a string, found a table");
        assert_eq!(refused::<Vec<u8>>(map()), "wanted a list, found a table with other keys");
        assert_eq!(refused::<Vec<u8>>(list()), "item 1: wanted an integer, found a table");
        let behind = Value::List(vec![Value::Nil, list(), map()]);
        assert_eq!(refused::<Vec<u8>>(behind), "item 1: wanted an integer, found nil");
        let behind = Value::Map(vec![(Value::Nil, Value::Nil), (list(), map())]);
        assert_eq!(refused::<HashMap<u8, u8>>(behind), "key nil: wanted an integer, found nil");
        assert_eq!(refused::<BTreeMap<u8, u8>>(list()), "field 1: wanted an integer, found a table");
        <()>::from_values(vec![list()]).unwrap();
        assert_eq!(<(u8, u8)>::from_values(vec![1.into(), 2.into(), list()]), Ok((1, 2)));
        assert_eq!(u8::from_values(vec![1.into(), list()]), Ok(1));
    });
}

#[test]
fn types_that_cannot_be_made_drop_what_was() {
    on_small_stack(|| {
        let list_of = vec![Some(list()), Some(map())];
        let made = list_of.into_value().unwrap();
        assert_eq!(made.kind(), "a table");
        forget(made);
        let wrong = vec![Ok(list()), Err(u64::MAX)];
        assert!(wrong.into_iter().map(Either).collect::<Vec<_>>().into_value().is_err());
        let wrong = BTreeMap::from([(1, Either(Ok(list()))), (2, Either(Err(u64::MAX)))]);
        assert!(wrong.into_value().is_err());
    });
}

/// A value, or a number that is none of Lua's.
struct Either(Result<Value, u64>);

impl IntoValue for Either {
    fn into_value(self) -> Result<Value, dss_abi_v2::ValueError> {
        match self.0 {
            Ok(value) => Ok(value),
            Err(number) => number.into_value(),
        }
    }
}

#[test]
fn it_is_compared_and_shown() {
    on_small_stack(|| {
        for (one, other, different) in [(list(), list(), map()), (map(), map(), list())] {
            assert!(one == other);
            assert!(one != different);
            let shown = format!("{:?}", one);
            assert!(shown.contains("...") && shown.len() < 10_000, "{}", shown.len());
            // They are the author's own.
            forget((one, other, different));
        }
    });
    let value = Value::Map(vec![(Value::from("k"), Value::List(vec![Value::Nil, Value::Float(0.5)]))]);
    assert_eq!(format!("{:?}", value), "Map([(Bytes([107]), List([Nil, Float(0.5)]))])");
    assert_ne!(Value::Float(f64::NAN), Value::Float(f64::NAN));
    assert_ne!(Value::List(vec![Value::Nil]), Value::List(vec![Value::Nil, Value::Nil]));
    assert_ne!(Value::List(Vec::new()), Value::Map(Vec::new()));
}

#[cfg(feature = "derive")]
#[test]
fn fields_that_nobody_takes_are_dropped() {
    #[derive(Debug, PartialEq, FromValue)]
    struct One {
        one: u8,
    }
    on_small_stack(|| {
        let table =
            |one: Value| Value::Map(vec![("other".into(), list()), ("one".into(), one), (map(), list())]);
        assert_eq!(One::from_value(table(1.into())), Ok(One { one: 1 }));
        assert_eq!(refused::<One>(table(list())), "field 'one': wanted an integer, found a table");
        assert_eq!(refused::<One>(list()), "field 'one': wanted an integer, found nothing");
    });
}

#[cfg(feature = "serde")]
mod with_serde {
    use super::*;
    use dss_abi_v2::{from_value, to_value};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    enum Nested {
        End,
        List(Vec<Nested>),
        Wrapped(Box<Nested>),
    }

    #[derive(Debug, Serialize)]
    struct Chain(Option<Box<Chain>>);

    #[test]
    fn serde_is_told_before_it_recurses() {
        on_small_stack(|| {
            assert_eq!(from_value::<Vec<u8>>(list()).unwrap_err().to_string(), TOO_DEEP);
            assert_eq!(from_value::<Nested>(map()).unwrap_err().to_string(), TOO_DEEP);
        });
    }

    #[test]
    fn serde_is_stopped_as_it_recurses() {
        on_small_stack(|| {
            let lists = (0..DEEP).fold(Nested::End, |inner, _| Nested::List(vec![inner]));
            assert!(to_value(&lists).unwrap_err().to_string().ends_with(TOO_DEEP));
            let wrapped = (0..DEEP).fold(Nested::End, |inner, _| Nested::Wrapped(Box::new(inner)));
            assert!(to_value(&wrapped).unwrap_err().to_string().ends_with(TOO_DEEP));
            let chain = (0..DEEP).fold(Chain(None), |inner, _| Chain(Some(Box::new(inner))));
            assert!(to_value(&chain).unwrap_err().to_string().ends_with(TOO_DEEP));
            // They are the author's own.
            forget((lists, wrapped, chain));
        });
        let fits = (0..31).fold(Nested::End, |inner, _| Nested::List(vec![inner]));
        assert!(to_value(&fits).is_ok());
        let chain = (0..100).fold(Chain(None), |inner, _| Chain(Some(Box::new(inner))));
        assert_eq!(to_value(&chain), Ok(Value::Nil));
    }
}
