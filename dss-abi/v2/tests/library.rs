//! Deliveries: what is taken is Lua's, and what is refused comes back.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{references, world};
use dss_abi_v2::contract::*;
use dss_abi_v2::value::{RawValue, MAX_DEPTH};
use dss_abi_v2::{object, AnyObject, Bytes, DeliverError, LibraryError, Limits, Policy, Rest, Value};
use std::time::Duration;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Thing(u8);
object! { Thing as "thing" }

impl Drop for Thing {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_is_taken_is_luas() {
    let world = world();
    let (callback, id) = world.callback();
    let (carried, other) = world.callback();
    let delivered = world.library.deliver(&callback, (1, 2.5, carried.clone())).unwrap();
    assert!(delivered.announced);
    assert_eq!(references(other), 2);
    drop(carried);
    assert_eq!(references(other), 1);
    {
        let delivered = world.dss.delivered.lock().unwrap();
        assert_eq!(delivered[0].0, id);
        assert!(matches!(
            delivered[0].1[..],
            [RawValue::Integer(1), RawValue::Float(_), RawValue::Callback(_)]
        ));
    }
    world.dss.delivered.lock().unwrap().clear();
    assert_eq!(references(other), 0);
}

#[test]
fn the_last_reference_is_handed_over() {
    let world = world();
    let (callback, _) = world.callback();
    let (carried, other) = world.callback();
    *world.dss.retain.lock().unwrap() = Some(Code::INVALID_CALLBACK);
    world.library.deliver(&callback, carried).unwrap();
    assert_eq!(references(other), 1);
}

#[test]
fn bytes_are_not_copied() {
    let world = world();
    let (callback, _) = world.callback();
    let bytes = vec![7_u8; 1 << 20];
    let address = bytes.as_ptr();
    world.library.deliver(&callback, Bytes(bytes)).unwrap();
    match &world.dss.delivered.lock().unwrap()[0].1[0] {
        RawValue::Bytes(raw) => assert_eq!(raw.as_ptr(), address),
        _ => panic!("it is bytes"),
    };
}

#[test]
fn more_than_eight_values_go_too() {
    let world = world();
    let (callback, _) = world.callback();
    for count in [0, 1, 8, 9, 20] {
        world.library.deliver(&callback, Rest((0..count).map(Value::Integer).collect())).unwrap();
        let (_, values, _) = world.dss.delivered.lock().unwrap().pop().unwrap();
        let values: Vec<i64> = values
            .iter()
            .map(|value| match value {
                RawValue::Integer(value) => *value,
                _ => panic!("it is an integer"),
            })
            .collect();
        assert_eq!(values, (0..count).collect::<Vec<_>>());
        world.refuse(Code::FULL);
        let refused =
            world.library.deliver(&callback, Rest((0..count).map(Value::Integer).collect())).unwrap_err();
        assert_eq!(refused.values, (0..count).map(Value::Integer).collect::<Vec<_>>());
        *world.dss.refuse.lock().unwrap() = None;
    }
}

#[test]
fn what_is_refused_comes_back() {
    let world = world();
    let (callback, _) = world.callback();
    let (carried, other) = world.callback();
    world.refuse(Code::FULL);
    let before = DROPPED.load(Ordering::SeqCst);
    let list = Value::List(vec![Value::Map(vec![(Value::from("k"), Value::Float(0.5))])]);
    let refused = world.library.deliver(&callback, (Thing(9), carried.clone(), list)).unwrap_err();
    assert_eq!(refused.reason, DeliverError::Full);
    assert_eq!(refused.to_string(), "the library's queue is full: try again when Lua has taken some items");
    assert_eq!(references(other), 2);
    let mut values = refused.values.into_iter();
    match values.next() {
        Some(Value::Object(object)) => {
            assert_eq!(object.class_name(), "thing");
            assert_eq!(object.downcast::<Thing>().unwrap().0, 9);
        }
        other => panic!("{:?}", other),
    }
    assert_eq!(DROPPED.load(Ordering::SeqCst), before + 1);
    assert_eq!(values.next(), Some(Value::Callback(carried.clone())));
    assert_eq!(
        values.next(),
        Some(Value::List(vec![Value::Map(vec![(Value::from("k"), Value::Float(0.5))])]))
    );
    drop(carried);
    assert_eq!(references(other), 0);

    *world.dss.refuse.lock().unwrap() = None;
    drop(AnyObject::new(Thing(1)));
    world.library.deliver(&callback, Thing(2)).unwrap();
    assert_eq!(DROPPED.load(Ordering::SeqCst), before + 2);
    world.dss.delivered.lock().unwrap().clear();
    assert_eq!(DROPPED.load(Ordering::SeqCst), before + 3);
}

#[test]
fn what_is_no_value_is_refused_before_lua_sees_it() {
    let world = world();
    let (callback, _) = world.callback();
    let refused = world.library.deliver(&callback, ("a", u64::MAX, "b")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a value cannot be passed to Lua: value 2: wanted a signed 64-bit integer, found 18446744073709551615"
    );
    assert_eq!(refused.values, [Value::from("a"), Value::Nil, Value::from("b")]);

    let deep = |depth: usize| (0..depth).fold(Value::Integer(1), |value, _| Value::List(vec![value]));
    world.library.deliver(&callback, deep(MAX_DEPTH)).unwrap();
    let refused = world.library.deliver(&callback, (1, deep(MAX_DEPTH + 1))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a value cannot be passed to Lua: value 2: lists and maps are nested more than 64 deep"
    );
    assert_eq!(refused.values, [Value::Integer(1), deep(MAX_DEPTH + 1)]);

    // A dead callback, among others.
    let (carried, other) = world.callback();
    *world.dss.retain.lock().unwrap() = Some(Code::INVALID_CALLBACK);
    let list = || Value::List(vec![Value::Integer(1), Value::Callback(carried.clone()), Value::Integer(2)]);
    let map = Value::Map(vec![(Value::from("k"), list())]);
    let refused = world.library.deliver(&callback, map).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "a value cannot be passed to Lua: value 1: a callback is dead, because its Lua state has closed"
    );
    assert_eq!(refused.values, [Value::Map(vec![(Value::from("k"), list())])]);
    drop((refused, carried));
    assert_eq!(references(other), 0);
    assert_eq!(world.dss.delivered.lock().unwrap().len(), 1);
}

