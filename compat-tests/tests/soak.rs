//! A short soak, and whether a soak finds what it looks for: each fault here is seeded in its account.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use compat_tests::run::{Ended, limited};
use compat_tests::{Artefacts, Lua};

/// The time limit of a soak, for a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

const PHASES: [&str; 8] =
    ["producers", "batches", "policies", "requests", "tasks", "states", "libraries", "callbacks"];

fn soak(arguments: &[&str]) -> Command {
    let _ = Artefacts::of(Lua("lua54"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_soak"));
    command.args(arguments);
    command
}

/// Runs a soak of one phase with a fault in its account, which must fail with this sentence.
fn finds(fault: &str, phase: &str, seconds: &str, sentence: &str) {
    let ended = limited(soak(&[seconds, phase]).env("DSS_SOAK_FAULT", fault), LIMIT);
    assert_eq!(code(&ended), Some(1), "{}", ended.report());
    assert!(ended.stderr.contains("The soak failed. Faults: "), "{}", ended.report());
    assert!(ended.stderr.contains(sentence), "{}", ended.report());
}

fn code(ended: &Ended) -> Option<i32> {
    ended.status.and_then(|status| status.code())
}

/// The number before `name` in a line of counts.
fn count(line: &str, name: &str) -> u64 {
    let found = line.split([':', ',']).find_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no count of {name:?} in {line:?}"))
}

#[test]
fn ten_seconds_are_accounted_for() {
    let ended = limited(&mut soak(&["10"]), LIMIT);
    assert!(ended.succeeded(), "{}", ended.report());
    assert_eq!(ended.stderr, "");
    let line = |phase: &str| {
        let beginning = format!("{phase}: ");
        let found = ended.stdout.lines().find(|line| line.starts_with(&beginning));
        found.unwrap_or_else(|| panic!("no counts of {phase} in:\n{}", ended.stdout))
    };
    for phase in PHASES {
        assert!(count(line(phase), " delivered") > 0, "{}", ended.stdout);
    }
    for name in [" refused", " dropped", " replaced", " cancelled"] {
        assert!(count(line("policies"), name) > 0, "{}", ended.stdout);
    }
    for name in [" answered", " failed", " collected", " timed out", " cancelled"] {
        assert!(count(line("requests"), name) > 0, "{}", ended.stdout);
    }
    assert!(count(line("states"), " closed") > 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("All is accounted for"), "{}", ended.stdout);
}

#[test]
fn it_finds_an_item_that_is_lost() {
    finds("lose", "producers", "2", "producers: ");
    finds("lose", "libraries", "2", "libraries: ");
}

#[test]
fn it_finds_an_item_that_comes_twice_or_out_of_order() {
    finds("twice", "policies", "2", " came after ");
    finds("swap", "batches", "2", " came after ");
}

#[test]
fn it_finds_memory_that_grows() {
    finds("leak", "callbacks", "3", "its memory in use grew by ");
}

#[test]
fn ended_early_it_has_an_account() {
    let mut child = soak(&["60", "producers", "states"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the soak can be run");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped above"));
    let mut output = String::new();
    while !output.contains("2 phases in Lua 5.4") {
        assert_ne!(stdout.read_line(&mut output).expect("text"), 0, "it ended early:\n{output}");
    }
    let pid = libc::pid_t::try_from(child.id()).expect("a process of ours");
    // SAFETY: the call takes only numbers. The child has not been waited for, so the number still belongs to it.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    stdout.read_to_string(&mut output).expect("text");
    assert_eq!(child.wait().expect("a child of ours").code(), Some(130), "{output}");
    assert!(output.contains("Ended early. The account so far is in order."), "{output}");
}

#[test]
fn it_says_what_it_takes() {
    let help = limited(&mut soak(&["--help"]), LIMIT);
    assert!(help.succeeded(), "{}", help.report());
    assert!(PHASES.iter().all(|phase| help.stdout.contains(phase)), "{}", help.report());
    let wrong = limited(&mut soak(&["long"]), LIMIT);
    assert_eq!(code(&wrong), Some(2), "{}", wrong.report());
    assert_eq!(
        wrong.stderr,
        "The soak takes a number of seconds, not \"long\": `cargo soak --help` says more.\n"
    );
    let unknown = limited(&mut soak(&["5", "weather"]), LIMIT);
    assert_eq!(code(&unknown), Some(2), "{}", unknown.report());
    assert_eq!(unknown.stderr, "No phase is called \"weather\": `cargo soak --help` lists them.\n");
}
