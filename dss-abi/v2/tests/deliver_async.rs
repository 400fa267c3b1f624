//! Deliveries that are awaited: they wait for room, and no thread does.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use common::{references, until, world, World};
use dss_abi_v2::contract::Code;
use dss_abi_v2::value::RawValue;
use dss_abi_v2::{object, DeliverError, Delivery, Value};

/// A task: how often it was woken.
#[derive(Default)]
struct Task {
    woken: Mutex<usize>,
    wakes: Condvar,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() += 1;
        self.wakes.notify_all();
    }
}

impl Task {
    /// Waits for more wake-ups than `known`; how many there were.
    fn sleep(&self, known: usize) -> usize {
        let mut woken = self.woken.lock().unwrap();
        while *woken <= known {
            woken = self.wakes.wait(woken).unwrap();
        }
        *woken
    }
}

fn poll(task: &Arc<Task>, delivery: &mut Delivery) -> Poll<<Delivery as Future>::Output> {
    let waker = Waker::from(Arc::clone(task));
    Pin::new(delivery).poll(&mut Context::from_waker(&waker))
}

/// Awaits a delivery on this thread; and how often it was polled.
fn block_on(mut delivery: Delivery) -> (<Delivery as Future>::Output, usize) {
    let (task, mut woken, mut polls) = (Arc::new(Task::default()), 0, 0);
    loop {
        polls += 1;
        if let Poll::Ready(done) = poll(&task, &mut delivery) {
            return (done, polls);
        }
        woken = task.sleep(woken);
    }
}

fn room(world: &World, room: usize) {
    *world.dss.room.lock().unwrap() = Some(room);
}

fn numbers(world: &World) -> Vec<i64> {
    let number = |values: &[RawValue]| match values[0] {
        RawValue::Integer(number) => number,
        _ => panic!("it is a number"),
    };
    world.dss.delivered.lock().unwrap().iter().map(|(_, values, _)| number(values)).collect()
}

#[test]
fn where_there_is_room_it_is_delivered_by_the_first_poll() {
    let world = world();
    let (callback, id) = world.callback();
    let delivery = world.library.deliver_async(&callback, (1, "a"));
    assert!(world.dss.delivered.lock().unwrap().is_empty());
    let (done, polls) = block_on(delivery);
    let done = done.unwrap();
    assert!(done.announced && polls == 1);
    assert_eq!(world.dss.delivered.lock().unwrap()[0].0, id);
    let (other, _) = block_on(world.library.deliver_async(&callback, ()));
    assert_ne!(other.unwrap().ticket, done.ticket);
}

#[test]
fn it_waits_for_room_that_nobody_tells_of() {
    let world = world();
    let (callback, _) = world.callback();
    room(&world, 0);
    let task = Arc::new(Task::default());
    let mut delivery = world.library.deliver_async(&callback, 7);
    assert!(poll(&task, &mut delivery).is_pending());
    assert_eq!(format!("{:?}", delivery), "Delivery(waiting)");
    // As long as there is none, it is polled again and again, once for each time that it is woken.
    let mut woken = 0;
    for polls in 1..8 {
        woken = task.sleep(woken);
        assert_eq!(world.dss.batches.load(Ordering::Relaxed), polls);
        assert_eq!(woken as u64, polls);
        assert!(poll(&task, &mut delivery).is_pending());
    }
    room(&world, 1);
    woken = task.sleep(woken);
    assert!(matches!(poll(&task, &mut delivery), Poll::Ready(Ok(_))));
    assert_eq!((numbers(&world), woken), (vec![7], 8));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let world = world();
    let (callback, _) = world.callback();
    room(&world, 0);
    let (first, last) = (Arc::new(Task::default()), Arc::new(Task::default()));
    let mut delivery = world.library.deliver_async(&callback, 7);
    // Until the timer looks, the slot waits once, for whoever polled last.
    loop {
        let before = *first.woken.lock().unwrap();
        assert!(poll(&first, &mut delivery).is_pending());
        assert!(poll(&last, &mut delivery).is_pending());
        last.sleep(0);
        if *first.woken.lock().unwrap() == before {
            break;
        }
    }
}

