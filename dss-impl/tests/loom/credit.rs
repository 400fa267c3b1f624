//! Promise 4: what is queued is announced, or the Lua thread is about to look; by one notification at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use dss_impl::delivery::Announced;
use dss_impl::dispatcher::{DecodeEnd, Dispatcher};
use dss_impl::handle::Handle;
use dss_impl::notifier::Notifier;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};

use crate::fake::{Deliver, Fake, House, house, payload, three, two};

/// A socket that holds notifications, and a reader that sleeps until one is there.
struct Socket {
    tokens: Mutex<usize>,
    arrived: Condvar,
    /// Sends that will fail.
    failures: AtomicUsize,
}

impl Socket {
    fn new(failures: usize) -> Arc<Self> {
        Arc::new(Socket {
            tokens: Mutex::new(0),
            arrived: Condvar::new(),
            failures: AtomicUsize::new(failures),
        })
    }

    /// Sleeps until a notification is there, and reads it. One that never comes is a deadlock, which the model reports.
    fn read(&self) {
        let mut tokens = self.tokens.lock().unwrap();
        while *tokens == 0 {
            tokens = self.arrived.wait(tokens).unwrap();
        }
        *tokens -= 1;
    }
}

impl Notifier for Socket {
    fn notify(&self, queued: usize) -> io::Result<()> {
        assert!(queued > 0, "nothing to announce");
        if self.failures.load(SeqCst) > 0 {
            self.failures.fetch_sub(1, SeqCst);
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut tokens = self.tokens.lock().unwrap();
        *tokens += 1;
        assert_eq!(*tokens, 1, "outstanding");
        self.arrived.notify_one();
        Ok(())
    }
}

fn producer(house: &House, items: std::ops::Range<usize>) -> JoinHandle<Vec<Announced>> {
    let (dispatcher, handle) = (house.dispatcher.clone(), house.handle);
    thread::spawn(move || items.map(|data| deliver(&dispatcher, handle, data)).collect())
}

fn deliver(dispatcher: &Dispatcher, handle: Handle, data: usize) -> Announced {
    dispatcher.deliver_plain(handle, payload(data)).expect("nobody unregisters it")
}

/// A handler of 1.0's kind: reads one notification and polls once, until it has handled `items`.
fn read_and_poll(dispatcher: &Dispatcher, fake: &Fake, socket: &Socket, items: usize) {
    let mut handled = 0;
    while handled < items {
        socket.read();
        handled += usize::from(fake.poll(dispatcher));
    }
}

/// A handler that reads one notification and dispatches up to `max` items; `left` is called when items were left.
fn read_and_dispatch(
    dispatcher: &Dispatcher,
    fake: &Fake,
    socket: &Socket,
    items: usize,
    max: usize,
    mut left: impl FnMut(),
) {
    let mut handled = 0;
    while handled < items {
        socket.read();
        let dispatching = unsafe { dispatcher.begin_dispatch() };
        for _ in 0..max {
            let mut taken = None;
            dispatcher.take_next_into(dispatching, &mut taken).unwrap();
            let Some(taken) = taken else { break };
            fake.decode(dispatcher, &taken, DecodeEnd::Over);
            handled += 1;
        }
        if dispatcher.end_dispatch(dispatching) > 0 {
            left();
        }
    }
}

/// The same, in a program that is given a pause each time that items are left; and a producer of as many.
fn read_and_dispatch_with_pauses(house: &House, socket: &Socket, items: usize, max: usize) {
    let dispatcher = &house.dispatcher;
    dispatcher.pause_always();
    let producer = producer(house, 0..items);
    let mut pauses = Vec::new();
    read_and_dispatch(dispatcher, house.fake, socket, items, max, || {
        let dispatcher = dispatcher.clone();
        pauses.push(thread::spawn(move || dispatcher.send_planned()));
    });
    producer.join().unwrap();
    for pause in pauses {
        pause.join().unwrap();
    }
    assert_all_handled(house, items);
}

fn assert_all_handled(house: &House, items: usize) {
    assert_eq!(house.dispatcher.queue_size(), 0);
    for data in 0..items {
        house.fake.assert_ended(data, true);
    }
}

#[test]
fn a_handler_that_polls_once_a_notification_misses_nothing() {
    three(|| {
        let house = house();
        let socket = Socket::new(0);
        house.dispatcher.set_notifier(Some(Box::new(socket.clone()))).unwrap();
        let producers = [producer(&house, 0..1), producer(&house, 1..2)];
        read_and_poll(&house.dispatcher, house.fake, &socket, 2);
        for producer in producers {
            assert!(producer.join().unwrap().iter().all(|announced| *announced == Announced::Yes));
        }
        assert_all_handled(&house, 2);
    });
}

#[test]
fn a_burst_of_one_thread_is_polled() {
    two(|| {
        let house = house();
        let socket = Socket::new(0);
        house.dispatcher.set_notifier(Some(Box::new(socket.clone()))).unwrap();
        let producer = producer(&house, 0..3);
        read_and_poll(&house.dispatcher, house.fake, &socket, 3);
        producer.join().unwrap();
        assert_all_handled(&house, 3);
    });
}

#[test]
fn a_handler_that_dispatches_misses_nothing() {
    for max in [1, usize::MAX] {
        three(move || {
            let house = house();
            let socket = Socket::new(0);
            house.dispatcher.set_notifier(Some(Box::new(socket.clone()))).unwrap();
            let producers = [producer(&house, 0..1), producer(&house, 1..2)];
            read_and_dispatch(&house.dispatcher, house.fake, &socket, 2, max, || {});
            for producer in producers {
                producer.join().unwrap();
            }
            assert_all_handled(&house, 2);
        });
    }
}

#[test]
fn a_change_of_notifier_announces_what_waits() {
    three(|| {
        let house = house();
        let (old, new) = (Socket::new(0), Socket::new(0));
        house.dispatcher.set_notifier(Some(Box::new(old))).unwrap();
        let producers = [producer(&house, 0..1), producer(&house, 1..2)];
        house.dispatcher.set_notifier(Some(Box::new(new.clone()))).unwrap();
        read_and_poll(&house.dispatcher, house.fake, &new, 2);
        for producer in producers {
            producer.join().unwrap();
        }
        assert_all_handled(&house, 2);
    });
}

#[test]
fn the_deliver_after_a_send_that_failed_announces() {
    three(|| {
        let house = house();
        let socket = Socket::new(1);
        house.dispatcher.set_notifier(Some(Box::new(socket.clone()))).unwrap();
        let producers = [producer(&house, 0..1), producer(&house, 1..2)];
        let mut failed = 0;
        for producer in producers {
            let announced = producer.join().unwrap();
            failed += announced.iter().filter(|announced| **announced == Announced::Failed).count();
        }
        assert_eq!(failed, 1, "told to the deliver that tried");
        assert_eq!(deliver(&house.dispatcher, house.handle, 2), Announced::Yes);
        read_and_poll(&house.dispatcher, house.fake, &socket, 3);
        assert_all_handled(&house, 3);
    });
}

#[test]
fn a_send_may_fail_while_lua_polls_without_being_told() {
    two(|| {
        let house = house();
        let socket = Socket::new(1);
        house.dispatcher.set_notifier(Some(Box::new(socket.clone()))).unwrap();
        let producer = producer(&house, 0..1);
        let handled = usize::from(house.fake.poll(&house.dispatcher));
        producer.join().unwrap();
        assert_eq!(deliver(&house.dispatcher, house.handle, 1), Announced::Yes);
        read_and_poll(&house.dispatcher, house.fake, &socket, 2 - handled);
        assert_all_handled(&house, 2);
    });
}

#[test]
fn the_credit_survives_a_library_that_leaves_with_what_was_announced() {
    three(|| {
        let house = house();
        let socket = Socket::new(0);
        house.dispatcher.set_notifier(Some(Box::new(socket.clone()))).unwrap();
        let stays = crate::fake::register(&house.dispatcher, Box::leak(Box::<Fake>::default()), 2);
        let leaver = {
            let (dispatcher, handle) = (house.dispatcher.clone(), house.handle);
            thread::spawn(move || {
                deliver(&dispatcher, handle, 0);
                dispatcher.unregister(handle).unwrap();
            })
        };
        let producer = {
            let dispatcher = house.dispatcher.clone();
            thread::spawn(move || deliver(&dispatcher, stays, 1))
        };
        // The other library's item is polled, whichever of the two was announced.
        let mut handled = false;
        while !handled {
            socket.read();
            if let Some(taken) = unsafe { house.dispatcher.take_one() }.unwrap() {
                handled = taken.payload.0[0] == 1;
                house.dispatcher.decoded(&taken, DecodeEnd::Over);
            }
        }
        leaver.join().unwrap();
        producer.join().unwrap();
        assert_eq!(house.dispatcher.queue_size(), 0);
    });
}

#[test]
fn what_is_announced_after_a_pause_is_not_lost() {
    two(|| {
        let house = house();
        let socket = Socket::new(0);
        house.dispatcher.set_notifier(Some(Box::new(socket.clone()))).unwrap();
        // Two at most, so that there is one pause at most.
        read_and_dispatch_with_pauses(&house, &socket, 3, 2);
    });
}

/// A port where nobody listens.
struct Deaf;

impl Notifier for Deaf {
    fn notify(&self, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

#[test]
fn a_port_that_is_broken_takes_nothing_from_the_descriptor() {
    two(|| {
        let house = house();
        let socket = Socket::new(0);
        house.dispatcher.set_notifier(Some(Box::new(Deaf))).unwrap();
        house.dispatcher.set_descriptor(Some(Box::new(socket.clone()))).unwrap();
        read_and_dispatch_with_pauses(&house, &socket, 2, 1);
    });
}
