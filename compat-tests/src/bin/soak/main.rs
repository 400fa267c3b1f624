//! The soak: everything that libraries do, of all revisions, for as long as one likes, with an account at the end. See `USAGE`.
//!
//! Each phase is a child process, `compat-tests/soak/phases/NAME.lua` in `lua-host`. All run side by side. A phase works in rounds,
//! and each round checks its own account. This process reads what the phases print, and checks what they do not check themselves:
//! that each came to its end, and that its memory did not grow.

mod account;
mod child;
mod report;

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::{Artefacts, Lua};

use account::Account;
use child::Child;

const USAGE: &str = "\
DarkSideSync's soak: background libraries of all revisions work at the same
time, and everything that they deliver is accounted for.

    cargo soak              for 60 seconds
    cargo soak 900          for 900 seconds
    cargo soak 60 states    only these phases
    cargo soak --help       this

Ctrl-C ends it early, with the account so far. It runs in Lua 5.4.

Phases:
";

/// The phases, and what each does.
pub(crate) const PHASES: [(&str, &str); 8] = [
    ("producers", "threads of all revisions deliver, in order and once"),
    ("batches", "batches, and bursts of 20,000 items"),
    ("policies", "full queues under each policy; deliveries are cancelled"),
    ("requests", "requests are answered, failed, dropped, late or cancelled"),
    ("tasks", "tasks of dss.task wait, and half of them are cancelled"),
    ("states", "Lua states close while threads deliver to them and wait"),
    ("libraries", "libraries leave and come back while their threads deliver"),
    ("callbacks", "callbacks are made, delivered to and collected"),
];

/// The Lua that the phases run in.
const LUA: Lua = Lua("lua54");
/// How long the soak takes if nothing is said.
const SECONDS: u64 = 60;
/// How long a phase may take to end when its time is over. It only ends a phase that hangs.
const GRACE: Duration = Duration::from_secs(150);

/// What the command line asks for.
struct Wanted {
    seconds: u64,
    phases: Vec<&'static str>,
}

/// Reads the command line. The error is the message to print.
fn wanted(mut arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let seconds = match arguments.next() {
        None => SECONDS,
        Some(text) => text.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
            format!("The soak takes a number of seconds, not {text:?}: `cargo soak --help` says more.")
        })?,
    };
    let mut phases = Vec::new();
    for name in arguments {
        let known = PHASES.iter().find(|(phase, _)| *phase == name);
        phases.push(
            known.ok_or_else(|| format!("No phase is called {name:?}: `cargo soak --help` lists them."))?.0,
        );
    }
    if phases.is_empty() {
        phases = PHASES.iter().map(|(phase, _)| *phase).collect();
    }
    Ok(Wanted { seconds, phases })
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}");
        PHASES.iter().for_each(|(name, does)| println!("    {name:10}  {does}"));
        return ExitCode::SUCCESS;
    }
    let wanted = match wanted(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    println!("Building DarkSideSync and the libraries. The first time, this takes some minutes.");
    let artefacts = Artefacts::of(LUA);
    let folder = std::env::temp_dir().join(format!("dss-soak-{}", std::process::id()));
    let result = fs::create_dir(&folder).and_then(|()| run(artefacts, &wanted, &folder));
    // If it cannot be removed, it stays among the system's temporary files.
    let _ = fs::remove_dir_all(&folder);
    result.unwrap_or_else(|error| {
        eprintln!("The soak could not go on: {error}");
        ExitCode::FAILURE
    })
}

fn run(artefacts: &Artefacts, wanted: &Wanted, folder: &Path) -> io::Result<ExitCode> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let stop = folder.join("stop");
    let start = |phase: &&'static str| Child::start(artefacts.command(&[]), phase, wanted.seconds, &stop);
    let mut children = wanted.phases.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    println!("{} phases in {}, {} seconds.\n", children.len(), LUA.title(), wanted.seconds);

    let time = Duration::from_secs(wanted.seconds);
    let (started, every) = (Instant::now(), (time / 10).max(Duration::from_secs(1)));
    let (mut said, mut early) = (1, None);
    while children.iter_mut().any(Child::runs) {
        thread::sleep(Duration::from_millis(20));
        if started.elapsed() >= every * said && started.elapsed() < time {
            said += 1;
            println!("{}", report::progress(started.elapsed().as_secs(), &children));
        }
        if early.is_none() && interrupted.load(Ordering::Relaxed) {
            fs::write(&stop, "")?;
            early = Some(started.elapsed());
        }
        if started.elapsed() > early.unwrap_or(time) + GRACE {
            break;
        }
    }
    let accounts: Vec<Account> = children.into_iter().map(Child::end).collect();
    print!("\n{}", report::summary(&accounts));
    let faults: Vec<String> = accounts.iter().flat_map(|account| account.faults(early.is_some())).collect();
    Ok(if !faults.is_empty() {
        eprintln!("\nThe soak failed. Faults: {}.", faults.len());
        faults.iter().for_each(|fault| eprintln!("{fault}"));
        ExitCode::FAILURE
    } else if early.is_some() {
        println!("\nEnded early. The account so far is in order.");
        ExitCode::from(130)
    } else {
        println!("\nAll is accounted for, everything came in order, and no memory grew.");
        ExitCode::SUCCESS
    })
}
