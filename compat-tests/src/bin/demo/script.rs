//! The Lua half of the demo, which runs as a child process: starting it, reading its lines, comparing clocks, ending it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use compat_tests::Artefacts;
use compat_tests::artefacts::workspace;

use crate::Event;

/// The number of times that the clocks are compared.
const COMPARISONS: usize = 200;

/// A line of the script's output.
pub(crate) enum Heard {
    /// A callback of a timer, and by how many seconds it was late.
    Timer { kind: String, late: f64 },
    /// A callback for a signal. `at` is the time on Lua's clock, here and in the other variants.
    Signal { at: f64, name: String },
    /// A callback for a file, with the beginning of its content.
    File { revision: String, at: f64, kind: String, name: String, content: String },
    /// A call of a request handler. `sent` is the time that the client put into the request.
    Request { revision: String, at: f64, line: String, sent: Option<f64> },
    /// A reply that Lua gives on purpose after the deadline, and whether it was in time anyway.
    Late { in_time: bool },
    /// A callback of the database, or a Lua function that it called.
    Sql { kind: String, what: String },
    /// The number of rows in the database at the end, and the sum of their values.
    Database { rows: u64, sum: u64 },
    /// The counts of DSS for a library.
    Library { last: bool, counts: Counts },
    /// The number of timers that were set to fire once.
    Armed(u64),
    /// All libraries were stopped, and the number that are still registered.
    Stopped(u64),
    /// A callback raised an error.
    Error(String),
}

/// One entry of `darksidesync.stats()`.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    pub(crate) name: String,
    pub(crate) revision: String,
    pub(crate) delivered: u64,
    pub(crate) replied: u64,
    pub(crate) queued: u64,
    pub(crate) waiting: u64,
    pub(crate) cancelled: u64,
    pub(crate) late: u64,
    /// The 50th and the 99th percentile of the waiting times of deliveries, if the revision records them.
    pub(crate) waited: Option<[f64; 2]>,
}

/// Lua's clock, as seen from this process. Both processes use the machine's monotonic clock, but with different origins.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    base: Instant,
    ahead: f64,
    /// The possible error of the comparison of the two clocks, in seconds.
    pub(crate) uncertainty: f64,
}

impl Clock {
    /// The time on Lua's clock.
    pub(crate) fn now(&self) -> f64 {
        self.base.elapsed().as_secs_f64() - self.ahead
    }

    /// Compares the clocks. Lua reads its clock between two readings of ours, which bounds the offset from both sides. The
    /// narrowest bounds of all comparisons count, so a slow wake-up does no harm.
    fn compare(ask: &mut ChildStdin, answers: &mut impl BufRead) -> io::Result<Clock> {
        let base = Instant::now();
        let (mut least, mut most) = (f64::NEG_INFINITY, f64::INFINITY);
        for _ in 0..COMPARISONS {
            let before = base.elapsed().as_secs_f64();
            ask.write_all(b"clock\n")?;
            let answer = line(answers)?;
            let after = base.elapsed().as_secs_f64();
            let there: f64 =
                answer.strip_prefix("clock\t").and_then(|time| time.parse().ok()).ok_or_else(|| {
                    io::Error::other(format!("the script says {answer:?} when asked for its clock"))
                })?;
            least = least.max(before - there);
            most = most.min(after - there);
        }
        ask.write_all(b"go\n")?;
        Ok(Clock { base, ahead: f64::midpoint(least, most), uncertainty: (most - least) / 2.0 })
    }
}

/// The running script.
pub(crate) struct Script {
    child: Child,
    stderr: JoinHandle<String>,
    /// Its clock, as seen from here.
    pub(crate) clock: Clock,
    /// The ports of its servers: v1's, then v2's.
    pub(crate) ports: [u16; 2],
    /// The name and version of the module, and the Lua that it runs in.
    pub(crate) title: String,
}

impl Script {
    /// Starts the script with `rows` rows for its database. Its output is sent to `events`.
    ///
    /// # Errors
    /// The script cannot be started, or ends before it is ready. The error includes what it wrote to stderr.
    pub(crate) fn start(
        artefacts: &Artefacts,
        mode: &str,
        folder: &Path,
        rows: u64,
        events: Sender<Event>,
    ) -> io::Result<Script> {
        let mut command = artefacts.command(&[]);
        command
            .arg(workspace().join("compat-tests/demo/demo.lua"))
            .arg(mode)
            .arg(folder)
            .arg(rows.to_string());
        // Its own process group, so that Ctrl-C reaches only this process, which passes it on later.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().expect("piped above");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped above"));
        let mut errors = child.stderr.take().expect("piped above");
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            // After an error, what was read so far is still worth showing.
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        match Self::greet(&mut stdin, &mut stdout, &events) {
            Ok((clock, ports, title)) => {
                thread::spawn(move || listen(stdout, &events));
                Ok(Script { child, stderr, clock, ports, title })
            }
            Err(error) => {
                // An error means that it has already ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                let said = stderr.join().unwrap_or_default();
                Err(io::Error::other(format!("{error}\n{said}")))
            }
        }
    }

