//! An author's unit tests, with no Lua and no DSS: deliveries, requests, what is held, and what is refused.
#![cfg(feature = "testing")]

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use dss_abi_v2::testing::TestState;
use dss_abi_v2::{
    object, Callback, Deadline, DeliverError, Error, Hold, Library, LibraryError, Limits, Nil, ObjectRef,
    Phase, Policy, RequestError, Rest, Result, Value,
};

const LONG: Duration = Duration::from_secs(20);

/// What an author writes: it watches on a thread of its own, and is held open until it is closed.
struct Watcher {
    stop: std::sync::mpsc::Sender<()>,
    _hold: Hold,
}

object! { Watcher as "watcher", methods: { stop } }

fn watch(library: &Library, path: String, changed: Callback) -> Result<Watcher> {
    if path.is_empty() {
        return Err(Error::new("a path must not be empty"));
    }
    library.limit(Limits::new().items(100).policy(Policy::Latest))?;
    let (stop, stopped) = channel();
    let (hold, library) = (library.hold()?, *library);
    thread::Builder::new().spawn(move || {
        let _ = library.deliver_keyed(&changed, &path, (Nil, path.as_str()));
        let _ = stopped.recv();
        library.cancel_all(&changed)
    })?;
    Ok(Watcher { stop, _hold: hold })
}

impl Watcher {
    fn stop(&self, _: &Library) {
        let _ = self.stop.send(());
    }
}

#[test]
fn what_is_delivered_is_looked_at() {
    let state = TestState::new();
    let library = state.library();
    assert_eq!(
        watch(&library, String::new(), state.callback()).err().unwrap().as_str(),
        "a path must not be empty"
    );
    let changed = state.callback();
    let watcher = watch(&library, "/tmp".to_owned(), changed.clone()).unwrap();
    assert_eq!(state.limits(), Some(Limits::new().items(100).policy(Policy::Latest)));
    assert_eq!((state.holds(), state.references(&changed)), (1, 1));
    let call = state.next(LONG).unwrap();
    assert_eq!((&call.callback, &call.key[..], call.is_request), (&changed, &b"/tmp"[..], false));
    assert_eq!(call.values, [Value::Nil, Value::from("/tmp")]);
    drop(call);
    watcher.stop(&library);
    drop(watcher);
    assert_eq!(state.holds(), 0);
    while state.references(&changed) > 0 {
        thread::yield_now();
    }
    assert!(state.next(Duration::ZERO).is_none());
    let other = state.callback();
    assert_ne!(other, changed);
    assert_ne!(TestState::new().callback(), other);
}

#[test]
fn deliveries_come_in_order_and_are_cancelled() {
    let state = TestState::new();
    let (library, one, two) = (state.library(), state.callback(), state.callback());
    let first = library.deliver(&one, 1).unwrap();
    let done = library.deliver_many([(&two, (2, "two")), (&one, (3, "three"))]);
    assert_eq!((done.taken, done.tickets.len()), (2, 2));
    assert_eq!(state.queued(), 3);
    assert!(library.cancel(done.tickets[1]));
    assert!(!library.cancel(done.tickets[1]));
    library.deliver(&one, Rest(vec![4.into(), Nil.into()])).unwrap();
    let calls = state.take();
    let values: Vec<_> = calls.iter().map(|call| &call.values[0]).collect();
    assert_eq!(values, [&Value::Integer(1), &Value::Integer(2), &Value::Integer(4)]);
    assert_eq!(calls[0].ticket, first.ticket);
    assert!(!library.cancel(first.ticket), "Lua has it");
    library.deliver(&one, 5).unwrap();
    library.deliver(&two, 6).unwrap();
    assert_eq!(library.cancel_all(&one), 1);
    assert_eq!(state.queued(), 1);
}

#[test]
fn objects_go_there_and_back() {
    struct Door(u8);
    object! { Door as "door" }
    fn number(_: &Library, door: ObjectRef<'_, Door>) -> u8 {
        door.0
    }
    let state = TestState::new();
    let (library, callback) = (state.library(), state.callback());
    assert_eq!(number(&library, ObjectRef::of(&Door(3))), 3);
    library.deliver(&callback, (Door(7), callback.clone())).unwrap();
    let mut values = state.take().remove(0).values.into_iter();
    match values.next() {
        Some(Value::Object(object)) => assert_eq!(object.downcast::<Door>().unwrap().0, 7),
        other => panic!("{:?}", other),
    }
    assert_eq!(values.next(), Some(Value::Callback(callback)));
}

