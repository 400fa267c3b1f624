//! Requests, waited for and awaited.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use abi_stable::std_types::{RBox, RVec};
use common::{raw_callback, references, until, world};
use dss_abi_v2::contract::*;
use dss_abi_v2::value::RawValue;
use dss_abi_v2::{Deadline, DeliverError, Phase, Request, RequestError, Rest, Value};

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(60);

/// Wakes a thread, and counts.
struct Bell(thread::Thread, AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell(thread::current(), AtomicUsize::new(0)));
    let waker = Waker::from(bell);
    let mut context = Context::from_waker(&waker);
    let mut future = Box::pin(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn string(text: &str) -> RawValue {
    RawValue::Bytes(RBox::new(RVec::from(text.as_bytes())))
}

#[test]
fn an_answer_is_what_lua_returned() {
    let world = world();
    let (callback, _) = world.callback();
    let dss = Arc::clone(&world.dss);
    let lua = thread::spawn(move || {
        let ticket = dss.next_request();
        let values = dss.begin(ticket);
        assert!(matches!(values[..], [RawValue::Integer(1), RawValue::Bytes(_)]));
        dss.complete(ticket, ENDED_ANSWERED, vec![RawValue::Boolean(true), string("yes")], "")
    });
    let answer: (bool, String) = world.library.request(&callback, (1, "x"), Deadline::none()).unwrap();
    assert_eq!(answer, (true, "yes".to_owned()));
    assert!(lua.join().unwrap());
}

#[test]
fn each_end_is_its_own() {
    let world = world();
    let (callback, _) = world.callback();
    let ends: [(u32, RequestError, &str); 6] = [
        (ENDED_COLLECTED, RequestError::Collected, "Lua dropped the deferred reply without calling it"),
        (ENDED_CANCELLED, RequestError::Cancelled, "the library cancelled the request"),
        (
            ENDED_CLOSED,
            RequestError::Closed,
            "the library was unregistered or the Lua state closed before Lua answered",
        ),
        (ENDED_TIMED_OUT, RequestError::TimedOut(Phase::Finish), "Lua did not answer the request in time"),
        (
            ENDED_DROPPED,
            RequestError::Dropped,
            "the request was dropped from the queue to make room for a later item",
        ),
        (99, RequestError::Other(99), "the request ended in way 99, which this library is too old to know"),
    ];
    for (ended, wanted, sentence) in ends {
        let future: Request<Rest> = world.library.request_async(&callback, (), Deadline::none());
        world.dss.complete(world.dss.next_request(), ended, Vec::new(), "x.lua:1: bad");
        let error = block_on(future).unwrap_err();
        assert_eq!(error.to_string(), sentence);
        assert_eq!(error, wanted);
    }
    let future: Request<u8> = world.library.request_async(&callback, (), Deadline::none());
    world.dss.complete(world.dss.next_request(), ENDED_ANSWERED, vec![string("x")], "");
    let error = block_on(future).unwrap_err();
    assert_eq!(error.to_string(), "Lua's answer does not fit: value 1: wanted an integer, found a string");
    let future: Request<(u8, u8)> = world.library.request_async(&callback, (), Deadline::none());
    world.dss.complete(world.dss.next_request(), ENDED_ANSWERED, vec![RawValue::Integer(1)], "");
    let error = block_on(future).unwrap_err();
    assert_eq!(error.to_string(), "Lua's answer does not fit: value 2: wanted an integer, found nothing");
}

#[test]
fn an_error_has_its_message_and_its_traceback_apart() {
    let world = world();
    let (callback, _) = world.callback();
    let future: Request<Rest> = world.library.request_async(&callback, (), Deadline::none());
    world.dss.complete(
        world.dss.next_request(),
        ENDED_FAILED,
        Vec::new(),
        "x.lua:1: bad\nstack traceback: ...",
    );
    let error = block_on(future).unwrap_err();
    assert_eq!(error.to_string(), "the Lua function failed: x.lua:1: bad\nstack traceback: ...");
    match error {
        RequestError::Failed(failure) => {
            assert_eq!(failure.message, "x.lua:1: bad");
            assert_eq!(failure.traceback, "stack traceback: ...");
        }
        other => panic!("{:?}", other),
    }
}

#[test]
fn the_values_of_a_refused_request_come_back() {
    let world = world();
    let (callback, id) = world.callback();
    let (carried, other) = world.callback();
    world.refuse(Code::FULL);
    let values = || (1, "x", carried.clone());
    let given = vec![Value::Integer(1), Value::from("x"), Value::Callback(carried.clone())];
    match world.library.request::<()>(&callback, values(), Deadline::none()) {
        Err(RequestError::Refused(refused)) => {
            assert_eq!(refused.reason, DeliverError::Full);
            assert_eq!(refused.values, given);
        }
        other => panic!("{:?}", other),
    }
    match block_on(world.library.request_async::<()>(&callback, values(), Deadline::within(LONG))) {
        Err(RequestError::Refused(refused)) => assert_eq!(refused.values, given),
        other => panic!("{:?}", other),
    }
    *world.dss.on_lua_thread.lock().unwrap() = true;
    match world.library.request::<()>(&callback, values(), Deadline::none()) {
        Err(RequestError::WouldDeadlock(values)) => assert_eq!(values, given),
        other => panic!("{:?}", other),
    }
    world.refuse(Code::WOULD_DEADLOCK);
    *world.dss.on_lua_thread.lock().unwrap() = false;
    match world.library.request::<()>(&callback, values(), Deadline::none()) {
        Err(RequestError::WouldDeadlock(values)) => assert_eq!(values, given),
        other => panic!("{:?}", other),
    }
    assert_eq!(references(other), 1);
    drop((given, carried, callback));
    assert_eq!((references(id), references(other)), (0, 0));
}

/// How a waiting request ends, by its deadlines, with a Lua that begins or does not.
fn timed(deadline: Deadline, begins: bool, answers_after: Option<Duration>) -> (RequestError, Duration) {
    let world = world();
    let (callback, _) = world.callback();
    *world.dss.begins.lock().unwrap() = begins;
    let dss = Arc::clone(&world.dss);
    let lua = answers_after.map(|after| {
        thread::spawn(move || {
            thread::sleep(after);
            until(|| dss.complete(1, ENDED_FAILED, Vec::new(), "answered"));
        })
    });
    let begun = Instant::now();
    let error = world.library.request::<()>(&callback, (), deadline).unwrap_err();
    let took = begun.elapsed();
    if let Some(lua) = lua {
        lua.join().unwrap();
    }
    assert_eq!(world.dss.open_requests(), 0);
    (error, took)
}

#[test]
fn deadlines_end_a_wait() {
    let (error, took) = timed(Deadline::within(SHORT), false, None);
    assert_eq!(error, RequestError::TimedOut(Phase::Finish));
    assert!(took >= SHORT, "{:?}", took);
    let (error, _) = timed(Deadline::within(SHORT), true, None);
    assert_eq!(error, RequestError::TimedOut(Phase::Finish));
    let (error, took) = timed(Deadline::within(LONG).start_within(SHORT), false, None);
    assert_eq!(error, RequestError::TimedOut(Phase::Start));
    assert!(took < LONG / 2);
    // Begun in time: that to start is of no account any more.
    let (error, _) = timed(Deadline::none().start_within(SHORT), true, Some(SHORT * 3));
    assert_eq!(error.to_string(), "the Lua function failed: answered");
    let (error, _) = timed(Deadline::within(SHORT * 2).start_within(SHORT), true, None);
    assert_eq!(error, RequestError::TimedOut(Phase::Finish));
    let (error, _) = timed(Deadline::within(Duration::ZERO), false, None);
    assert_eq!(error, RequestError::TimedOut(Phase::Finish));
    let (error, _) = timed(Deadline::within(Duration::MAX), true, Some(SHORT));
    assert_eq!(error.to_string(), "the Lua function failed: answered");
}

#[test]
fn deadlines_end_a_future() {
    let world = world();
    let (callback, _) = world.callback();
    let begun = Instant::now();
    let finish: Request<()> = world.library.request_async(&callback, 1, Deadline::within(SHORT * 2));
    let start: Request<()> =
        world.library.request_async(&callback, 2, Deadline::within(LONG).start_within(SHORT));
    assert_eq!(block_on(start).unwrap_err(), RequestError::TimedOut(Phase::Start));
    assert_eq!(block_on(finish).unwrap_err(), RequestError::TimedOut(Phase::Finish));
    assert!(begun.elapsed() >= SHORT * 2);

    // One that has begun has its second deadline yet.
    *world.dss.begins.lock().unwrap() = true;
    let both: Request<()> =
        world.library.request_async(&callback, 3, Deadline::within(SHORT * 3).start_within(SHORT));
    assert_eq!(block_on(both).unwrap_err(), RequestError::TimedOut(Phase::Finish));
    assert_eq!(world.dss.open_requests(), 0);
}

#[test]
fn a_future_that_is_dropped_cancels() {
    let world = world();
    let (callback, id) = world.callback();
    let (carried, other) = world.callback();
    let future: Request<()> = world.library.request_async(&callback, carried, Deadline::within(LONG));
    assert_eq!(world.dss.open_requests(), 1);
    assert_eq!(references(other), 1);
    drop(future);
    assert_eq!(world.dss.open_requests(), 0);
    assert_eq!(world.dss.ended.load(Ordering::SeqCst), i64::from(ENDED_CANCELLED));
    // The values were Lua's, and Lua's DSS dropped them.
    assert_eq!(references(other), 0);

    // One whose answer has come is not cancelled, and its answer is dropped.
    world.dss.ended.store(0, Ordering::SeqCst);
    let future: Request<()> = world.library.request_async(&callback, (), Deadline::none());
    let answer = RawValue::Callback(raw_callback(other));
    world.dss.complete(world.dss.next_request(), ENDED_ANSWERED, vec![answer], "");
    assert_eq!(references(other), 1);
    drop(future);
    assert_eq!(references(other), 0);
    assert_eq!(world.dss.ended.load(Ordering::SeqCst), 0);
    drop(callback);
    assert_eq!(references(id), 0);
}

#[test]
fn a_future_wakes_who_polled_last() {
    let world = world();
    let (callback, _) = world.callback();
    let mut future: Request<u8> = world.library.request_async(&callback, (), Deadline::none());
    let bells: Vec<_> = (0..2).map(|_| Arc::new(Bell(thread::current(), AtomicUsize::new(0)))).collect();
    let wakers: Vec<Waker> = bells.iter().map(|bell| Waker::from(Arc::clone(bell))).collect();
    for waker in [&wakers[0], &wakers[0], &wakers[1]] {
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert!(world.dss.complete(world.dss.next_request(), ENDED_ANSWERED, vec![RawValue::Integer(5)], ""));
    let rung: Vec<usize> = bells.iter().map(|bell| bell.1.load(Ordering::SeqCst)).collect();
    assert_eq!(rung, [0, 1]);
    assert_eq!(block_on(future).unwrap(), 5);
}

#[test]
fn a_ticket_cancels_a_request() {
    let world = world();
    let (callback, _) = world.callback();
    let future: Request<()> = world.library.request_async(&callback, (), Deadline::none());
    let ticket = future.ticket().unwrap();
    assert!(world.library.cancel(ticket));
    assert!(!world.library.cancel(ticket));
    assert_eq!(block_on(future).unwrap_err(), RequestError::Cancelled);
}

#[test]
fn many_futures_with_deadlines_end_once_each() {
    let world = world();
    let (callback, id) = world.callback();
    let futures: Vec<Request<u32>> = (0..2_000)
        .map(|at| {
            let finish = Duration::from_millis(1 + at % 50);
            world.library.request_async(&callback, at, Deadline::within(finish))
        })
        .collect();
    let dss = Arc::clone(&world.dss);
    let lua = thread::spawn(move || {
        let mut answered = 0;
        for ticket in 1..=2_000 {
            answered += usize::from(
                ticket % 3 == 0 && dss.complete(ticket, ENDED_ANSWERED, vec![RawValue::Integer(7)], ""),
            );
        }
        answered
    });
    let (mut answered, mut late) = (0, 0);
    for future in futures {
        match block_on(future) {
            Ok(7) => answered += 1,
            Err(RequestError::TimedOut(Phase::Finish)) => late += 1,
            other => panic!("{:?}", other),
        }
    }
    assert_eq!(answered, lua.join().unwrap());
    assert_eq!(answered + late, 2_000);
    until(|| world.dss.open_requests() == 0);
    drop(callback);
    assert_eq!(references(id), 0);
}

#[test]
#[should_panic(expected = "a request was polled after it was ready")]
fn a_future_is_ready_once() {
    let world = world();
    let (callback, _) = world.callback();
    let mut future: Request<()> = world.library.request_async(&callback, (), Deadline::none());
    world.dss.complete(world.dss.next_request(), ENDED_ANSWERED, Vec::new(), "");
    for _ in 0..2 {
        let _ = block_on(&mut future);
    }
}
