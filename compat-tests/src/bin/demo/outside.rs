//! The outside world: writes files and makes HTTP requests. Announces each to the tally first.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::script::Script;
use crate::tally::{FSWATCH, Fate, HTTPD, Tally};

/// The number of files.
pub(crate) const FILES: u32 = 100;
const BETWEEN_FILES: Duration = Duration::from_millis(50);
/// The number of clients of each server, and of requests of each client.
const CLIENTS: [u64; 2] = [4, 2];
const REQUESTS: u64 = 90;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(40);
/// The number of requests of v2's server that miss their deadline, while it answers the others.
const SLOW_REQUESTS: u64 = 6;
/// How long callbacks may take to arrive in Lua.
const LIMIT: Duration = Duration::from_secs(10);
/// The time limit of an answer. The request that is never answered waits as long as the demo runs.
const ANSWER: Duration = Duration::from_secs(60);

/// The request that Lua never answers.
const NEVER: &str = "GET /never";
/// The request that Lua answers after the deadline.
pub(crate) const SLOW: &str = "GET /slow";

/// What the threads of the demo share. A server is an index: 0 for v1, 1 for v2.
pub(crate) struct World<'a> {
    pub(crate) script: &'a Script,
    pub(crate) folder: &'a Path,
    pub(crate) tally: Mutex<Tally>,
    /// Set by Ctrl-C.
    pub(crate) interrupted: Arc<AtomicBool>,
    pub(crate) script_ended: AtomicBool,
}

impl World<'_> {
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until Ctrl-C, and then ends the script.
    pub(crate) fn serve(&self) -> Vec<io::Result<()>> {
        while self.pause(Duration::from_millis(50)).is_ok() {}
        vec![self.stop()]
    }

    /// Does everything, waits until it has arrived, and then ends the script. Returns the result of each part.
    pub(crate) fn tour(&self) -> Vec<io::Result<()>> {
        thread::scope(|scope| {
            let unanswered =
                scope.spawn(|| self.ask(0, Fate::Cancelled, NEVER, "", "the server is shutting down"));
            let mut parts = vec![
                scope.spawn(|| self.leave()),
                scope.spawn(|| self.files()),
                scope.spawn(|| self.signals()),
            ];
            for server in [0, 1] {
                let clients = 0..CLIENTS[server];
                parts.extend(clients.map(|client| scope.spawn(move || self.client(server, client))));
            }
            let slow = || self.ask(1, Fate::Late, SLOW, "", "the answer took too long");
            parts.extend((0..SLOW_REQUESTS).map(|_| scope.spawn(slow)));
            let join = |part: thread::ScopedJoinHandle<'_, _>| {
                part.join().unwrap_or_else(|_| Err(io::Error::other("A thread of the demo panicked.")))
            };
            let mut results: Vec<io::Result<()>> = parts.into_iter().map(join).collect();
            results.push(self.wait(Tally::has_all));
            results.push(self.stop());
            results.push(join(unanswered));
            results
        })
    }

    /// Sleeps. Fails if the demo is ending.
    pub(crate) fn pause(&self, time: Duration) -> io::Result<()> {
        thread::sleep(time);
        if self.interrupted.load(Ordering::Relaxed) || self.script_ended.load(Ordering::Relaxed) {
            return Err(io::Error::other("The demo ended too early."));
        }
        Ok(())
    }

    /// Waits until callbacks have arrived.
    pub(crate) fn wait(&self, until: impl Fn(&Tally) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !until(&self.tally()) {
            self.pause(Duration::from_millis(1))?;
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("Not all had arrived after {LIMIT:?}.")));
            }
        }
        Ok(())
    }

    /// Writes files. Each contains the time of writing. Lua removes a file when both revisions of fswatch have read it.
    fn files(&self) -> io::Result<()> {
        for number in 0..FILES {
            let name = format!("demo-{number:03}.txt");
            for what in ["create", "read", "remove"].map(|kind| format!("{kind} {name}")) {
                let mut tally = self.tally();
                FSWATCH.iter().for_each(|library| tally.announce(*library, &what, Fate::Delivered, 1));
            }
            fs::write(self.folder.join(&name), self.script.now().to_string())?;
            self.pause(BETWEEN_FILES)?;
        }
        Ok(())
    }

    /// Makes requests of one server, in turn one for each page. Only v2's server is asked for the page of the database.
    fn client(&self, server: usize, client: u64) -> io::Result<()> {
        let pages = &["/fibonacci", "/sum", "/later", "/sql"][..3 + server];
        for (number, page) in (0..REQUESTS).zip(pages.iter().cycle()) {
            let n = (client * 31 + number * 7) % 91;
            let (line, body, answer) = match *page {
                "/sum" => ("POST /sum".to_owned(), format!("{client} {number} {n}"), client + number + n),
                page => (format!("GET {page}?n={n}"), String::new(), fibonacci(n)),
            };
            self.ask(server, Fate::Replied, &line, &body, &format!("{answer}\n"))?;
            self.pause(BETWEEN_REQUESTS)?;
        }
        Ok(())
    }

    /// Makes a request that Lua does not answer, and disconnects when Lua has it.
    fn leave(&self) -> io::Result<()> {
        let _connection = self.send(1, Fate::Cancelled, NEVER, "")?;
        self.wait(|tally| tally.has(HTTPD[1], NEVER))
    }

    /// Makes a request and checks the answer.
    pub(crate) fn ask(
        &self,
        server: usize,
        fate: Fate,
        line: &str,
        body: &str,
        wanted: &str,
    ) -> io::Result<()> {
        let mut answer = String::new();
        self.send(server, fate, line, body)?.read_to_string(&mut answer)?;
        let status = if fate == Fate::Replied { 200 } else { 503 };
        if answer.starts_with(&format!("HTTP/1.1 {status} "))
            && answer.ends_with(&format!("\r\n\r\n{wanted}"))
        {
            return Ok(());
        }
        Err(io::Error::other(format!("{line}: the answer should be {status} {wanted:?}, and is {answer:?}.")))
    }

    /// Sends a request, with the time of sending in a header.
    fn send(&self, server: usize, fate: Fate, line: &str, body: &str) -> io::Result<TcpStream> {
        let (page, _) = line.split_once('?').unwrap_or((line, ""));
        self.tally().announce(HTTPD[server], page, fate, 1);
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.script.ports[server]))?;
        stream.set_read_timeout(Some(ANSWER))?;
        let (length, now) = (body.len(), self.script.now());
        let request = [
            format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"),
            format!("content-length: {length}\r\nx-sent: {now}\r\n\r\n{body}"),
        ];
        stream.write_all(request.concat().as_bytes())?;
        Ok(stream)
    }
}

fn fibonacci(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}
