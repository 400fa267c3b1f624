//! The demo: one Lua 5.4 state, one DSS, and seven libraries at once, of three revisions and two languages. See `USAGE`.
//!
//! This process plays the outside world and draws the screen. The Lua half, `compat-tests/demo/demo.lua`, is a child process
//! that prints a line for each callback.

mod http;
mod outside;
mod screen;
mod script;
mod tally;
mod times;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::{Artefacts, Lua};

use outside::{Done, Outside};
use screen::{Screen, emit};
use script::{Heard, Script};
use tally::{News, Tally};

const USAGE: &str = "\
DarkSideSync's demo: one Lua 5.4 state, and seven background libraries that call
into it at once.

    cargo demo               some seconds of timers, signals, files, HTTP
                             requests and SQL, then a summary
    cargo demo -- --serve    stays, for your own requests, until Ctrl-C
    cargo demo -- --plain    lines in place of the live table, as they come
                             where stdout is no terminal
    cargo demo -- --help     this

timer is written in C for the interface of DarkSideSync 1.0; luaexit (signals),
fswatch (files) and httpd are written in Rust for revision v1. fswatch and httpd
again, and sqlite, are written in Rust for v2: they know nothing of Lua, and DSS
loads them. All are built first, which needs a C compiler and, the first time,
some minutes.

Exit code 0: every callback arrived that should have. 1: something did not, and
it says what. 2: an unknown option. 130: it was ended early.
";

/// The time limit for events to arrive in Lua, and for the script to end.
const LIMIT: Duration = Duration::from_secs(10);
/// The number of failures that are shown.
const SHOWN: usize = 12;
/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// An event for the main thread.
pub(crate) enum Event {
    /// From Lua.
    Heard(Heard),
    /// From the outside world.
    Done(Done),
    /// The output of Lua has ended.
    ScriptEnded,
}

