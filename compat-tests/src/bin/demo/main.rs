//! The demo: one Lua 5.4 state, one DSS, and seven libraries at once (six on Windows), of three revisions and two languages. See
//! `USAGE`.
//!
//! The Lua half, `compat-tests/demo/demo.lua`, is a child process that prints a line for each callback. This half is the
//! outside world: it writes files, makes HTTP requests and, except on Windows, sends signals. Each half announces the callbacks that it causes.
//! At the end, what was announced must equal what arrived.

mod outside;
mod report;
mod script;
mod system;
mod tally;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use outside::World;
use script::{Lines, Script};

const USAGE: &str = "\
DarkSideSync's demo: one Lua 5.4 state, and seven background libraries that call
into it at once.

    cargo demo               some seconds of timers, signals, files, HTTP
                             requests and SQL, then a summary
    cargo demo -- --serve    waits for your own requests until Ctrl-C
    cargo demo -- --help     this

timer is written in C for the interface of DarkSideSync 1.0. luaexit (signals),
fswatch (files) and httpd are written in Rust for revision v1. A second fswatch
and httpd, and sqlite, are written in Rust for v2: they know nothing of Lua, and
DSS loads them. All are built first, which needs a C compiler. On Windows luaexit
is left out, because Windows has no signals, and gcc and g++ of mingw-w64 have to
be on PATH.

Exit code 0: every callback arrived. 1: something did not, and the demo says
what. 2: an unknown option. 130: it was ended early.
";

/// The number of failures that are shown.
const SHOWN: usize = 12;

fn main() -> ExitCode {
    system::end_with_the_reader();
    let serve = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--serve") => true,
        Some("--help" | "-h") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some(unknown) => {
            eprintln!("The demo has no option {unknown}: `cargo demo -- --help` says which it has.");
            return ExitCode::from(2);
        }
    };
    println!("Building DarkSideSync and the libraries. The first time, this takes some minutes.");
    let folder = std::env::temp_dir().join(format!("dss-demo-{}", std::process::id()));
    let result = system::lua()
        .map_err(io::Error::other)
        .and_then(|command| fs::create_dir(&folder).and_then(|()| run(command, &folder, serve)));
    // If it cannot be removed, it stays among the system's temporary files.
    let _ = fs::remove_dir_all(&folder);
    result.unwrap_or_else(|error| {
        eprintln!("The demo could not go on: {error}");
        ExitCode::FAILURE
    })
}

fn run(command: Command, folder: &Path, serve: bool) -> io::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in system::ENDING {
        signal_hook::flag::register(*signal, Arc::clone(&interrupted))?;
    }
    let (script, process, lines) = Script::start(command, if serve { "serve" } else { "tour" }, folder)?;
    println!("{}, process {}\n", script.title, script.pid);
    if serve {
        println!("{}", report::invitation(&script, folder));
    }
    let (tally, script_ended) = (Mutex::default(), AtomicBool::new(false));
    let world = World { script: &script, folder, tally, interrupted, script_ended };
    let (outside, status) = thread::scope(|scope| {
        scope.spawn(|| listen(lines, &world, serve));
        let outside = if serve { world.serve() } else { world.tour() };
        (outside, process.end())
    });

    let early = world.interrupted.load(Ordering::Relaxed);
    let tally = world.tally();
    let mut failures = tally.errors.clone();
    match status? {
        Some(status) if status.success() => print!("{}", report::summary(&tally)),
        Some(status) => failures.push(format!("The script ended with {status}.")),
        None => failures.push("The script did not end.".to_owned()),
    }
    if !serve && !early {
        failures.extend(outside.into_iter().filter_map(Result::err).map(|error| error.to_string()));
        failures.extend(tally.failures());
    }
    if !failures.is_empty() {
        eprintln!("\nThe demo failed. Failures: {}.", failures.len());
        failures.iter().take(SHOWN).for_each(|failure| eprintln!("{failure}"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(if serve {
        println!("\nGood bye. All libraries were stopped, and nothing was left behind.");
        ExitCode::SUCCESS
    } else if early {
        println!("\nEnded early, and in order.");
        ExitCode::from(130)
    } else {
        print!("\n{}", report::story(&tally));
        ExitCode::SUCCESS
    })
}

/// Counts the script's lines until the script ends. Prints the counts each second or, when serving, each callback.
fn listen(lines: Lines, world: &World, serve: bool) {
    let started = Instant::now();
    let mut printed = 0;
    for line in lines.map_while(Result::ok) {
        let mut tally = world.tally();
        if tally.hear(&line).is_none() {
            tally.errors.push(format!("The script printed {line:?}."));
        }
        let seconds = started.elapsed().as_secs();
        if serve {
            if let ["callback", library, revision, _, what] = line.split('\t').collect::<Vec<_>>()[..]
                && library != "timer"
            {
                println!("{library} {revision}: {what}");
            }
        } else if seconds > printed {
            printed = seconds;
            println!("{}", report::progress(seconds, &tally));
        }
    }
    world.script_ended.store(true, Ordering::Relaxed);
}
