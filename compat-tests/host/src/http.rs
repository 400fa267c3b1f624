//! An HTTP request over the loopback interface, on its own thread, so that Lua can serve it at the same time.

use crate::lua::{self, State};
use crate::object::{self, Object, Reply, create, open, reply};
use crate::os::seconds;
use crate::value::Value;
use chunked_transfer::Decoder;
use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::io::{self, BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

/// A status and a body, or what went wrong.
type Answer = Result<(u16, Vec<u8>), String>;

/// A request in progress or finished.
struct Request(RefCell<Progress>);

struct Progress {
    coming: Receiver<Answer>,
    /// Kept, so that a second `wait` returns the same.
    answer: Option<Answer>,
}

impl Object for Request {
    const NAME: &'static CStr = c"dss.host.request";
    const METHODS: &'static [(&'static CStr, lua::Function)] = &[(c"wait", wait), (c"done", done)];
}

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[(c"http", http)];

pub(crate) unsafe fn register(l: *mut State) {
    // SAFETY: this function has the same contract as the one it calls.
    unsafe { object::register::<Request>(l) }
}

/// A stream on which every read and write ends by the deadline.
struct Timed {
    stream: TcpStream,
    deadline: Option<Instant>,
}

impl Timed {
    /// The remaining time, or `None` without a deadline.
    fn rest(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let rest = deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(rest)) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.rest()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.rest()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Makes the request and reads its answer to the end.
fn fetch(port: u16, target: &str, limit: Option<Duration>) -> io::Result<(u16, Vec<u8>)> {
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = match limit {
        Some(limit) => TcpStream::connect_timeout(&address, limit)?,
        None => TcpStream::connect(address)?,
    };
    let mut stream = Timed { stream, deadline };
    write!(stream, "{target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut stream = BufReader::new(stream);

    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_until(b'\n', &mut head)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the answer ends early"));
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(&head).map_err(Error::other)?;
    let status = response.code.unwrap_or_default();
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value))
    };
    let mut body = Vec::new();
    if target.starts_with("HEAD ") || matches!(status, 204 | 304) {
        // Responses with these statuses have no body, whatever their headers say.
    } else if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        Decoder::new(stream).read_to_end(&mut body)?;
    } else if let Some(length) = header("content-length") {
        let length = length.parse::<u64>().map_err(Error::other)?;
        if stream.take(length).read_to_end(&mut body)? as u64 != length {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the body ends early"));
        }
    } else {
        stream.read_to_end(&mut body)?;
    }
    Ok((status, body))
}

impl Progress {
    /// Waits for the answer, and returns the results of `wait`.
    fn wait(&mut self, limit: Option<Duration>) -> Reply {
        if self.answer.is_none() {
            let came = match limit {
                Some(limit) => self.coming.recv_timeout(limit),
                None => self.coming.recv().map_err(RecvTimeoutError::from),
            };
            self.answer = match came {
                Ok(answer) => Some(answer),
                Err(RecvTimeoutError::Timeout) => return Ok(vec![Value::Nil, "timeout".into()]),
                Err(RecvTimeoutError::Disconnected) => Some(Err("the request panicked".into())),
            };
        }
        Ok(match &self.answer {
            Some(Ok((status, body))) => vec![Value::count((*status).into()), Value::String(body.clone())],
            Some(Err(message)) => vec![Value::Nil, message.clone().into()],
            None => vec![Value::Nil],
        })
    }

    fn is_done(&mut self) -> bool {
        if self.answer.is_none() {
            self.answer = match self.coming.try_recv() {
                Ok(answer) => Some(answer),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Err("the request panicked".into())),
            };
        }
        self.answer.is_some()
    }
}

/// `host.http(port, "GET /path" [, timeout]) -> request`: makes one HTTP/1.1 request to a port of the loopback
/// interface, on a background thread. It fails after `timeout` seconds; the default is 10.
unsafe extern "C-unwind" fn http(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the target stays on the stack until the closure has copied it.
    unsafe {
        let port = lua::checkinteger(l, 1);
        let target = object::string(l, 2);
        let timeout = lua::optnumber(l, 3, 10.0);
        create(l, move || {
            let port = u16::try_from(port).map_err(|_| format!("{port} is not a port"))?;
            let target = String::from_utf8_lossy(target).into_owned();
            let limit = seconds(timeout)?;
            let (sender, coming) = mpsc::sync_channel(1);
            let run = move || {
                let answer = fetch(port, &target, limit).map_err(|error| match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => "timeout".to_owned(),
                    _ => error.to_string(),
                });
                // The receiver is gone if the request was collected.
                let _ = sender.send(answer);
            };
            let thread = std::thread::Builder::new().name("http".into()).spawn(run);
            thread.map_err(|error| format!("no new thread: {error}"))?;
            Ok(Request(RefCell::new(Progress { coming, answer: None })))
        })
    }
}

/// `request:wait([timeout]) -> status, body`, or `nil, message`: waits for the answer for at most `timeout` seconds. Without
/// `timeout` it waits until the request itself fails. It may be called again.
unsafe extern "C-unwind" fn wait(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the object stays on the stack.
    unsafe {
        let this = object::this::<Request>(l);
        let timeout = lua::optnumber(l, 2, f64::INFINITY);
        reply(l, move || open(this)?.0.borrow_mut().wait(seconds(timeout)?))
    }
}

/// `request:done() -> boolean`: whether `wait` would return at once.
unsafe extern "C-unwind" fn done(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the object stays on the stack.
    unsafe {
        let this = object::this::<Request>(l);
        reply(l, move || Ok(vec![open(this)?.0.borrow_mut().is_done().into()]))
    }
}
