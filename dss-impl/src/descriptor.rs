//! Sockets whose descriptors the program may close or reuse without telling DSS.

use std::mem::ManuallyDrop;

use socket2::Socket;

/// A socket, and a way to tell whether its descriptor still refers to it. On drop, it is closed if it is DSS's own and was not
/// closed before.
pub(crate) struct Descriptor {
    socket: ManuallyDrop<Socket>,
    /// None if the system cannot tell.
    identity: Option<system::Identity>,
    own: bool,
}

impl Descriptor {
    /// A socket that DSS owns.
    pub(crate) fn own(socket: Socket) -> Self {
        let identity = system::identity(&socket).ok();
        Descriptor { socket: ManuallyDrop::new(socket), identity, own: true }
    }

    /// The socket. Only use it if [`Self::is_open`] has just returned true.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the descriptor still is this socket. Also true if the system does not say.
    pub(crate) fn is_open(&self) -> bool {
        let Some(identity) = &self.identity else { return true };
        match system::identity(&self.socket) {
            Ok(found) => found == *identity,
            Err(Unknown::Closed) => false,
            Err(Unknown::NotSaid) => true,
        }
    }

    /// Whether it holds a datagram.
    pub(crate) fn is_readable(&self) -> bool {
        system::is_readable(&self.socket)
    }
}

/// Why the identity of a descriptor is unknown.
enum Unknown {
    /// It is not open.
    #[cfg_attr(not(unix), allow(dead_code))] // other systems are not asked
    Closed,
    /// The system does not say, or may not be asked.
    NotSaid,
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if self.own && self.is_open() {
            // SAFETY: it is dropped once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.socket) };
        }
    }
}

/// The socket of this process that receives what is sent to `port` of 127.0.0.1. Only the first few thousand descriptors are searched.
/// The program still owns it. None if there is no such socket, or if the system has no way to look.
pub(crate) fn bound_to(port: u16) -> Option<Descriptor> {
    system::bound_to(port)
}

#[cfg(unix)]
mod system {
    use std::ffi::c_int;
    use std::io;
    use std::mem::{ManuallyDrop, MaybeUninit};
    use std::os::fd::{AsRawFd, FromRawFd, RawFd};

    use socket2::{Socket, Type};

    use super::{Descriptor, Unknown};

    /// Device and number, which no two open sockets share.
    #[derive(PartialEq, Eq)]
    pub(super) struct Identity(libc::dev_t, libc::ino_t);

    pub(super) fn identity(socket: &Socket) -> Result<Identity, Unknown> {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: any number may be passed; the place is written if the answer is 0.
        if unsafe { libc::fstat(socket.as_raw_fd(), status.as_mut_ptr()) } != 0 {
            let closed = io::Error::last_os_error().raw_os_error() == Some(libc::EBADF);
            return Err(if closed { Unknown::Closed } else { Unknown::NotSaid });
        }
        // SAFETY: the call has written it, as the answer says.
        let status = unsafe { status.assume_init() };
        Ok(Identity(status.st_dev, status.st_ino))
    }

    pub(super) fn is_readable(socket: &Socket) -> bool {
        let mut bytes: c_int = 0;
        // SAFETY: this request writes an int, and reads nothing from the socket.
        let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
        answer == 0 && bytes > 0
    }

    /// How many descriptors are searched.
    const LOOKED_AT: RawFd = 4096;

    pub(super) fn bound_to(port: u16) -> Option<Descriptor> {
        (0..LOOKED_AT).find_map(|number| {
            if !is_socket(number) {
                return None;
            }
            // SAFETY: the number is an open socket's. The value is never dropped, so this does not close it.
            let socket = ManuallyDrop::new(unsafe { Socket::from_raw_fd(number) });
            let address = socket.local_addr().ok()?.as_socket_ipv4()?;
            let here = address.ip().is_loopback() || address.ip().is_unspecified();
            if address.port() != port || !here || socket.r#type().ok()? != Type::DGRAM {
                return None;
            }
            let identity = Some(identity(&socket).ok()?);
            Some(Descriptor { socket, identity, own: false })
        })
    }

    fn is_socket(number: RawFd) -> bool {
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: as in `identity`.
        if unsafe { libc::fstat(number, status.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: as in `identity`.
        let mode = unsafe { status.assume_init() }.st_mode;
        mode & libc::S_IFMT == libc::S_IFSOCK
    }
}

#[cfg(not(unix))]
mod system {
    use socket2::Socket;

    use super::{Descriptor, Unknown};

    #[derive(PartialEq, Eq)]
    pub(super) struct Identity;

    pub(super) fn identity(_: &Socket) -> Result<Identity, Unknown> {
        Err(Unknown::NotSaid)
    }

    pub(super) fn is_readable(_: &Socket) -> bool {
        false
    }

    pub(super) fn bound_to(_: u16) -> Option<Descriptor> {
        None
    }
}
