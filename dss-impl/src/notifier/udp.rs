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
use crate::cancellation::uncancelled;
use crate::delegated::Delegated;
use crate::descriptor::{self, Descriptor};

/// 1.0's way: a UDP datagram to loopback that holds the number of queued items in decimal text.
pub struct UdpNotifier {
    port: u16,
    /// The socket of this process that is bound to the port, where there is one.
    receiver: Option<Descriptor>,
    socket: Delegated<Descriptor>,
}

impl UdpNotifier {
    /// A notifier for `port` on 127.0.0.1.
    ///
    /// # Errors
    /// No socket could be had, as where the process has no descriptor left.
    pub fn new(port: u16) -> io::Result<Self> {
        let socket = Delegated::new(open(port)?);
        let receiver = descriptor::bound_to(port);
        Ok(UdpNotifier { port, receiver, socket })
    }

    fn is_announced(&self) -> bool {
        self.receiver.as_ref().is_some_and(|receiver| receiver.is_open() && receiver.is_readable())
    }

    fn send(&self, socket: &mut Descriptor, queued: usize) -> io::Result<()> {
        // What was queued before is found by whoever reads that datagram: it is read later than this.
        if self.is_announced() {
            return Ok(());
        }
        if !socket.is_open() {
            *socket = open(self.port)?;
        }
        let mut text = ArrayString::<20>::new();
        // 2^64 has 20 digits.
        let _ = write!(text, "{queued}");
        send(socket.socket(), text.as_bytes())
    }
}

fn open(port: u16) -> io::Result<Descriptor> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Connected, so that a port where nobody listens shows as an error and not as a datagram into the void.
    socket.connect(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))?;
    Ok(Descriptor::own(socket))
}

impl Notifier for UdpNotifier {
    fn notify(&self, queued: usize) -> io::Result<()> {
        // A thread that is cancelled in here would take the notification with it, and none would be sent again.
        let sent = uncancelled(|| self.socket.run(|socket| self.send(socket, queued)));
        // None: the thread that is sending sends another.
        sent.unwrap_or(Ok(()))
    }
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
