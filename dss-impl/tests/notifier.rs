//! Notifications by UDP, and the credit: over real sockets on loopback.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Deliver, Library, house, payload, poll};
use dss_impl::delivery::Announced;
use dss_impl::dispatcher::{DecodeEnd, Dispatcher};
use dss_impl::notifier::{HelloNotifier, Notifier, UdpNotifier};

fn socket() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // A read that finds nothing fails the test in place of hanging it.
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn udp(port: u16) -> Option<Box<dyn Notifier>> {
    Some(Box::new(UdpNotifier::new(port).unwrap()))
}

fn read(socket: &UdpSocket) -> String {
    let mut bytes = [0; 64];
    let length = socket.recv(&mut bytes).expect("no notification came");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_nonblocking(true).unwrap();
    let read = socket.recv(&mut [0; 64]);
    socket.set_nonblocking(false).unwrap();
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[test]
fn a_notification_is_the_number_of_items_in_decimal_text() {
    let (dispatcher, _, _, handle) = house();
    let (socket, port) = socket();
    for data in 0..12 {
        dispatcher.deliver_plain(handle, payload(data)).unwrap();
    }
    dispatcher.set_notifier(udp(port)).unwrap();
    assert_eq!(read(&socket), "12");
    assert_eq!(poll(dispatcher), Some(0));
    assert_eq!(read(&socket), "11");
    assert!(is_silent(&socket));
}

#[test]
fn one_notification_is_outstanding_at_most() {
    let (dispatcher, _, _, handle) = house();
    let (socket, port) = socket();
    dispatcher.set_notifier(udp(port)).unwrap();
    assert!(is_silent(&socket), "nothing to announce");
    for data in 0..3 {
        assert_eq!(dispatcher.deliver_plain(handle, payload(data)), Ok(Announced::Yes));
    }
    assert_eq!(read(&socket), "1");
    assert!(is_silent(&socket));
    for data in 0..3 {
        assert_eq!(poll(dispatcher), Some(data));
        if data < 2 {
            read(&socket);
        }
    }
    assert!(is_silent(&socket), "an empty queue announces nothing");
    dispatcher.deliver_plain(handle, payload(3)).unwrap();
    assert_eq!(read(&socket), "1");
}

#[test]
fn a_handler_that_reads_once_and_polls_once_empties_a_burst() {
    const ITEMS: usize = 100_000;
    const THREADS: usize = 4;
    let (dispatcher, _, _, handle) = house();
    let (socket, port) = socket();
    dispatcher.set_notifier(udp(port)).unwrap();
    let producers: Vec<_> = (0..THREADS)
        .map(|_| {
            std::thread::spawn(move || {
                for data in 0..ITEMS / THREADS {
                    assert_eq!(dispatcher.deliver_plain(handle, payload(data)), Ok(Announced::Yes));
                }
            })
        })
        .collect();
    let mut handled = 0;
    while handled < ITEMS {
        read(&socket);
        handled += usize::from(poll(dispatcher).is_some());
    }
    for producer in producers {
        producer.join().unwrap();
    }
    assert_eq!(dispatcher.queue_size(), 0);
    assert!(is_silent(&socket));
}

#[test]
fn a_handler_that_dispatches_empties_a_burst() {
    const ITEMS: usize = 100_000;
    let (dispatcher, _, _, handle) = house();
    let (socket, port) = socket();
    dispatcher.set_notifier(udp(port)).unwrap();
    let producer = std::thread::spawn(move || {
        for data in 0..ITEMS {
            dispatcher.deliver_plain(handle, payload(data)).unwrap();
        }
    });
    let mut handled = 0;
    while handled < ITEMS {
        read(&socket);
        handled += dispatch(dispatcher, 1000);
    }
    producer.join().unwrap();
    assert_eq!(dispatcher.queue_size(), 0);
}

fn dispatch(dispatcher: &Dispatcher, max: usize) -> usize {
    let mut handled = 0;
    let dispatching = unsafe { dispatcher.begin_dispatch() };
    while handled < max {
        let mut taken = None;
        dispatcher.take_next_into(dispatching, &mut taken).unwrap();
        let Some(taken) = taken else { break };
        dispatcher.decoded(&taken, DecodeEnd::Over);
        handled += 1;
    }
    dispatcher.end_dispatch(dispatching);
    handled
}

#[test]
fn a_dispatch_that_leaves_items_announces_them() {
    let (dispatcher, _, _, handle) = house();
    let (socket, port) = socket();
    dispatcher.set_notifier(udp(port)).unwrap();
    for data in 0..3 {
        dispatcher.deliver_plain(handle, payload(data)).unwrap();
    }
    read(&socket);
    assert_eq!(dispatch(dispatcher, 2), 2);
    assert_eq!(read(&socket), "1");
    assert_eq!(dispatch(dispatcher, 2), 1);
    assert!(is_silent(&socket));
}

// Elsewhere a datagram to a port where nobody listens is not always refused.
#[cfg(target_os = "linux")]
#[test]
fn where_nobody_listens_the_item_is_kept_and_announced_by_the_next() {
    let (dispatcher, _, _, handle) = house();
    let (receiver, port) = socket();
    dispatcher.set_notifier(udp(port)).unwrap();
    drop(receiver);
    assert_eq!(dispatcher.deliver_plain(handle, payload(0)), Ok(Announced::Failed));
    assert_eq!(
        dispatcher.deliver_plain(handle, payload(1)),
        Ok(Announced::Failed),
        "tried again, and told again"
    );
    assert_eq!(dispatcher.queue_size(), 2);
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(dispatcher.deliver_plain(handle, payload(2)), Ok(Announced::Yes));
    assert_eq!(read(&receiver), "3");
    assert_eq!(poll(dispatcher), Some(0));
    assert_eq!(read(&receiver), "2");
    assert_eq!([poll(dispatcher), poll(dispatcher)], [Some(1), Some(2)]);
}

#[test]
fn a_change_of_notifier_starts_with_a_notification() {
    let (dispatcher, _, _, handle) = house();
    let ((first, first_port), (second, second_port)) = (socket(), socket());
    dispatcher.set_notifier(udp(first_port)).unwrap();
    dispatcher.deliver_plain(handle, payload(0)).unwrap();
    read(&first);
    dispatcher.set_notifier(udp(second_port)).unwrap();
    assert_eq!(read(&second), "1");
    dispatcher.set_notifier(udp(second_port)).unwrap();
    assert_eq!(read(&second), "1", "also where it is the same again");
    dispatcher.set_notifier(None).unwrap();
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    assert_eq!(poll(dispatcher), Some(0));
    assert!(is_silent(&first) && is_silent(&second));
    dispatcher.set_notifier(udp(first_port)).unwrap();
    assert_eq!(read(&first), "1");
}

#[test]
fn an_unregister_does_not_lose_what_others_have_announced() {
    let (dispatcher, _, _, handle) = house();
    let other = Library::new().register(dispatcher, 2).unwrap();
    let (socket, port) = socket();
    dispatcher.set_notifier(udp(port)).unwrap();
    dispatcher.deliver_plain(handle, payload(0)).unwrap();
    dispatcher.deliver_plain(other, payload(1)).unwrap();
    dispatcher.unregister(handle).unwrap();
    read(&socket);
    assert_eq!(poll(dispatcher), Some(1));
    // The queue is emptied by an unregister while its notification is on its way.
    dispatcher.deliver_plain(other, payload(2)).unwrap();
    dispatcher.unregister(other).unwrap();
    let third = Library::new().register(dispatcher, 3).unwrap();
    dispatcher.deliver_plain(third, payload(3)).unwrap();
    read(&socket);
    assert_eq!(poll(dispatcher), Some(3));
    assert!(is_silent(&socket));
}

/// A notifier that calls back into the dispatcher: it would hang if a lock were held.
struct Reentrant {
    dispatcher: &'static Dispatcher,
    sizes: Mutex<Vec<usize>>,
    calls: AtomicUsize,
}

impl Notifier for Reentrant {
    fn notify(&self, queued: usize) -> io::Result<()> {
        self.calls.fetch_add(1, SeqCst);
        assert!(self.dispatcher.queue_size() <= 2);
        drop(self.dispatcher.libraries().unwrap());
        self.sizes.lock().unwrap().push(queued);
        Ok(())
    }
}

impl Drop for Reentrant {
    fn drop(&mut self) {
        drop(self.dispatcher.libraries().unwrap());
    }
}

#[test]
fn a_notifier_is_called_and_dropped_with_no_lock_held() {
    let (dispatcher, epoch, _, handle) = house();
    for _ in 0..2 {
        let (sizes, calls) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let notifier = Arc::new(Reentrant { dispatcher, sizes, calls });
        dispatcher.set_notifier(Some(Box::new(notifier.clone()))).unwrap();
        dispatcher.deliver_plain(handle, payload(0)).unwrap();
        dispatcher.deliver_plain(handle, payload(1)).unwrap();
        assert_eq!(poll(dispatcher), Some(0));
        assert_eq!(poll(dispatcher), Some(1));
        assert_eq!(*notifier.sizes.lock().unwrap(), [1, 1]);
        assert_eq!(notifier.calls.load(SeqCst), 2);
    }
    // The last is dropped by the close.
    unsafe { dispatcher.close(epoch) };
}

/// Has a dispatcher wait for a hello; returns where it is said, and what.
fn listen(dispatcher: &Dispatcher) -> (u16, String) {
    let notifier = HelloNotifier::new().unwrap();
    let said = (notifier.port(), notifier.hello().to_owned());
    dispatcher.set_notifier(Some(Box::new(notifier))).unwrap();
    said
}

#[test]
fn a_socket_that_says_hello_gets_the_notifications() {
    let (dispatcher, _, _, handle) = house();
    let (port, hello) = listen(dispatcher);

    // Nobody knows of this one, and others say what is no hello.
    dispatcher.deliver_plain(handle, payload(0)).unwrap();
    let (stranger, _) = socket();
    for wrong in ["", &hello[1..], &format!("{hello}0"), &"0".repeat(hello.len())] {
        stranger.send_to(wrong.as_bytes(), (Ipv4Addr::LOCALHOST, port)).unwrap();
    }
    let (socket, _) = socket();
    socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.send(hello.as_bytes()).unwrap();

    // It is told of what is queued, and of what comes later.
    assert!(dispatcher.notify());
    assert_eq!(read(&socket), "1");
    assert_eq!(poll(dispatcher), Some(0));
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    assert_eq!(read(&socket), "1");
    // Another hello changes nothing.
    stranger.send_to(hello.as_bytes(), (Ipv4Addr::LOCALHOST, port)).unwrap();
    assert_eq!(poll(dispatcher), Some(1));
    dispatcher.deliver_plain(handle, payload(2)).unwrap();
    assert_eq!(read(&socket), "1");
    assert!(is_silent(&stranger));
}

#[test]
fn whoever_floods_the_port_does_not_keep_a_hello_from_being_heard() {
    let (dispatcher, _, _, handle) = house();
    let (port, hello) = listen(dispatcher);
    let (socket, _) = socket();
    socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    for _ in 0..100 {
        socket.send(b"not that").unwrap();
    }
    socket.send(hello.as_bytes()).unwrap();
    // With one look, for nobody may deliver another.
    dispatcher.deliver_plain(handle, payload(0)).unwrap();
    assert_eq!(read(&socket), "1");
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    assert_eq!(poll(dispatcher), Some(0));
    assert_eq!(read(&socket), "1");
}

#[test]
fn a_program_hears_whether_its_hello_has_come() {
    let (dispatcher, _, _, handle) = house();
    assert!(!dispatcher.notify(), "there is nobody to tell");
    let (port, hello) = listen(dispatcher);
    assert!(!dispatcher.notify());
    let (socket, _) = socket();
    socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.send(hello.as_bytes()).unwrap();
    assert!(dispatcher.notify());
    assert_eq!(read(&socket), "0");
    // It is sent again as often as it is asked for, unless the one before was not read yet.
    assert!(dispatcher.notify() && dispatcher.notify());
    assert_eq!(read(&socket), "0");
    assert!(is_silent(&socket));
    // What is outstanding is the credit's.
    dispatcher.deliver_plain(handle, payload(0)).unwrap();
    assert!(is_silent(&socket));
    assert_eq!(poll(dispatcher), Some(0));
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    assert_eq!(read(&socket), "1");
}
