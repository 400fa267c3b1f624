//! Makes each allocation fail, alone and together with all later ones: those of DSS's module, those that Lua's allocator is asked for,
//! and both. The operation must work or report that there is no memory. Nothing may be lost, every thread that waits
//! returns, the process continues, and later operations work. The operations are in `fixtures/fail-alloc/operations`.
//!
//! With `--nocapture`, each Lua's test ends with an account: a line for each operation.

#![cfg(target_os = "linux")]

#[path = "alloc_failure/account.rs"]
mod account;
#[path = "alloc_failure/operations.rs"]
mod operations;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use account::{Account, Fault};
use compat_tests::artefacts::{Artefacts, succeed, target, workspace};
use compat_tests::c::{Module, compile};
use compat_tests::luas::{ALL, Lua};
use compat_tests::run::{Ended, limited};
use operations::{Kind, Operation};

/// The most allocations that an operation may make.
const MOST: usize = 3000;

/// The most faults of one operation that are looked for.
const MOST_FAULTS: usize = 60;

/// How long all injections of one kind may take.
const LIMIT: Duration = Duration::from_secs(120);

fn fixtures() -> PathBuf {
    workspace().join("compat-tests/fixtures/fail-alloc")
}

/// Compiles the preloaded library, which is also a Lua module, and returns its folder.
fn preloaded(artefacts: &Artefacts) -> PathBuf {
    let folder = target().join("fail-alloc").join(artefacts.lua.0);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    let include = PathBuf::from(succeed(Command::new(artefacts.host()).arg("--include")).trim());
    compile(&Module {
        sources: &[fixtures().join("fail_alloc.c")],
        includes: &[include],
        // The compiler's assumptions about malloc do not hold here.
        flags: &["-fno-builtin"],
        libraries: &[],
        output: &folder.join("fail_alloc.so"),
    });
    folder
}

/// What one process found.
enum Found {
    /// All allocations were failed, of which there were so many.
    All(usize),
    /// It failed at this one.
    Fault(usize, Fault),
}

/// Fails the allocations from the `first` to the `last`, one after the other, in one process.
fn inject(artefacts: &Artefacts, folder: &Path, job: &Job, first: usize, last: usize) -> Found {
    let mut command = artefacts.command(&[folder.to_owned(), fixtures()]);
    command.arg(fixtures().join("inject.lua")).arg(artefacts.folder.join("darksidesync.so"));
    command.args([job.operation.group, job.operation.name, job.kind.name(), job.how()]);
    command.args([first.to_string(), last.to_string()]);
    command.env("LD_PRELOAD", folder.join("fail_alloc.so"));
    let ended: Ended = limited(&mut command, LIMIT);
    let mut numbers = ended.stdout.lines().filter_map(|line| line.strip_prefix("at ")?.parse().ok());
    let at: usize = numbers.next_back().unwrap_or(first);
    let over = ended.stdout.lines().next_back() == Some("over");
    match (ended.succeeded(), over) {
        (true, true) => Found::All(at - first),
        (true, false) => Found::All(at + 1 - first),
        (false, _) => Found::Fault(at, Fault::of(&ended)),
    }
}

/// The injections of one kind into one operation.
#[derive(Clone, Copy)]
struct Job {
    operation: &'static Operation,
    kind: Kind,
    ever: bool,
}

impl Job {
    fn how(&self) -> &'static str {
        if self.ever { "ever" } else { "once" }
    }

    fn run(&self, artefacts: &Artefacts, folder: &Path, account: &Mutex<Account>) {
        let (mut first, mut faults) = (1, 0);
        // A process of its own for each shows what is done once in a process.
        let step = if self.kind == Kind::Fresh { 1 } else { MOST };
        while first <= MOST && faults < MOST_FAULTS {
            let found = inject(artefacts, folder, self, first, first + step - 1);
            let mut account = account.lock().expect("nothing panics with it");
            match found {
                Found::All(count) => {
                    account.add(self.operation, self.kind, count);
                    if count < step {
                        return;
                    }
                    first += count;
                }
                Found::Fault(at, fault) => {
                    faults += 1;
                    account.add(self.operation, self.kind, at + 1 - first);
                    account.note(self.operation, self.kind.name(), self.how(), at, fault);
                    first = at + 1;
                }
            }
        }
        assert!(first <= MOST, "{} makes more than {MOST} allocations", self.operation.name);
    }
}

fn no_allocation_is_fatal(lua: &'static str) {
    let lua: Lua = ALL.into_iter().find(|known| known.0 == lua).expect("one of the six");
    let artefacts = Artefacts::of(lua);
    let folder = preloaded(artefacts);
    let only = std::env::var("DSS_ALLOC_OPERATION").unwrap_or_default();
    let jobs: VecDeque<Job> =
        operations::jobs().filter(|job| job.operation.title().contains(&only)).collect();
    let (jobs, account) = (Mutex::new(jobs), Mutex::new(Account::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, Into::into) {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("nothing panics with it").pop_front();
                    let Some(job) = job else { break };
                    job.run(artefacts, &folder, &account);
                }
            });
        }
    });
    let account = account.into_inner().expect("nothing panicked with it");
    println!("{lua}:\n{account}");
    assert!(account.is_clean(), "{lua}:\n{}", account.faults());
    assert!(!only.is_empty() || account.covers_all(), "{lua}: no allocation failed where some must");
}

#[test]
fn no_allocation_is_fatal_in_lua_5_4() {
    no_allocation_is_fatal("lua54");
}

#[test]
fn no_allocation_is_fatal_in_lua_5_1() {
    no_allocation_is_fatal("lua51");
}

#[test]
fn no_allocation_is_fatal_in_luajit() {
    no_allocation_is_fatal("luajit");
}