#[test]
fn many_wait_and_each_is_delivered_once() {
    let world = Arc::new(world());
    room(&world, 0);
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let world = Arc::clone(&world);
            std::thread::spawn(move || {
                let (callback, id) = world.callback();
                for at in 0..100 {
                    block_on(world.library.deliver_async(&callback, at * 8 + thread)).0.unwrap();
                }
                drop(callback);
                id
            })
        })
        .collect();
    // Room for a few at a time.
    for taken in 1..=100 {
        room(&world, 8);
        until(|| world.dss.delivered.lock().unwrap().len() == taken * 8);
    }
    let ids: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let mut delivered = numbers(&world);
    // Of each thread's, one comes after the other.
    for thread in 0..8 {
        let own: Vec<i64> = delivered.iter().copied().filter(|number| number % 8 == thread).collect();
        assert!(own.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", own);
    }
    delivered.sort_unstable();
    assert_eq!(delivered, (0..800).collect::<Vec<_>>());
    assert!(ids.iter().all(|id| references(*id) == 0));
}

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Thing;
object! { Thing as "thing" }

impl Drop for Thing {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn one_that_is_dropped_is_taken_back() {
    let world = world();
    let (callback, id) = world.callback();
    room(&world, 0);
    let task = Arc::new(Task::default());
    let mut delivery = world.library.deliver_async(&callback, Thing);
    assert!(poll(&task, &mut delivery).is_pending());
    drop(callback);
    assert_eq!((references(id), DROPPED.load(Ordering::SeqCst)), (1, 0));
    drop(delivery);
    assert_eq!((references(id), DROPPED.load(Ordering::SeqCst)), (0, 1));
    // The task, too: the timer may hold it for a moment.
    until(|| Arc::strong_count(&task) == 1);
    room(&world, 1);
    let (callback, _) = world.callback();
    drop(world.library.deliver_async(&callback, 1));
    assert!(world.dss.delivered.lock().unwrap().is_empty());
}

#[test]
fn one_that_is_refused_gives_its_values_back() {
    let world = world();
    let (callback, _) = world.callback();
    room(&world, 0);
    let task = Arc::new(Task::default());
    let mut delivery = world.library.deliver_async(&callback, ("a", 2));
    assert!(poll(&task, &mut delivery).is_pending());
    // It is unregistered while this waits.
    world.refuse(Code::INVALID_HANDLE);
    task.sleep(0);
    match poll(&task, &mut delivery) {
        Poll::Ready(Err(refused)) => {
            assert_eq!(refused.reason, DeliverError::Unregistered);
            assert_eq!(refused.values, [Value::from("a"), Value::Integer(2)]);
        }
        other => panic!("{:?}", other),
    }
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&task, &mut delivery)));
    assert!(again.is_err());
    let (unready, polls) = block_on(world.library.deliver_async(&callback, ("a", u64::MAX)));
    let unready = unready.unwrap_err();
    assert!(matches!(unready.reason, DeliverError::Value(_)) && polls == 1);
    assert_eq!(unready.values, [Value::from("a"), Value::Nil]);
}

#[test]
fn states_wait_apart() {
    let (full, free) = (world(), world());
    room(&full, 0);
    room(&free, 0);
    let ((one, _), (two, _)) = (full.callback(), free.callback());
    let task = Arc::new(Task::default());
    let mut stuck = full.library.deliver_async(&one, 1);
    assert!(poll(&task, &mut stuck).is_pending());
    let waiting = std::thread::spawn({
        let delivery = free.library.deliver_async(&two, 2);
        move || block_on(delivery).0.unwrap()
    });
    until(|| free.dss.batches.load(Ordering::Relaxed) > 3);
    room(&free, 1);
    waiting.join().unwrap();
    assert_eq!((numbers(&free), numbers(&full)), (vec![2], vec![]));
}
