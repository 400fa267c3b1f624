//! The UDP notifier, as in 1.0: it wakes a program with a datagram.
//!
//! A program may close every descriptor that it does not know, for example when it becomes a daemon. The number of DSS's socket is then
//! unused, or refers to a file of the program. So each send first checks whether the descriptor still is the socket that was opened,
//! and opens another if not. DSS never writes to or closes anything that is not its own.
//!
//! A datagram that lies unread in the program's socket will wake the program, so another is not needed. If that socket belongs to this
//! process, it is checked before each send: consecutive polls leave one datagram, not one each.

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use arrayvec::ArrayString;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Notifier;
use super::hello::{self, Hello};
use crate::cancellation::uncancelled;
use crate::delegated::Delegated;
use crate::descriptor::{self, Descriptor};

/// Sends a UDP datagram to loopback, as 1.0 does. It contains the number of queued items in decimal text.
pub struct UdpNotifier(Delegated<Sender>);

impl UdpNotifier {
    /// Makes a notifier for `port` on 127.0.0.1.
    ///
    /// # Errors
    /// The socket could not be made, for example because the process has no descriptors left.
    pub fn new(port: u16) -> io::Result<Self> {
        let socket = Descriptor::own(open(None, Some(port))?);
        let end = End::Known { port, receiver: descriptor::bound_to(port) };
        Ok(UdpNotifier(Delegated::new(Sender { from: None, end, socket })))
    }

    /// Makes a notifier with a `socket` that is bound to the port `from`. It sends to the socket that will send the hello.
    pub(super) fn awaiting(from: u16, hello: Hello, socket: Descriptor) -> Self {
        UdpNotifier(Delegated::new(Sender { from: Some(from), end: End::Awaited(hello), socket }))
    }
}

impl Notifier for UdpNotifier {
    fn notify(&self, queued: usize) -> io::Result<()> {
        // If a thread were cancelled here, its notification would be lost, and no other would be sent.
        let sent = uncancelled(|| self.0.run(|sender| sender.send(queued)));
        // None: a thread that is already sending sends once more.
        sent.unwrap_or(Ok(()))
    }
}

/// Sends to one socket.
struct Sender {
    /// The port to send from; None for any.
    from: Option<u16>,
    end: End,
    socket: Descriptor,
}

/// The socket to send to.
enum End {
    /// It is bound to that port. If it belongs to this process, this is its descriptor.
    Known { port: u16, receiver: Option<Descriptor> },
    /// It will send this hello.
    Awaited(Hello),
}

impl End {
    fn is_announced(&self) -> bool {
        match self {
            End::Known { receiver: Some(receiver), .. } => receiver.is_open() && receiver.is_readable(),
            _ => false,
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            End::Known { port, .. } => Some(*port),
            End::Awaited(_) => None,
        }
    }
}

impl Sender {
    fn send(&mut self, queued: usize) -> io::Result<()> {
        // The program reads that datagram later than this, and then finds every item that was queued before.
        if self.end.is_announced() {
            return Ok(());
        }
        if !self.socket.is_open() {
            self.socket = Descriptor::own(open(self.from, self.end.port())?);
        }
        if let End::Awaited(hello) = &self.end {
            let port = hello::sender(self.socket.socket(), hello)?;
            self.socket.socket().connect(&local(port))?;
            self.end = End::Known { port, receiver: descriptor::bound_to(port) };
        }
        let mut text = ArrayString::<20>::new();
        // 2^64 has 20 digits.
        let _ = write!(text, "{queued}");
        send(self.socket.socket(), text.as_bytes())
    }
}

/// Makes a socket that is bound to the port `from` of 127.0.0.1, if given, and connected to the port `to`, if given. Because it is
/// connected, a port where nothing listens shows as an error.
pub(super) fn open(from: Option<u16>, to: Option<u16>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if let Some(port) = from {
        socket.bind(&local(port))?;
    }
    if let Some(port) = to {
        socket.connect(&local(port))?;
    }
    Ok(socket)
}

fn local(port: u16) -> SockAddr {
    SockAddr::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

fn send(socket: &Socket, text: &[u8]) -> io::Result<()> {
    // An error may be left over from an earlier datagram, and says nothing about this one.
    drop(socket.take_error());
    match socket.send(text) {
        Ok(_) => {}
        // A full buffer is full of unread notifications, so the reader will wake.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    }
    // Over loopback, a closed port has refused the datagram by now, on systems that report it.
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