#[test]
fn requests_are_answered_by_the_test() {
    let state = TestState::elsewhere();
    let (library, callback) = (state.library(), state.callback());
    let ask = |number: i64| {
        let callback = callback.clone();
        thread::spawn(move || library.request::<(i64, String)>(&callback, number, Deadline::within(LONG)))
    };
    let asked = ask(1);
    let call = state.next(LONG).unwrap();
    assert!(call.is_request && state.pending() == 1);
    assert_eq!(call.values, [Value::Integer(1)]);
    assert!(call.answer((7, "seven")));
    assert_eq!(asked.join().unwrap(), Ok((7, "seven".to_owned())));
    let asked = ask(2);
    assert!(state.next(LONG).unwrap().fail("no such user"));
    match asked.join().unwrap() {
        Err(RequestError::Failed(failure)) => assert_eq!(failure.message, "no such user"),
        other => panic!("{:?}", other),
    }
    let asked = ask(3);
    drop(state.next(LONG).unwrap());
    assert_eq!(asked.join().unwrap(), Err(RequestError::Collected));
    let asked = ask(4);
    let call = state.next(LONG).unwrap();
    assert!(library.cancel(call.ticket));
    assert_eq!(asked.join().unwrap(), Err(RequestError::Cancelled));
    assert!(!call.answer(1), "it is over");
    let late: Result<(), _> = library.request(&callback, 5, Deadline::none().start_within(Duration::ZERO));
    assert_eq!(late, Err(RequestError::TimedOut(Phase::Start)));
    assert_eq!((state.pending(), state.queued()), (0, 0));
    library.deliver(&callback, 6).unwrap();
    assert!(!state.next(LONG).unwrap().answer(()), "nobody waits");
}

#[test]
fn functions_of_the_test_answer_by_themselves() {
    let state = TestState::new();
    let library = state.library();
    let double = state.answering(|values| match values[..] {
        [Value::Integer(number)] => Ok(Value::Integer(number * 2)),
        [] => panic!("on purpose"),
        _ => Err("wanted a number".into()),
    });
    // On the Lua thread nothing may wait for Lua, here as there.
    let here: Result<i64, _> = library.request(&double, 4, Deadline::none());
    assert_eq!(here, Err(RequestError::WouldDeadlock(vec![Value::Integer(4)])));
    assert!(library.on_lua_thread());
    let there = {
        let double = double.clone();
        thread::spawn(move || {
            let answer: Result<i64, _> = library.request(&double, 4, Deadline::none());
            let error: Result<i64, _> = library.request(&double, "x", Deadline::none());
            let panic: Result<i64, _> = library.request(&double, (), Deadline::none());
            (answer, error.unwrap_err().to_string(), panic.unwrap_err().to_string())
        })
    };
    let (answer, error, panic) = there.join().unwrap();
    assert_eq!(answer, Ok(8));
    assert_eq!(error, "the Lua function failed: wanted a number");
    assert_eq!(panic, "the Lua function failed: on purpose");
    assert_eq!((state.queued(), state.pending()), (0, 0));
    library.deliver(&double, 9).unwrap();
    assert_eq!(state.queued(), 1);
}

#[test]
fn what_is_refused_comes_back_and_the_end_is_the_end() {
    let state = TestState::elsewhere();
    let (library, callback) = (state.library(), state.callback());
    state.refuse(DeliverError::Full);
    let refused = library.deliver(&callback, "a").unwrap_err();
    assert_eq!((refused.reason, refused.values), (DeliverError::Full, vec![Value::from("a")]));
    state.accept();
    library.keep_alive(false).unwrap();
    assert_eq!((state.keep_alive(), state.is_registered()), (Some(false), true));
    assert_eq!(library.limit(Limits::new().items(0)), Err(LibraryError::Malformed));
    library.deliver(&callback, 1).unwrap();
    let waiting = {
        let callback = callback.clone();
        thread::spawn(move || library.request::<()>(&callback, 2, Deadline::within(LONG)))
    };
    while state.pending() == 0 {
        thread::yield_now();
    }
    let hold = library.hold().unwrap();
    state.close();
    assert_eq!(waiting.join().unwrap(), Err(RequestError::Closed));
    assert_eq!((state.queued(), state.holds(), state.is_registered()), (0, 0, false));
    drop(hold);
    assert_eq!(library.deliver(&callback, 3).unwrap_err().reason, DeliverError::Unregistered);
    assert_eq!(library.unregister(), Err(LibraryError::Unregistered));
    assert_eq!(library.hold().unwrap_err(), LibraryError::Unregistered);
    let other = TestState::new();
    assert_eq!(other.library().unregister(), Ok(()));
    assert_eq!(other.library().deliver(&other.callback(), 1).unwrap_err().reason, DeliverError::Unregistered);
    let foreign = other.library().deliver(&callback, 1).unwrap_err();
    assert_eq!(foreign.reason, DeliverError::Unregistered);
    let foreign = TestState::new().library().deliver(&callback, 1).unwrap_err();
    assert_eq!(foreign.reason, DeliverError::InvalidCallback);
}
