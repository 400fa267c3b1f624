//! The UDP notifier for sockets that can only send first, such as nginx's: they cannot be bound to a port, and do not know their port.
//!
//! DSS binds its own socket instead. The program sends the hello to it, which nothing else knows, and asks DSS for a notification. From
//! then on, notifications go from DSS's port to the hello's sender. No thread listens: DSS looks for the hello when it has to send, and
//! the program is told whether it had arrived.

use std::fmt::Write;
use std::io::{self, Read};

use arrayvec::ArrayString;
use socket2::Socket;

use super::Notifier;
use super::udp::{UdpNotifier, open};
use crate::descriptor::Descriptor;

/// The length of a hello in bytes.
const LENGTH: usize = 32;

/// How many datagrams are read for one notification: more than a socket can hold. A program that floods the port must not keep a thread here.
const LOOKED_AT: usize = 4096;

/// What a program sends to show that a socket is its own: hexadecimal digits that cannot be guessed.
pub(super) type Hello = ArrayString<LENGTH>;

/// A notifier for a socket that sends a hello.
pub struct HelloNotifier {
    port: u16,
    hello: Hello,
    notifier: UdpNotifier,
}

impl HelloNotifier {
    /// Binds a socket to a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The socket could not be made, for example because the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let socket = open(Some(0), None)?;
        let port = socket.local_addr()?.as_socket_ipv4().map_or(0, |address| address.port());
        let hello = random()?;
        let notifier = UdpNotifier::awaiting(port, hello, Descriptor::own(socket));
        Ok(HelloNotifier { port, hello, notifier })
    }

    /// The port that the hello must be sent to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The text to send there.
    #[must_use]
    pub fn hello(&self) -> &str {
        &self.hello
    }
}

impl Notifier for HelloNotifier {
    fn notify(&self, queued: usize) -> io::Result<()> {
        self.notifier.notify(queued)
    }
}

/// The port that the hello came from, if it has arrived.
pub(super) fn sender(mut socket: &Socket, hello: &Hello) -> io::Result<u16> {
    for _ in 0..LOOKED_AT {
        let address = socket.peek_sender()?;
        // One byte more, so that a longer datagram is not taken for the hello.
        let mut bytes = [0; LENGTH + 1];
        let length = socket.read(&mut bytes)?;
        if let (true, Some(address)) = (bytes[..length] == *hello.as_bytes(), address.as_socket_ipv4()) {
            return Ok(address.port());
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Random digits from the system. The standard library's `RandomState` will not do: a forked process has the same keys.
fn random() -> io::Result<Hello> {
    let mut bytes = [0; LENGTH / 2];
    getrandom::fill(&mut bytes)?;
    let mut digits = Hello::new();
    for byte in bytes {
        // There is room for all digits.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}
