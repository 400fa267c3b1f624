//! The outside world: files that are written, requests that are made, signals that are sent.

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
const CLIENTS: u64 = 4;
const REQUESTS: u64 = 90;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(40);
const SIGNALS: u32 = 40;
const BETWEEN_SIGNALS: Duration = Duration::from_millis(125);

/// What was done, or failed.
pub(crate) enum Done {
    /// A file was made and written, by its number.
    Wrote(u32),
    /// A request got its answer, or the sentence that says what was wrong.
    Asked(Result<(), String>),
    /// The request that nobody answers was ended by the stop of its server, or the sentence that says how else.
    Ended(Result<(), String>),
    /// SIGTERM was sent, at this time on Lua's clock.
    Killed(f64),
    /// Something else went wrong.
    Failed(String),
    /// One of the [`PARTS`] has done all that it was to do.
    Part,
}

/// The threads that say [`Done::Part`].
pub(crate) const PARTS: usize = CLIENTS as usize + 2;

/// The outside world.
pub(crate) struct Outside {
    world: World,
    signals: JoinHandle<()>,
}

/// What all its threads share.
#[derive(Clone)]
struct World {
    events: Sender<Event>,
    clock: Clock,
    port: u16,
    pid: u32,
    folder: PathBuf,
    stopping: Arc<AtomicBool>,
    /// How many signals Lua said that it got.
    signals_heard: Arc<AtomicU64>,
}

impl Outside {
    /// Starts it all; `stopping` ends it early.
    pub(crate) fn start(
        script: &Script,
        folder: &Path,
        stopping: Arc<AtomicBool>,
        events: Sender<Event>,
    ) -> Outside {
        let world = World {
            events,
            clock: script.clock,
            port: script.port,
            pid: script.pid(),
            folder: folder.to_owned(),
            stopping,
            signals_heard: Arc::default(),
        };
        let spawn = |part: fn(&World, u64), number| {
            let world = world.clone();
            thread::spawn(move || part(&world, number))
        };
        spawn(|world, _| world.never(), 0);
        spawn(|world, _| world.files(), 0);
        (0..CLIENTS).for_each(|client| drop(spawn(World::requests, client)));
        let signals = spawn(|world, _| world.signals(), 0);
        Outside { world, signals }
    }

    /// Lua has got a signal: the next may be sent.
    pub(crate) fn signal_heard(&self) {
        self.world.signals_heard.fetch_add(1, Ordering::Release);
    }

    /// Removes a file that Lua has read.
    pub(crate) fn remove(&self, number: u32) {
        // It may be gone: one write can be two events, and Lua reads it in each.
        let _ = fs::remove_file(self.world.folder.join(file_name(number)));
    }

    /// Does nothing further. When this returns no more signals are sent: the process may be waited for, after which its
    /// number is another's.
    pub(crate) fn finish(self) {
        self.world.stopping.store(true, Ordering::Relaxed);
        // It panics nowhere; if it did, it has ended all the same.
        let _ = self.signals.join();
    }
}

impl World {
    fn say(&self, done: Done) {
        // Nobody hears it where the demo has given up already.
        let _ = self.events.send(Event::Done(done));
    }

    /// Sleeps; returns whether it goes on.
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

    fn requests(&self, client: u64) {
        for number in 0..REQUESTS {
            self.say(Done::Asked(request(client, number).ask(self.port, &self.clock)));
            if !self.pause(BETWEEN_REQUESTS) {
                break;
            }
        }
        self.say(Done::Part);
    }

    /// The request that is in flight when its server is stopped. It is not waited for: its answer is that very stop.
    fn never(&self) {
        let request = Request {
            line: "GET /never".to_owned(),
            body: String::new(),
            status: 503,
            answer: "the server is shutting down".to_owned(),
        };
        self.say(Done::Ended(request.ask(self.port, &self.clock)));
    }

    /// A signal that comes before the last one was read is none, as systems have it: each waits for its turn.
    fn signals(&self) {
        for sent in 1..=u64::from(SIGNALS) {
            let at = self.clock.now();
            if let Err(error) = send_signal(self.pid, libc::SIGTERM) {
                self.say(Done::Failed(format!("SIGTERM could not be sent: {error}")));
                break;
            }
            self.say(Done::Killed(at));
            let deadline = Instant::now() + Duration::from_secs(5);
            let mut goes_on = self.pause(BETWEEN_SIGNALS);
            while goes_on && self.signals_heard.load(Ordering::Acquire) < sent {
                // That one is lost, and the verdict will say so.
                goes_on = Instant::now() < deadline && self.pause(Duration::from_millis(1));
            }
            if !goes_on {
                break;
            }
        }
        self.say(Done::Part);
    }
}

/// The requests that one client makes, in turn: three that Lua has to compute, the last of them from a timer.
fn request(client: u64, number: u64) -> Request {
    let n = (client * 31 + number * 7) % 91;
    let (line, body, answer) = match number % 3 {
        0 => (format!("GET /fibonacci?n={n}"), String::new(), fibonacci(n)),
        1 => ("POST /sum".to_owned(), format!("{client} {number} {n}"), client + number + n),
        _ => (format!("GET /later?n={n}"), String::new(), fibonacci(n)),
    };
    Request { line, body, status: 200, answer: format!("{answer}\n") }
}

fn fibonacci(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

fn file_name(number: u32) -> String {
    format!("demo-{number:03}.txt")
}

/// The number of the file of that name, if it is one of the demo's own.
pub(crate) fn file_number(name: &str) -> Option<u32> {
    name.strip_prefix("demo-")?.strip_suffix(".txt")?.parse().ok()
}

/// What is in a file: its number, and when it was written on Lua's clock.
fn content(number: u32, at: f64) -> String {
    format!("{number} {at:.9}")
}

/// When a file was written, if that is what it says.
pub(crate) fn written_at(number: u32, content: &str) -> Option<f64> {
    let (found, at) = content.split_once(' ')?;
    at.parse().ok().filter(|_| found.parse() == Ok(number))
}

/// Sends a signal.
///
/// # Errors
/// The system's.
pub(crate) fn send_signal(pid: u32, signal: libc::c_int) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: it takes numbers, and refuses what it doesn't know.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
