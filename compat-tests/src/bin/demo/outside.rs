//! The outside world: writes files, makes requests and sends signals.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Event;
use crate::http::Request;
use crate::script::{Clock, Script};

const FILES: u32 = 100;
const BETWEEN_FILES: Duration = Duration::from_millis(50);
/// The number of clients of each server, without the [`SLOW_CLIENTS`].
const CLIENTS: [u64; 2] = [4, 2];
const REQUESTS: u64 = 90;
/// The clients of v2's server that ask for a page that misses its deadline, and the number of their requests.
const SLOW_CLIENTS: u64 = 3;
const SLOW_REQUESTS: u64 = 2;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(40);
const SIGNALS: u32 = 40;
const BETWEEN_SIGNALS: Duration = Duration::from_millis(125);
/// How long a part waits until Lua confirms what was sent.
const PATIENCE: Duration = Duration::from_secs(5);
/// The number of rows that Lua inserts into the database.
pub(crate) const ROWS: u64 = 2000;

/// Something that was done, or that failed.
pub(crate) enum Done {
    /// The file with this number was created and written.
    Wrote(u32),
    /// A request got the right answer, or a sentence that says what was wrong.
    Asked(Asked, Result<(), String>),
    /// The unanswered request ended when its server stopped, or a sentence that says how else it ended.
    Ended(Result<(), String>),
    /// SIGTERM was sent, at this time on Lua's clock.
    Killed(f64),
    /// Something else went wrong.
    Failed(String),
    /// One of the [`PARTS`] has finished.
    Part,
}

/// The server of a request, as an index.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    V1,
    V2,
}

/// The kind of a request, as an index.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    /// Answered by Lua, through v1.
    V1,
    /// Answered by Lua, through v2.
    V2,
    /// Answered by the database, through v2.
    Sql,
    /// Answered by v2 itself because Lua is too slow.
    Slow,
}

impl Asked {
    fn server(self) -> Server {
        match self {
            Asked::V1 => Server::V1,
            Asked::V2 | Asked::Sql | Asked::Slow => Server::V2,
        }
    }
}

/// The number of threads that report [`Done::Part`].
pub(crate) const PARTS: usize = (CLIENTS[0] + CLIENTS[1] + SLOW_CLIENTS) as usize + 3;

/// The outside world.
pub(crate) struct Outside {
    world: World,
    signals: JoinHandle<()>,
}

/// The state that all its threads share.
#[derive(Clone)]
struct World {
    events: Sender<Event>,
    clock: Clock,
    ports: [u16; 2],
    pid: u32,
    folder: PathBuf,
    stopping: Arc<AtomicBool>,
    /// The number of signals that Lua has received.
    signals_heard: Arc<AtomicU64>,
    /// Whether Lua has the request whose client disconnects early.
    held: Arc<AtomicBool>,
}

impl Outside {
    /// Starts all threads. Setting `stopping` ends them early.
    pub(crate) fn start(
        script: &Script,
        folder: &Path,
        stopping: Arc<AtomicBool>,
        events: Sender<Event>,
    ) -> Outside {
        let world = World {
            events,
            clock: script.clock,
            ports: script.ports,
            pid: script.pid(),
            folder: folder.to_owned(),
            stopping,
            signals_heard: Arc::default(),
            held: Arc::default(),
        };
        let spawn = |part: fn(&World, u64), number| {
            let world = world.clone();
            thread::spawn(move || part(&world, number))
        };
        spawn(|world, _| world.never(), 0);
        spawn(|world, _| world.leave(), 0);
        spawn(|world, _| world.files(), 0);
        (0..CLIENTS[0])
            .for_each(|client| drop(spawn(|world, client| world.requests(client, request), client)));
        (0..CLIENTS[1])
            .for_each(|client| drop(spawn(|world, client| world.requests(client, request_v2), client)));
        (0..SLOW_CLIENTS).for_each(|client| drop(spawn(|world, _| world.slow(), client)));
        let signals = spawn(|world, _| world.signals(), 0);
        Outside { world, signals }
    }

    /// Lua has the request whose client disconnects early, so the client may disconnect now.
    pub(crate) fn held(&self) {
        self.world.held.store(true, Ordering::Release);
    }

    /// Lua has received a signal, so the next one may be sent.
    pub(crate) fn signal_heard(&self) {
        self.world.signals_heard.fetch_add(1, Ordering::Release);
    }

    /// Lua has read a file. Removes it.
    pub(crate) fn remove(&self, number: u32) {
        // It may already be gone: one write can cause two events, and Lua reads the file at each.
        let _ = fs::remove_file(self.world.folder.join(file_name(number)));
    }

    /// Stops. When this returns, no more signals are sent, so it is safe to wait for the process. After that wait, the
    /// process's number may be reused.
    pub(crate) fn finish(self) {
        self.world.stopping.store(true, Ordering::Relaxed);
        // An error would mean that the thread panicked. It has ended in either case.
        let _ = self.signals.join();
    }
}

impl World {
    fn say(&self, done: Done) {
        // The receiver is gone if the demo has already given up.
        let _ = self.events.send(Event::Done(done));
    }

    /// Sleeps. Returns `false` if the demo is stopping.
    fn pause(&self, time: Duration) -> bool {
        thread::sleep(time);
        !self.stopping.load(Ordering::Relaxed)
    }

    fn files(&self) {
        for number in 0..FILES {
            match self.write(number) {
                Ok(()) => self.say(Done::Wrote(number)),
                Err(error) => self.say(Done::Failed(format!("{}: {error}", file_name(number)))),
            }
            if !self.pause(BETWEEN_FILES) {
                break;
            }
        }
        self.say(Done::Part);
    }