#[test]
fn keys_go_along() {
    let world = world();
    let (callback, _) = world.callback();
    world.library.deliver_keyed(&callback, "a key", 1).unwrap();
    world.library.deliver(&callback, 1).unwrap();
    let delivered = world.dss.delivered.lock().unwrap();
    assert_eq!(delivered[0].2, b"a key");
    assert!(delivered[1].2.is_empty());
}

#[test]
fn a_batch_gives_its_rest_back() {
    let world = world();
    let (one, first) = world.callback();
    let (two, second) = world.callback();
    *world.dss.room.lock().unwrap() = Some(2);
    let items = [(&one, (1, "a")), (&two, (2, "b")), (&one, (3, "c")), (&two, (4, "d"))];
    let done = world.library.deliver_many(items);
    assert_eq!(done.taken, 2);
    assert_eq!(done.tickets.len(), 2);
    assert_eq!(done.refused, Some(DeliverError::Full));
    let rest = vec![
        (one.clone(), vec![Value::Integer(3), Value::from("c")]),
        (two.clone(), vec![Value::Integer(4), Value::from("d")]),
    ];
    assert_eq!(done.rest, rest);
    drop(done);
    let taken: Vec<u64> = world.dss.delivered.lock().unwrap().iter().map(|item| item.0).collect();
    assert_eq!(taken, [first, second]);

    // One that is no value of Lua's ends the batch.
    *world.dss.room.lock().unwrap() = None;
    let done = world.library.deliver_many([(&one, 1_u64), (&one, u64::MAX), (&one, 3)]);
    assert_eq!(done.taken, 1);
    assert!(matches!(done.refused, Some(DeliverError::Value(_))));
    assert_eq!(done.rest, vec![(one.clone(), vec![Value::Nil]), (one.clone(), vec![Value::Integer(3)])]);
    drop(done);
    let done = world.library.deliver_many(Vec::<(&dss_abi_v2::Callback, ())>::new());
    assert_eq!((done.taken, done.refused, done.rest.len()), (0, None, 0));
    drop((rest, one, two));
    assert_eq!((references(first), references(second)), (0, 0));
}

#[test]
fn all_of_a_callback_is_cancelled() {
    let world = world();
    let ((one, _), (two, _)) = (world.callback(), world.callback());
    for callback in [&one, &two, &one] {
        world.library.deliver(callback, ()).unwrap();
    }
    assert_eq!(world.library.cancel_all(&one), 2);
    assert_eq!(world.dss.ended.load(Ordering::Relaxed), i64::from(ENDED_CANCELLED));
    assert_eq!(world.library.cancel_all(&two), 1);
}

#[test]
fn the_library_is_managed() {
    let world = world();
    let limits = Limits::new().items(5).bytes(6).policy(Policy::Wait(Duration::from_millis(7)));
    world.library.limit(limits).unwrap();
    let raw = RawLimits { items: 5, bytes: 6, policy: POLICY_WAIT, wait: 7_000_000 };
    assert_eq!(*world.dss.limits.lock().unwrap(), Some(raw));
    world.library.limit(Limits::default().policy(Policy::Wait(Duration::MAX))).unwrap();
    assert_eq!(world.dss.limits.lock().unwrap().unwrap().wait, u64::MAX);
    world.library.keep_alive(false).unwrap();
    let hold = world.library.hold().unwrap();
    let more = world.library.hold().unwrap();
    assert_eq!(world.dss.holds.load(Ordering::Relaxed), 2);
    drop(hold);
    std::thread::spawn(move || drop(more)).join().unwrap();
    assert_eq!(world.dss.holds.load(Ordering::Relaxed), 0);
    world.library.unregister().unwrap();
    world.refuse(Code::INVALID_HANDLE);
    assert_eq!(world.library.keep_alive(true), Err(LibraryError::Unregistered));
    assert_eq!(world.library.hold().unwrap_err(), LibraryError::Unregistered);
    let (callback, _) = world.callback();
    let reasons = [
        (Code::INVALID_HANDLE, DeliverError::Unregistered),
        (Code::STOPPING, DeliverError::Closing),
        (Code::OUT_OF_MEMORY, DeliverError::OutOfMemory),
        (Code::TIMED_OUT, DeliverError::TimedOut),
        (Code::INVALID_CALLBACK, DeliverError::InvalidCallback),
        (Code::TOO_DEEP, DeliverError::TooDeep),
        (Code::TOO_LARGE, DeliverError::TooLarge),
        (Code(77), DeliverError::Other(77)),
    ];
    for (code, reason) in reasons {
        world.refuse(code);
        assert_eq!(world.library.deliver(&callback, ()).unwrap_err().reason, reason);
    }
    assert_eq!(
        DeliverError::Other(77).to_string(),
        "DSS refused the item for reason 77, which this library is too old to know"
    );
}
