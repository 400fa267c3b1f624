//! What wakes a Lua thread that sleeps elsewhere, and the credit that keeps it from being woken too often.
//!
//! At most one notification is outstanding. The credit is a bit under the intake lock:
//!
//! | outstanding | event                          | outstanding | sends                     |
//! |-------------|--------------------------------|-------------|---------------------------|
//! | no          | deliver                        | yes         | one                       |
//! | yes         | deliver                        | yes         | none                      |
//! | any         | poll, dispatch begins          | no          | none                      |
//! | no          | poll or dispatch ends, items   | yes         | one                       |
//! | no          | poll or dispatch ends, none    | no          | none                      |
//! | any         | the notifier changes, items    | yes         | one, by the new notifier  |
//! | yes         | the send failed                | no          | -                         |
//!
//! Sends happen outside of all locks.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Something that wakes a Lua thread. Called on any thread, with no lock held.
pub trait Notifier: Send + Sync {
    /// Sends one notification.
    ///
    /// # Errors
    /// The notification is not on its way.
    fn notify(&self, queued: usize) -> io::Result<()>;
}

/// 1.0's way: a UDP datagram to loopback that holds the number of queued items in decimal text.
pub struct UdpNotifier {
    socket: Socket,
}

impl UdpNotifier {
    /// A notifier for `port` on 127.0.0.1.
    ///
    /// # Errors
    /// No socket could be had, as where the process has no descriptor left.
    pub fn new(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Connected, so that a port where nobody listens shows as an error and not as a datagram into the void.
        socket.connect(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))?;
        Ok(UdpNotifier { socket })
    }
}

impl Notifier for UdpNotifier {
    fn notify(&self, queued: usize) -> io::Result<()> {
        let text = queued.to_string();
        // An error may be left over from an earlier datagram: it says nothing of this one.
        drop(self.socket.take_error());
        match self.socket.send(text.as_bytes()) {
            Ok(_) => {}
            // A full buffer is full of notifications that were not read yet: the reader will wake.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        // Over loopback the refusal of a closed port is here by now, on the systems that tell.
        match self.socket.take_error()? {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The credit of one state.
#[derive(Default)]
pub(crate) struct Credit {
    notifier: Option<Arc<dyn Notifier>>,
    outstanding: bool,
}

/// A notification that must be sent as soon as the lock is given up.
pub(crate) struct Due {
    pub(crate) notifier: Arc<dyn Notifier>,
    pub(crate) queued: usize,
}

impl Credit {
    /// Takes the credit where items wait and none is outstanding.
    #[inline]
    pub(crate) fn claim(&mut self, queued: usize) -> Option<Due> {
        if self.outstanding || queued == 0 {
            return None;
        }
        let notifier = Arc::clone(self.notifier.as_ref()?);
        self.outstanding = true;
        Some(Due { notifier, queued })
    }

    /// Lua looks: what was outstanding is spent.
    pub(crate) fn spend(&mut self) {
        self.outstanding = false;
    }

    /// The send of `due` failed: nothing is outstanding, unless the notifier was changed meanwhile.
    pub(crate) fn failed(&mut self, due: &Due) {
        if self.notifier.as_ref().is_some_and(|current| Arc::ptr_eq(current, &due.notifier)) {
            self.outstanding = false;
        }
    }

    /// Changes the notifier; returns the old one, to be dropped outside of the lock.
    pub(crate) fn change(&mut self, notifier: Option<Arc<dyn Notifier>>) -> Option<Arc<dyn Notifier>> {
        self.outstanding = false;
        std::mem::replace(&mut self.notifier, notifier)
    }
}