fn main() -> ExitCode {
    let (mut serve, mut plain) = (false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--serve" => serve = true,
            "--plain" => plain = true,
            "--help" | "-h" => {
                emit(USAGE);
                return ExitCode::SUCCESS;
            }
            unknown => {
                eprintln!("The demo has no option {unknown}: `cargo demo -- --help` says which it has.");
                return ExitCode::from(2);
            }
        }
    }
    let mut screen = Screen::new(plain);
    let Some(artefacts) = build(&screen) else {
        eprintln!("The build failed; what the compiler said stands above.");
        return ExitCode::FAILURE;
    };
    match run(&artefacts, serve, &mut screen) {
        Ok(code) => code,
        Err(error) => {
            drop(screen);
            eprintln!("The demo could not go on: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds what the demo runs. `None` if the build fails.
fn build(screen: &Screen) -> Option<Artefacts> {
    emit(
        "Building DarkSideSync, the seven libraries and a host for Lua 5.4. The first\n\
         time, this takes some minutes.\n",
    );
    let started = Instant::now();
    let builder = thread::spawn(|| Artefacts::build(Lua("lua54"), "compat"));
    while !builder.is_finished() {
        thread::sleep(Duration::from_millis(50));
        if started.elapsed() > Duration::from_secs(2) {
            screen.passing(&format!("{} s", started.elapsed().as_secs()));
        }
    }
    screen.passing("");
    builder.join().ok()
}

/// A temporary folder, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Folder> {
        let folder = std::env::temp_dir().join(format!("dss-demo-{}", std::process::id()));
        fs::create_dir(&folder)?;
        // The watcher reports canonical paths.
        Ok(Folder(folder.canonicalize()?))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it cannot be removed, it stays among the system's temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(artefacts: &Artefacts, serve: bool, screen: &mut Screen) -> io::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let folder = Folder::new()?;
    let (sender, events) = mpsc::channel();
    let (mode, rows) = if serve { ("serve", 0) } else { ("tour", outside::ROWS) };
    let script = Script::start(artefacts, mode, &folder.0, rows, sender.clone())?;
    emit(&format!("{}, process {}\n\n", script.title, script.pid()));
    if serve {
        emit(&invitation(&script, &folder.0));
    }
    screen.start();
    let mut show = Show { tally: Tally::default(), events, outside: None, parts: 0, ended: false };
    if !serve {
        show.outside = Some(Outside::start(&script, &folder.0, Arc::clone(&interrupted), sender));
    }
    let late = show.until_over(screen, &interrupted);
    let early = interrupted.load(Ordering::Relaxed);
    if !show.ended {
        outside::send_signal(script.pid(), libc::SIGINT)?;
    }
    show.until_ended(screen);
    if let Some(outside) = show.outside.take() {
        outside.finish();
    }
    let uncertainty = script.clock.uncertainty;
    let (status, said) = script.end(LIMIT)?;
    show.rest();
    if show.tally.is_complete() {
        screen.summary(&show.tally, uncertainty);
    } else {
        screen.finish(&show.tally);
    }

    let mut failures = Vec::new();
    match status {
        Some(status) if status.success() => {}
        Some(status) => failures.push(format!("The script ended with {status}.")),
        None => failures.push(format!("The script did not end within {} seconds.", LIMIT.as_secs())),
    }
    if !said.is_empty() {
        failures.push(format!("The script wrote to stderr:\n{said}"));
    }
    if late {
        let limit = LIMIT.as_secs();
        failures.push(format!("Not all had arrived {limit} seconds after the last of it was sent."));
    }
    failures.extend(show.tally.failures(!serve && !early));
    Ok(verdict(&show.tally, &failures, serve, early))
}

/// Prints the result of the demo, and returns its exit code.
fn verdict(tally: &Tally, failures: &[String], serve: bool, early: bool) -> ExitCode {
    if !failures.is_empty() {
        eprintln!();
        failures.iter().take(SHOWN).for_each(|failure| eprintln!("{failure}"));
        if failures.len() > SHOWN {
            eprintln!("... and {} more of these.", failures.len() - SHOWN);
        }
        return ExitCode::FAILURE;
    }
    if serve {
        emit("\nGood bye. All libraries were stopped, and nothing was left behind.\n");
    } else if early {
        emit("\nEnded early, and in order.\n");
        return ExitCode::from(INTERRUPTED);
    } else {
        emit(&format!("\n{}", tally.story()));
    }
    ExitCode::SUCCESS
}

/// Instructions for the user while the demo serves.
fn invitation(script: &Script, folder: &Path) -> String {
    let [url, url2] = script.ports.map(|port| format!("http://127.0.0.1:{port}"));
    format!(
        "Serving on {url} until Ctrl-C. In another terminal:\n\n\
        \x20   curl {url}/\n\
        \x20   curl '{url}/fibonacci?n=50'\n\
        \x20   curl -d '1 2 3' {url}/sum\n\
        \x20   curl '{url}/later?n=7'   # a second later, by a timer\n\
        \x20   curl {url}/libraries     # what DSS counts\n\
        \x20   curl {url}/never         # until Ctrl-C here cancels it\n\n\
        The same pages, but by v2, are on {url2}, and\n\n\
        \x20   curl '{url2}/sql?n=50'   # by a query that calls Lua\n\
        \x20   curl {url2}/slow         # too slow for its deadline\n\
        \x20   curl {url2}/metrics      # DSS's counts, as OpenMetrics\n\n\
        Both revisions of fswatch see the file, and luaexit the signal:\n\n\
        \x20   touch {}/file\n\
        \x20   kill -TERM {}\n\n",
        folder.display(),
        script.pid()
    )
}

/// The running demo.
struct Show {
    tally: Tally,
    events: Receiver<Event>,
    outside: Option<Outside>,
    /// The number of parts of the outside world that have finished.
    parts: usize,
    ended: bool,
}

impl Show {
    /// Takes events until everything is done and has arrived, the demo is interrupted, or the script has ended. Returns
    /// whether something did not arrive in time.
    fn until_over(&mut self, screen: &mut Screen, interrupted: &AtomicBool) -> bool {
        let mut done_at = None;
        while !self.ended && !interrupted.load(Ordering::Relaxed) {
            self.one(screen);
            if self.parts < outside::PARTS {
                continue;
            }
            if self.tally.all_arrived() {
                break;
            }
            if done_at.get_or_insert_with(Instant::now).elapsed() > LIMIT {
                return true;
            }
        }
        false
    }

    /// Takes events until the script has ended or its time limit is over.
    fn until_ended(&mut self, screen: &mut Screen) {
        let asked = Instant::now();
        while !self.ended && asked.elapsed() < LIMIT {
            self.one(screen);
        }
    }

    /// Takes the remaining events. The last request ends only after the script has ended.
    fn rest(&mut self) {
        while let Ok(event) = self.events.recv_timeout(Duration::from_secs(1)) {
            self.take(event);
        }
    }

    /// Waits a moment for one event and takes it.
    fn one(&mut self, screen: &mut Screen) {
        match self.events.recv_timeout(Duration::from_millis(50)) {
            Ok(event) => self.take(event),
            Err(RecvTimeoutError::Timeout) => {}
            // The thread that reads from the script is gone.
            Err(RecvTimeoutError::Disconnected) => self.ended = true,
        }
        screen.draw(&self.tally);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Heard(heard) => {
                let news = self.tally.heard(heard);
                match (news, &self.outside) {
                    (Some(News::Signal), Some(outside)) => outside.signal_heard(),
                    (Some(News::Read(number)), Some(outside)) => outside.remove(number),
                    (Some(News::Held), Some(outside)) => outside.held(),
                    _ => {}
                }
            }
            Event::Done(Done::Part) => self.parts += 1,
            Event::Done(done) => self.tally.done(done),
            Event::ScriptEnded => self.ended = true,
        }
    }
}
