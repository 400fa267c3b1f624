//! The UDP way for sockets that can only send first, as nginx's: they cannot be bound to a port, nor say which they have.
//!
//! DSS's socket is bound instead. The program sends it the hello, which nobody else knows, and looks at what is queued. From then on
//! notifications go from that port to where the hello came from. No thread listens: DSS looks for the hello when it is to send, so what is queued
//! before the hello has come is found by that look of the program's, and what is queued later is announced.

use std::fmt::Write;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::mem::MaybeUninit;

use arrayvec::ArrayString;
use socket2::Socket;

use super::Notifier;
use super::udp::{End, Sender, open};
use crate::cancellation::uncancelled;
use crate::delegated::Delegated;
use crate::descriptor::Descriptor;

/// How many bytes a hello has.
const LENGTH: usize = 32;

/// How many datagrams are looked at for one notification. Whoever floods the port is not to keep a thread here.
const LOOKED_AT: usize = 64;

/// What a program sends to show that a socket is its own: hexadecimal digits that nobody can guess.
pub(super) type Hello = ArrayString<LENGTH>;

/// A notifier for a socket that says hello.
pub struct HelloNotifier {
    port: u16,
    hello: Hello,
    sender: Delegated<Sender>,
}

impl HelloNotifier {
    /// A socket that is bound to a free port of 127.0.0.1.
    ///
    /// # Errors
    /// No socket could be had, as where the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let socket = open(Some(0), None)?;
        let port = socket.local_addr()?.as_socket_ipv4().map_or(0, |address| address.port());
        let hello = random();
        let sender = Sender { from: Some(port), end: End::Awaited(hello), socket: Descriptor::own(socket) };
        Ok(HelloNotifier { port, hello, sender: Delegated::new(sender) })
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
        // As for `UdpNotifier`.
        let sent = uncancelled(|| self.sender.run(|sender| sender.send(queued)));
        sent.unwrap_or(Ok(()))
    }
}

/// The port that the hello came from, if it has come.
pub(super) fn sender(socket: &Socket, hello: &Hello) -> io::Result<u16> {
    for _ in 0..LOOKED_AT {
        // One more, so that what is longer is not taken for it.
        let mut bytes = [MaybeUninit::uninit(); LENGTH + 1];
        let (length, address) = socket.recv_from(&mut bytes)?;
        // SAFETY: so many were received.
        let same = length == LENGTH
            && bytes
                .iter()
                .zip(hello.as_bytes())
                .all(|(found, wanted)| unsafe { found.assume_init() } == *wanted);
        if let (true, Some(address)) = (same, address.as_socket_ipv4()) {
            return Ok(address.port());
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Digits from the keys that the standard library has from the system.
fn random() -> Hello {
    let mut digits = Hello::new();
    for _ in 0..LENGTH / 16 {
        // Of 64 bits; there is room for all of them.
        let _ = write!(digits, "{:016x}", RandomState::new().build_hasher().finish());
    }
    digits
}
