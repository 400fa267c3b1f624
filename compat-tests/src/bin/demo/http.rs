//! A minimal HTTP client for the demo: one request per connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::script::Clock;

/// The time limit of an answer. The request that is never answered waits as long as the demo runs.
const LIMIT: Duration = Duration::from_secs(60);

/// A request, and the answer that it should get.
pub(crate) struct Request {
    /// The method and the target.
    pub(crate) line: String,
    /// The request body.
    pub(crate) body: String,
    /// The expected status.
    pub(crate) status: u16,
    /// The expected response body.
    pub(crate) answer: String,
}

impl Request {
    /// Sends it to `port` on loopback, with the time of sending in the header `x-sent`, and checks the answer.
    ///
    /// # Errors
    /// A sentence that says what was wrong with the answer.
    pub(crate) fn ask(&self, port: u16, clock: &Clock) -> Result<(), String> {
        let (status, body) = self.exchange(port, clock).map_err(|error| format!("{}: {error}", self.line))?;
        if status != self.status || body != self.answer {
            return Err(format!(
                "{}: the answer should be {} {:?}, and is {status} {body:?}",
                self.line, self.status, self.answer
            ));
        }
        Ok(())
    }

    /// Sends it, and returns the connection without reading the answer.
    ///
    /// # Errors
    /// The error of the system.
    pub(crate) fn send(&self, port: u16, clock: &Clock) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(LIMIT))?;
        let Request { line, body, .. } = self;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        let request = format!("{head}x-sent: {:.9}\r\n\r\n{body}", clock.now());
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }

    fn exchange(&self, port: u16, clock: &Clock) -> io::Result<(u16, String)> {
        let mut stream = self.send(port, clock)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let parse = || {
            let (head, body) = answer.split_once("\r\n\r\n")?;
            let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
            Some((status, body.to_owned()))
        };
        parse().ok_or_else(|| io::Error::other(format!("{answer:?} is no answer in HTTP")))
    }
}
