//! 1.0's way to wake a program: a UDP datagram.
//!
//! A program may close every descriptor that it does not know, as one that becomes a daemon does. The number of DSS's socket is then
//! nobody's, or that of a file of the program's. So each send first looks whether the descriptor still is the socket that was opened,
//! and opens another where it is not. Nothing is ever written to, or closed, that is not DSS's.
//!
//! A datagram that lies unread in the program's socket will wake it, so another says nothing new. Where that socket is of
//! this process it is looked at before each send: polls that follow one another leave one datagram, not one each.

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

/// 1.0's way: a UDP datagram to loopback that holds the number of queued items in decimal text.
pub struct UdpNotifier(Delegated<Sender>);

impl UdpNotifier {
    /// A notifier for `port` on 127.0.0.1.
    ///
    /// # Errors
    /// No socket could be had, as where the process has no descriptor left.
    pub fn new(port: u16) -> io::Result<Self> {
        let socket = Descriptor::own(open(None, Some(port))?);
        let end = End::Known { port, receiver: descriptor::bound_to(port) };
        Ok(UdpNotifier(Delegated::new(Sender { from: None, end, socket })))
    }

    /// A notifier of a socket that is bound to the port `from`, for the one that will say hello to it.
    pub(super) fn awaiting(from: u16, hello: Hello, socket: Descriptor) -> Self {
        UdpNotifier(Delegated::new(Sender { from: Some(from), end: End::Awaited(hello), socket }))
    }
}

impl Notifier for UdpNotifier {
    fn notify(&self, queued: usize) -> io::Result<()> {
        // A thread that is cancelled in here would take the notification with it, and none would be sent again.
        let sent = uncancelled(|| self.0.run(|sender| sender.send(queued)));
        // None: the thread that is sending sends another.
        sent.unwrap_or(Ok(()))
    }
}

/// What sends to one socket.
struct Sender {
    /// The port that is sent from; none for any.
    from: Option<u16>,
    end: End,
    socket: Descriptor,
}

/// The socket that is sent to.
enum End {
    /// Bound to that port, and the descriptor, where it is one of this process.
    Known { port: u16, receiver: Option<Descriptor> },
    /// The one that will say this.
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
        // What was queued before is found by whoever reads that datagram: it is read later than this.
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

/// A socket that is bound to one port of 127.0.0.1, if one is named, and connected to the other: so a port where nobody listens shows as an error
/// and not as a datagram into the void.
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
    // An error may be left over from an earlier datagram: it says nothing of this one.
    drop(socket.take_error());
    match socket.send(text) {
        Ok(_) => {}
        // A full buffer is full of notifications that were not read yet: the reader will wake.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    }
    // Over loopback the refusal of a closed port is here by now, on the systems that tell.
    match socket.take_error()? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
