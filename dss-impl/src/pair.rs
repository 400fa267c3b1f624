//! A descriptor that another thread makes readable: two connected sockets, or one that is connected to itself.
//!
//! An eventfd or a pipe would do the same, but a program may close what it is given. An eventfd has no identity of its own (all of them
//! share one inode), so DSS could not tell whether its number refers to another file by now. Writing to a pipe whose other end was closed
//! raises SIGPIPE, which ends a program that does not expect it. A socket has its own inode, and can send without raising a signal.

use std::io;

use crate::cancellation::uncancelled;
use crate::descriptor::Descriptor;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// The pair. When it is dropped, each end that the program has not closed is closed.
pub(crate) struct Pair {
    reader: Descriptor,
    /// None if the reader is connected to itself.
    writer: Option<Descriptor>,
    /// Whether something was written since the last [`Self::clear`].
    written: AtomicBool,
    /// How many threads are writing. Their data may be readable before `written` is set: the system tends to run the woken thread
    /// instead of the one that woke it. The woken thread would then find the reader readable again and again until the other thread runs.
    writing: AtomicUsize,
}

impl Pair {
    /// Makes a pair.
    ///
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

    /// The number that a program waits for.
    pub(crate) fn number(&self) -> system::Number {
        system::number(self.reader.socket())
    }

    /// Whether both ends are still open.
    pub(crate) fn is_open(&self) -> bool {
        self.reader.is_open() && self.writer.as_ref().is_none_or(Descriptor::is_open)
    }

    /// Sleeps until something is written, one of `others` is ready, `limit` is over, or a signal arrives. [lua-thread] `[blocks]`
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
            // After the send: a `clear` in between leaves the byte to the next `clear`. In the other order, it could be left forever.
            self.written.store(true, Ordering::Release);
            self.writing.fetch_sub(1, Ordering::Release);
            match sent {
                // The buffer is full of unread data, so it is readable.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                sent => sent,
            }
        })
    }

    /// Removes what was written. Makes no system call if nothing was. [lua-thread]
    pub(crate) fn clear(&self) {
        let written = self.written.load(Ordering::Relaxed);
        if !written && self.writing.load(Ordering::SeqCst) == 0 {
            return;
        }
        // Before the read: data that was noted by now is read below, and data written later is noted later.
        self.written.swap(false, Ordering::AcqRel);
        if self.reader.is_open() {
            system::receive_all(self.reader.socket());
        }
    }
}

/// The most descriptors of the program that a sleep can wait for.
pub const MOST_OTHERS: usize = 64;

/// A descriptor of the program that a sleep also waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Its number.
    pub number: i32,
    /// Its state when it was checked.
    pub found: Found,
}

/// The state of a descriptor when it was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// There is nothing to read.
    #[default]
    Nothing,
    /// There is data, an error or the end to read.
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

    /// Other systems take a flag for each send.
    #[cfg(target_vendor = "apple")]
    fn raise_no_signal(socket: &UnixStream) -> io::Result<()> {
        let on: libc::c_int = 1;
        let size = size_of_val(&on) as libc::socklen_t;
        // SAFETY: the option is an int, and the pointer and the size are those of an int.
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

    /// Waits for the socket and for `others`, at most [`MOST_OTHERS`] of them. The rest are not checked.
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
            tv_sec: limit.as_secs().min(i32::MAX as u64) as _,
            tv_nsec: limit.subsec_nanos() as _,
        };
        // SAFETY: the pointer is to so many records, and the time is valid for the length of the call. If the call is interrupted or
        // refused, it does not change the records, which say that nothing is ready.
        unsafe {
            libc::ppoll(all.as_mut_ptr(), all.len() as libc::nfds_t, &raw const limit, std::ptr::null())
        };
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    fn wait(all: &mut [libc::pollfd], limit: Duration) {
        // Rounded up: a sleep that ends too early would be repeated without a pause.
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
        // Connected to itself, so that it receives only its own data.
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
