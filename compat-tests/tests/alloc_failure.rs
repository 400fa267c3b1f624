//! Makes each allocation of DSS's module fail, alone and together with all later ones. The operation must work or report that
//! there is no memory. Nothing may be lost, the process must continue, and later operations must work. The operations are in
//! `fixtures/fail-alloc/operations.lua`.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, succeed, target, workspace};
use compat_tests::c::{Module, compile};
use compat_tests::luas::{ALL, Lua};
use compat_tests::run::limited;

const OPERATIONS: [&str; 13] = [
    "register",
    "deliver",
    "deliver_and_notify",
    "deliver_and_wait",
    "poll",
    "poll_what_waits",
    "dispatch",
    "reply",
    "drop_replies",
    "setport",
    "unregister",
    "close",
    "c2v0",
];

/// Operations that always allocate. The test would be void if none of their allocations failed.
const ALLOCATE: [&str; 3] = ["register", "deliver", "c2v0"];

/// The most allocations that an operation may make.
const MOST: usize = 500;

fn fixture(name: &str) -> PathBuf {
    workspace().join("compat-tests/fixtures/fail-alloc").join(name)
}

/// Compiles the preloaded library, which is also a Lua module, and returns its folder.
fn preloaded(artefacts: &Artefacts) -> PathBuf {
    let folder = target().join("fail-alloc").join(artefacts.lua.0);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    let include = PathBuf::from(succeed(Command::new(artefacts.host()).arg("--include")).trim());
    compile(&Module {
        sources: &[fixture("fail_alloc.c")],
        includes: &[include],
        // The compiler's assumptions about malloc do not hold here.
        flags: &["-fno-builtin"],
        libraries: &[],
        output: &folder.join("fail_alloc.so"),
    });
    folder
}

/// Runs an operation once. Returns the number of allocations that failed.
fn run(artefacts: &Artefacts, folder: &Path, operation: &str, n: usize, how: &str) -> Result<usize, String> {
    let mut command = artefacts.command(&[folder.to_owned()]);
    command.arg(fixture("operations.lua")).args([operation, &n.to_string(), how]);
    command.env("LD_PRELOAD", folder.join("fail_alloc.so"));
    let ended = limited(&mut command, Duration::from_secs(60));
    let failed = ended.stdout.lines().find_map(|line| line.strip_prefix("failed ")?.parse().ok());
    match failed {
        Some(failed) if ended.succeeded() => Ok(failed),
        _ => Err(ended.report()),
    }
}

/// A short form of a report: how the process ended, and the first line of stderr.
fn brief(report: &str) -> String {
    let how = report.lines().next().unwrap_or_default();
    let said = report.split_once("--- stderr\n").and_then(|(_, stderr)| stderr.lines().next());
    format!("{how}: {}", said.unwrap_or_default())
}

fn no_allocation_is_fatal(lua: Lua) {
    let artefacts = Artefacts::of(lua);
    let folder = preloaded(artefacts);
    let mut faults: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for operation in OPERATIONS {
        for how in ["once", "ever"] {
            for n in 1.. {
                assert!(n <= MOST, "{operation} makes more than {MOST} allocations");
                match run(artefacts, &folder, operation, n, how) {
                    Ok(0) => {
                        assert!(n > 1 || !ALLOCATE.contains(&operation), "{operation}: no allocation failed");
                        break;
                    }
                    Ok(_) => {}
                    Err(report) => {
                        let fault = format!("{operation}, {how}: {}", brief(&report));
                        faults.entry(fault).or_default().push(n);
                    }
                }
            }
        }
    }
    let told: Vec<_> = faults.iter().map(|(fault, at)| format!("{fault}; at {at:?}")).collect();
    assert!(told.is_empty(), "{lua}:\n{}", told.join("\n"));
}

fn named(name: &str) -> Lua {
    ALL.into_iter().find(|lua| lua.0 == name).expect("one of the six")
}

#[test]
fn no_allocation_is_fatal_in_lua_5_4() {
    no_allocation_is_fatal(named("lua54"));
}

#[test]
fn no_allocation_is_fatal_in_lua_5_1() {
    no_allocation_is_fatal(named("lua51"));
}
