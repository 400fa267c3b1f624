//! The UDP way for sockets that can only send first, as nginx's: they cannot be bound to a port, nor say which they have.
//!
//! DSS's socket is bound instead. The program sends it the hello, which nobody else knows, and has DSS send a notification. From then on
//! they go from that port to where the hello came from. No thread listens: DSS looks for the hello when it is to send, and the program
//! is told whether it had come.

use std::fmt::Write;
use std::io::{self, Read};

use arrayvec::ArrayString;
use socket2::Socket;

use super::Notifier;
use super::udp::{UdpNotifier, open};
use crate::descriptor::Descriptor;

/// How many bytes a hello has.
const LENGTH: usize = 32;

/// How many datagrams are looked at for one notification: more than a socket has room for. Whoever floods the port is not to keep a thread here.
const LOOKED_AT: usize = 4096;

/// What a program sends to show that a socket is its own: hexadecimal digits that nobody can guess.
pub(super) type Hello = ArrayString<LENGTH>;

/// A notifier for a socket that says hello.
pub struct HelloNotifier {
    port: u16,
    hello: Hello,
    notifier: UdpNotifier,
}

impl HelloNotifier {
    /// A socket that is bound to a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No socket could be had, as where the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let socket = open(Some(0), None)?;
        let port = socket.local_addr()?.as_socket_ipv4().map_or(0, |address| address.port());
        let hello = random()?;
        let notifier = UdpNotifier::awaiting(port, hello, Descriptor::own(socket));
        Ok(HelloNotifier { port, hello, notifier })
    }

    /// The port that a hello goes to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What is to be sent there.
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

/// The port that the hello came from, if it has come.
pub(super) fn sender(mut socket: &Socket, hello: &Hello) -> io::Result<u16> {
    for _ in 0..LOOKED_AT {
        let address = socket.peek_sender()?;
        // One more, so that what is longer is not taken for it.
        let mut bytes = [0; LENGTH + 1];
        let length = socket.read(&mut bytes)?;
        if let (true, Some(address)) = (bytes[..length] == *hello.as_bytes(), address.as_socket_ipv4()) {
            return Ok(address.port());
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Digits of the system's. Not of the standard library's `RandomState`, whose keys a forked process has, too.
fn random() -> io::Result<Hello> {
    let mut bytes = [0; LENGTH / 2];
    getrandom::fill(&mut bytes)?;
    let mut digits = Hello::new();
    for byte in bytes {
        // There is room for all of them.
        let _ = write!(digits, "{byte:02x}");
    }
    Ok(digits)
}