    fn write(&self, number: u32) -> io::Result<()> {
        let mut file = File::create_new(self.folder.join(file_name(number)))?;
        file.write_all(content(number, self.clock.now()).as_bytes())
    }

    fn ask(&self, server: Server, request: &Request) -> Result<(), String> {
        request.ask(self.ports[server as usize], &self.clock)
    }

    fn requests(&self, client: u64, request: fn(u64, u64) -> (Asked, Request)) {
        for number in 0..REQUESTS {
            let (asked, request) = request(client, number);
            self.say(Done::Asked(asked, self.ask(asked.server(), &request)));
            if !self.pause(BETWEEN_REQUESTS) {
                break;
            }
        }
        self.say(Done::Part);
    }

    /// Makes requests that Lua answers too late. The same server answers the other clients meanwhile.
    fn slow(&self) {
        for _ in 0..SLOW_REQUESTS {
            let request = refused("GET /slow", "the answer took too long");
            self.say(Done::Asked(Asked::Slow, self.ask(Server::V2, &request)));
            if !self.pause(BETWEEN_REQUESTS) {
                break;
            }
        }
        self.say(Done::Part);
    }

    /// Makes the request that is in flight when its server stops. It is not one of the [`PARTS`], because the stop ends it.
    fn never(&self) {
        self.say(Done::Ended(self.ask(Server::V1, &refused(NEVER, "the server is shutting down"))));
    }

    /// Makes the same request of v2. The client disconnects when Lua has the request.
    fn leave(&self) {
        let waiting = refused(NEVER, "").send(self.ports[Server::V2 as usize], &self.clock);
        let deadline = Instant::now() + PATIENCE;
        while !self.held.load(Ordering::Acquire) && Instant::now() < deadline {
            if !self.pause(Duration::from_millis(1)) {
                break;
            }
        }
        if let Err(error) = waiting {
            self.say(Done::Failed(format!("{NEVER}: {error}")));
        }
        self.say(Done::Part);
    }

    /// Sends the signals. The system merges a signal with an unread earlier one, so each is sent after the last was read.
    fn signals(&self) {
        for sent in 1..=u64::from(SIGNALS) {
            let at = self.clock.now();
            if let Err(error) = send_signal(self.pid, libc::SIGTERM) {
                self.say(Done::Failed(format!("SIGTERM could not be sent: {error}")));
                break;
            }
            self.say(Done::Killed(at));
            let deadline = Instant::now() + PATIENCE;
            let mut goes_on = self.pause(BETWEEN_SIGNALS);
            while goes_on && self.signals_heard.load(Ordering::Acquire) < sent {
                // If the signal is lost, the verdict says so.
                goes_on = Instant::now() < deadline && self.pause(Duration::from_millis(1));
            }
            if !goes_on {
                break;
            }
        }
        self.say(Done::Part);
    }
}

/// The request that is never answered.
pub(crate) const NEVER: &str = "GET /never";

/// A request that gets status 503 because Lua gives no answer.
fn refused(line: &str, why: &str) -> Request {
    Request { line: line.to_owned(), body: String::new(), status: 503, answer: why.to_owned() }
}

/// The requests of a client of v1, in turn: Lua computes three of them, the last from a timer.
fn request(client: u64, number: u64) -> (Asked, Request) {
    let n = (client * 31 + number * 7) % 91;
    let (line, body, answer) = match number % 3 {
        0 => (format!("GET /fibonacci?n={n}"), String::new(), fibonacci(n)),
        1 => ("POST /sum".to_owned(), format!("{client} {number} {n}"), client + number + n),
        _ => (format!("GET /later?n={n}"), String::new(), fibonacci(n)),
    };
    (Asked::V1, Request { line, body, status: 200, answer: format!("{answer}\n") })
}

/// The requests of a client of v2: the same, and a fourth that the database answers with a function written in Lua.
fn request_v2(client: u64, number: u64) -> (Asked, Request) {
    let (_, request) = request(client, number);
    if number % 4 == 3 {
        let n = (client * 17 + number * 5) % 91;
        let (line, answer) = (format!("GET /sql?n={n}"), format!("{}\n", fibonacci(n)));
        return (Asked::Sql, Request { line, body: String::new(), status: 200, answer });
    }
    (Asked::V2, request)
}

/// The sum of the values that Lua computes for the rows of the database.
pub(crate) fn sum_of_rows() -> u64 {
    (1..=ROWS).map(|row| fibonacci(row % 50)).sum()
}

fn fibonacci(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

fn file_name(number: u32) -> String {
    format!("demo-{number:03}.txt")
}

/// The number of the file with this name, if it is one of the demo's files.
pub(crate) fn file_number(name: &str) -> Option<u32> {
    name.strip_prefix("demo-")?.strip_suffix(".txt")?.parse().ok()
}

/// The content of a file: its number, and the time of writing on Lua's clock.
fn content(number: u32, at: f64) -> String {
    format!("{number} {at:.9}")
}

/// The time at which a file was written, if its content is the expected one.
pub(crate) fn written_at(number: u32, content: &str) -> Option<f64> {
    let (found, at) = content.split_once(' ')?;
    at.parse().ok().filter(|_| found.parse() == Ok(number))
}

/// Sends a signal.
///
/// # Errors
/// The error of the system.
pub(crate) fn send_signal(pid: u32, signal: libc::c_int) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: the call takes numbers only, and returns an error for invalid ones.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
