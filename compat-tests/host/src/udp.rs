//! A UDP socket on the loopback interface, to receive notifications without LuaSocket.

use crate::lua::{self, State};
use crate::object::{self, Object, create, open, reply};
use crate::os::seconds;
use crate::value::Value;
use std::ffi::{CStr, c_int};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

/// A bound socket.
struct Udp(UdpSocket);

/// The longest possible datagram.
const LONGEST: usize = 65536;

impl Object for Udp {
    const NAME: &'static CStr = c"dss.host.udp";
    const METHODS: &'static [(&'static CStr, lua::Function)] =
        &[(c"port", port), (c"receive", receive), (c"drain", drain), (c"close", close)];
}

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[(c"udp", udp)];

pub(crate) unsafe fn register(l: *mut State) {
    // SAFETY: this function has the same contract as the one it calls.
    unsafe { object::register::<Udp>(l) }
}

impl Udp {
    /// The next datagram, or `None` when the time is up. Without a limit it waits forever.
    fn receive(&self, limit: Option<Duration>) -> io::Result<Option<Vec<u8>>> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut buffer = vec![0; LONGEST];
        // A datagram that has already arrived is taken even if no time is left.
        self.0.set_nonblocking(true)?;
        let first = self.0.recv(&mut buffer);
        self.0.set_nonblocking(false)?;
        let mut result = first;
        loop {
            match result {
                Ok(len) => {
                    buffer.truncate(len);
                    return Ok(Some(buffer));
                }
                Err(error) if is_retried(&error) => {}
                Err(error) => return Err(error),
            }
            let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if rest.is_some_and(|rest| rest.is_zero()) {
                return Ok(None);
            }
            self.0.set_read_timeout(rest)?;
            result = self.0.recv(&mut buffer);
        }
    }

    /// Discards all waiting datagrams, and returns their number.
    fn drain(&self) -> io::Result<u64> {
        let mut buffer = vec![0; LONGEST];
        let mut count = 0;
        self.0.set_nonblocking(true)?;
        let end = loop {
            match self.0.recv(&mut buffer) {
                Ok(_) => count += 1,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(count),
                Err(error) => break Err(error),
            }
        };
        self.0.set_nonblocking(false)?;
        end
    }
}

/// Whether an error means that the time is up (it has two names) or that a signal came. The deadline then decides.
fn is_retried(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// `host.udp() -> socket`: a UDP socket, bound to a free port of the loopback interface.
unsafe extern "C-unwind" fn udp(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        create(l, || {
            UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(Udp).map_err(|error| format!("no socket: {error}"))
        })
    }
}

/// `socket:port() -> number`.
unsafe extern "C-unwind" fn port(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the object stays on the stack.
    unsafe {
        let this = object::this::<Udp>(l);
        reply(l, move || {
            let address = open(this)?.0.local_addr().map_err(|error| error.to_string())?;
            Ok(vec![Value::count(address.port().into())])
        })
    }
}

/// `socket:receive([timeout]) -> datagram`, or nil after `timeout` seconds; without a timeout it waits.
unsafe extern "C-unwind" fn receive(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the object stays on the stack.
    unsafe {
        let this = object::this::<Udp>(l);
        let timeout = lua::optnumber(l, 2, f64::INFINITY);
        reply(l, move || {
            let datagram = open(this)?.receive(seconds(timeout)?).map_err(|error| error.to_string())?;
            Ok(vec![datagram.map_or(Value::Nil, Value::String)])
        })
    }
}

/// `socket:drain() -> number`: discards the waiting datagrams without waiting for more, and returns their number.
unsafe extern "C-unwind" fn drain(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the object stays on the stack.
    unsafe {
        let this = object::this::<Udp>(l);
        reply(l, move || {
            open(this)?.drain().map(|count| vec![Value::count(count)]).map_err(|error| error.to_string())
        })
    }
}

/// `socket:close()`: a second call does nothing.
unsafe extern "C-unwind" fn close(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the slot belongs to the userdata on the stack.
    unsafe {
        let slot = object::slot::<Udp>(l);
        reply(l, move || {
            object::discard(slot);
            Ok(Vec::new())
        })
    }
}