    fn greet(
        stdin: &mut ChildStdin,
        stdout: &mut BufReader<ChildStdout>,
        events: &Sender<Event>,
    ) -> io::Result<(Clock, [u16; 2], String)> {
        let clock = Clock::compare(stdin, stdout)?;
        loop {
            let line = line(stdout)?;
            let fields: Vec<&str> = line.split('\t').collect();
            if let ["ready", old, new, version, lua] = fields[..] {
                let port = |text: &str| text.parse().map_err(io::Error::other);
                return Ok((clock, [port(old)?, port(new)?], format!("{version} in {lua}")));
            }
            // The first timer may already be due.
            let _ = events.send(parse(&line));
        }
    }

    /// The process's number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end, and kills it after `limit`; the status is then `None`. Also returns what the process
    /// wrote to stderr.
    pub(crate) fn end(mut self, limit: Duration) -> io::Result<(Option<ExitStatus>, String)> {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break Some(status),
                None if Instant::now() >= deadline => {
                    self.child.kill()?;
                    self.child.wait()?;
                    break None;
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        Ok((status, self.stderr.join().unwrap_or_default()))
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match from.read_line(&mut line)? {
        0 => Err(io::Error::other("the script ended before it was ready")),
        _ => Ok(line.trim_end_matches('\n').to_owned()),
    }
}

fn listen(stdout: BufReader<ChildStdout>, events: &Sender<Event>) {
    for line in stdout.lines().map_while(Result::ok) {
        // The receiver is gone if the demo has already given up.
        let _ = events.send(parse(&line));
    }
    let _ = events.send(Event::ScriptEnded);
}

fn parse(line: &str) -> Event {
    Event::Heard(heard(line).unwrap_or_else(|| Heard::Error(format!("a line that says nothing: {line:?}"))))
}

fn heard(line: &str) -> Option<Heard> {
    let fields: Vec<&str> = line.split('\t').collect();
    Some(match fields[..] {
        ["timer", kind, late] => Heard::Timer { kind: kind.to_owned(), late: late.parse().ok()? },
        ["signal", at, name] => Heard::Signal { at: at.parse().ok()?, name: name.to_owned() },
        ["file", revision, at, kind, name, content] => Heard::File {
            revision: revision.to_owned(),
            at: at.parse().ok()?,
            kind: kind.to_owned(),
            name: name.to_owned(),
            content: content.to_owned(),
        },
        ["request", revision, at, line, sent] => Heard::Request {
            revision: revision.to_owned(),
            at: at.parse().ok()?,
            line: line.to_owned(),
            sent: sent.parse().ok(),
        },
        ["late", in_time] => Heard::Late { in_time: in_time.parse().ok()? },
        ["sql", kind, what] => Heard::Sql { kind: kind.to_owned(), what: what.to_owned() },
        ["database", rows, sum] => Heard::Database { rows: rows.parse().ok()?, sum: sum.parse().ok()? },
        ["library", moment, name, revision, ref counts @ ..] => Heard::Library {
            last: moment == "last",
            counts: Counts { name: name.to_owned(), revision: revision.to_owned(), ..numbers(counts)? },
        },
        ["armed", count] => Heard::Armed(count.parse().ok()?),
        ["stopped", count] => Heard::Stopped(count.parse().ok()?),
        ["error", message] => Heard::Error(message.to_owned()),
        _ => return None,
    })
}

/// Parses the counts of a library, in the order of the line.
fn numbers(fields: &[&str]) -> Option<Counts> {
    let [delivered, replied, queued, waiting, cancelled, late, p50, p99] = *fields else { return None };
    let waited = || Some([p50.parse().ok()?, p99.parse().ok()?]);
    Some(Counts {
        delivered: delivered.parse().ok()?,
        replied: replied.parse().ok()?,
        queued: queued.parse().ok()?,
        waiting: waiting.parse().ok()?,
        cancelled: cancelled.parse().ok()?,
        late: late.parse().ok()?,
        waited: waited(),
        ..Counts::default()
    })
}
