//! A descriptor that another thread makes readable: two connected sockets, or one that is connected to itself.
//!
//! An eventfd or a pipe would do the same, and neither can be given to a program that may close it: an eventfd has no identity of its own (all
//! of them have one inode), so DSS could not tell whether its number is another file's by now; and to write to a pipe whose other end was
//! closed raises SIGPIPE, which ends a program that does not expect it. A socket has an inode of its own, and a send that raises nothing.

use std::io;

use crate::cancellation::uncancelled;
use crate::descriptor::Descriptor;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// The pair. Closed when this is dropped, as far as the program has not closed it.
pub(crate) struct Pair {
    reader: Descriptor,
    /// None if the reader is connected to itself.
    writer: Option<Descriptor>,
    /// Something was written since the last [`Self::clear`].
    written: AtomicBool,
    /// Threads that are writing. What they write may be there before `written` says so: the system likes to run the thread that is woken in
    /// place of the one that woke it, and that would find the reader readable again and again until the other runs.
    writing: AtomicUsize,
}

impl Pair {
    /// # Errors
    /// There is no descriptor left, or the system forbids it.
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = system::pair()?;
        Ok(Pair {
            reader: Descriptor::own(reader),
            writer: writer.map(Descriptor::own),
            written: AtomicBool::new(false),
            writing: AtomicUsize::new(0),
        })
    }

    /// The number that a program waits on.
    pub(crate) fn number(&self) -> system::Number {
        system::number(self.reader.socket())
    }

    /// Whether both are open still.
    pub(crate) fn is_open(&self) -> bool {
        self.reader.is_open() && self.writer.as_ref().is_none_or(Descriptor::is_open)
    }

    /// Sleeps until something is written, one of `others` is ready, `limit` is over, or a signal came. [lua-thread] `[blocks]`
    #[cfg(unix)]
    pub(crate) fn sleep(&self, others: &mut [Other], limit: std::time::Duration) {
        system::poll(self.reader.socket(), others, limit);
    }

    /// Makes the reader readable. [any-thread], also in a signal handler.
    ///
    /// # Errors
    /// The program has closed it.
    pub(crate) fn write(&self) -> io::Result<()> {
        uncancelled(|| {
            if !self.is_open() {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.writing.fetch_add(1, Ordering::SeqCst);
            let sent = system::send(self.writer.as_ref().unwrap_or(&self.reader).socket());
            // After it: a `clear` that looked before this leaves the byte to the next one. The other way round it could be left for ever.
            self.written.store(true, Ordering::Release);
            self.writing.fetch_sub(1, Ordering::Release);
            match sent {
                // It is full of what nobody has read: it is readable.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                sent => sent,
            }
        })
    }

    /// Takes back what was written. Costs no call of the system's if nothing was. [lua-thread]
    pub(crate) fn clear(&self) {
        let written = self.written.load(Ordering::Relaxed);
        if !written && self.writing.load(Ordering::SeqCst) == 0 {
            return;
        }
        // Before the read: what is noted as written by now is read, and what is written after this is noted after it.
        self.written.swap(false, Ordering::AcqRel);
        if self.reader.is_open() {
            system::receive_all(self.reader.socket());
        }
    }
}

/// The most descriptors of the program's that a sleep waits on.
pub const MOST_OTHERS: usize = 64;

/// A descriptor of the program's that a sleep waits on, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Its number.
    pub number: i32,
    /// What a look at it said.
    pub found: Found,
}

/// What a look at a descriptor said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// Nothing can be read.
    #[default]
    Nothing,
    /// Something can be read, or an error or the end of it.
    Ready,
    /// It is not open.
    Closed,
}

#[cfg(unix)]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, OwnedFd, RawFd};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use socket2::Socket;

    use super::{Found, MOST_OTHERS, Other};

    pub(crate) type Number = RawFd;

    pub(super) fn pair() -> io::Result<(Socket, Option<Socket>)> {
        // Both are closed on exec.
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        #[cfg(target_vendor = "apple")]
        raise_no_signal(&writer)?;
        Ok((OwnedFd::from(reader).into(), Some(OwnedFd::from(writer).into())))
    }

    /// Elsewhere each send says so.
    #[cfg(target_vendor = "apple")]
    fn raise_no_signal(socket: &UnixStream) -> io::Result<()> {
        let on: libc::c_int = 1;
        let size = size_of_val(&on) as libc::socklen_t;
        // SAFETY: the option is an int.
        let failed = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_NOSIGPIPE,
                (&raw const on).cast(),
                size,
            )
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn number(socket: &Socket) -> Number {
        socket.as_raw_fd()
    }

    /// A look at the socket and at `others`, which are [`MOST_OTHERS`] at most: those after that are not looked at.
    pub(super) fn poll(socket: &Socket, others: &mut [Other], limit: Duration) {
        const NONE: libc::pollfd = libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 };
        let mut all = [NONE; 1 + MOST_OTHERS];
        let count = all.len().min(1 + others.len());
        all[0].fd = socket.as_raw_fd();
        for (entry, other) in all[1..count].iter_mut().zip(others.iter()) {
            entry.fd = other.number;
        }
        wait(&mut all[..count], limit);
        for (other, entry) in others.iter_mut().zip(&all[1..count]) {
            other.found = match entry.revents {
                0 => Found::Nothing,
                ended if ended & libc::POLLNVAL != 0 => Found::Closed,
                _ => Found::Ready,
            };
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    fn wait(all: &mut [libc::pollfd], limit: Duration) {
        let limit = libc::timespec {
            tv_sec: limit.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: limit.subsec_nanos() as _,
        };
        // SAFETY: so many records, and a time, for the length of the call. An interrupted or refused call says nothing of them, and they say
        // that nothing is ready.
        unsafe {
            libc::ppoll(all.as_mut_ptr(), all.len() as libc::nfds_t, &raw const limit, std::ptr::null())
        };
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn wait(all: &mut [libc::pollfd], limit: Duration) {
        // Rounded up: a sleep that ends too early is one that is repeated without a pause.
        let milliseconds = limit.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        // SAFETY: as above.
        unsafe { libc::poll(all.as_mut_ptr(), all.len() as libc::nfds_t, milliseconds) };
    }

    pub(super) fn send(socket: &Socket) -> io::Result<()> {
        const FLAGS: i32 = if cfg!(target_vendor = "apple") { 0 } else { libc::MSG_NOSIGNAL };
        socket.send_with_flags(&[1], FLAGS).map(drop)
    }

    pub(super) fn receive_all(socket: &Socket) {
        let mut bytes = [MaybeUninit::uninit(); 64];
        while socket.recv(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::mem::MaybeUninit;
    use std::net::{Ipv4Addr, SocketAddrV4};
    use std::os::windows::io::{AsRawSocket, RawSocket};

    use socket2::{Domain, Protocol, SockAddr, Socket, Type};

    pub(crate) type Number = RawSocket;

    pub(super) fn pair() -> io::Result<(Socket, Option<Socket>)> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)))?;
        // So that it gets what it sends itself, and nothing else.
        socket.connect(&socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok((socket, None))
    }

    pub(super) fn number(socket: &Socket) -> Number {
        socket.as_raw_socket()
    }

    pub(super) fn send(socket: &Socket) -> io::Result<()> {
        socket.send(&[1]).map(drop)
    }

    pub(super) fn receive_all(socket: &Socket) {
        let mut bytes = [MaybeUninit::uninit(); 64];
        while socket.recv(&mut bytes).is_ok() {}
    }
}
