//! Runs `cargo demo` as a user without a terminal would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compat_tests::run::limited;
use compat_tests::{Artefacts, Lua};

/// The time limit of a demo, for a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(arguments);
    command
}

/// Builds everything, and returns a lock so that only one demo runs at a time.
fn exclusive() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    let lock = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = Artefacts::of(Lua("lua54"));
    lock
}

/// The fields of a library's line in the summary. It is the last line that begins with the library's name and revision.
fn row<'a>(output: &'a str, library: &str, revision: &str) -> Vec<&'a str> {
    let lines = output.lines().rev();
    let row = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    row.into_iter()
        .find(|fields| fields.starts_with(&[library, revision]))
        .unwrap_or_else(|| panic!("no line of {library} for {revision} in:\n{output}"))
}

/// The field in a column, as a number.
fn number(row: &[&str], column: usize) -> u64 {
    row[column].parse().unwrap_or_else(|_| panic!("column {column} of {row:?} is no number"))
}

const DELIVERIES: usize = 2;
const REPLIES: usize = 3;
const CANCELLED: usize = 4;
const LATE: usize = 5;

/// The libraries and their revisions.
const LIBRARIES: [(&str, &str); 7] = [
    ("timer", "c1v0"),
    ("luaexit", "v1"),
    ("fswatch", "v1"),
    ("httpd", "v1"),
    ("fswatch", "v2"),
    ("httpd", "v2"),
    ("sqlite", "v2"),
];

#[test]
fn shows_libraries_of_all_revisions_and_ends_well() {
    let _lock = exclusive();
    let ended = limited(&mut demo(&[]), LIMIT);
    assert!(ended.succeeded(), "{}", ended.report());
    let output = &ended.stdout;
    let row = |library, revision| row(output, library, revision);
    for (library, revision) in LIBRARIES {
        assert!(number(&row(library, revision), DELIVERIES) > 0, "{output}");
    }
    for (library, revision) in [("luaexit", "v1"), ("fswatch", "v1"), ("fswatch", "v2")] {
        assert_eq!(row(library, revision)[REPLIES..=LATE], ["0", "0", "0"], "{output}");
    }
    assert_eq!(row("timer", "c1v0")[REPLIES..=LATE], ["10", "1", "0"], "{output}");
    let httpd = row("httpd", "v1");
    assert_eq!(httpd[CANCELLED..=LATE], ["1", "0"], "{output}");
    assert_eq!(number(&httpd, DELIVERIES), number(&httpd, REPLIES) + 1, "{output}");
    // One client disconnected early, and six requests missed their deadline.
    let httpd = row("httpd", "v2");
    assert_eq!(httpd[CANCELLED..=LATE], ["1", "6"], "{output}");
    assert_eq!(number(&httpd, DELIVERIES), number(&httpd, REPLIES) + 1 + 6, "{output}");
    // 2,000 rows: each calls a Lua function and has two callbacks.
    let sqlite = row("sqlite", "v2");
    assert_eq!(sqlite[CANCELLED..=LATE], ["0", "0"], "{output}");
    let functions = number(&sqlite, REPLIES);
    assert!(functions > 2000 && number(&sqlite, DELIVERIES) == 2 * functions + 2000 + 2, "{output}");
    assert!(output.contains("Every callback arrived."), "{output}");
    assert_eq!(ended.stderr, "");
}

/// A running demo, and its output so far.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    output: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let child = demo(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the demo can be run");
        let stdout = BufReader::new(child.stdout.take().expect("piped above"));
        Running { child, stdout, output: String::new() }
    }

    /// Reads up to the line that starts with `beginning`, and returns its next word.
    fn after(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).expect("lines of text");
            assert_ne!(read, 0, "it ended before it said {beginning:?}:\n{}", self.output);
            self.output.push_str(&line);
            if let Some(rest) = line.trim_start().strip_prefix(beginning) {
                return rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
        }
    }

    /// Sends the demo a signal, and waits for it to end.
    fn end(mut self, signal: libc::c_int) -> (Option<i32>, String) {
        let pid = libc::pid_t::try_from(self.child.id()).expect("a process of ours");
        // SAFETY: the call takes only numbers. The child has not been waited for, so the number still belongs to it.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        self.stdout.read_to_string(&mut self.output).expect("text");
        let status = self.child.wait().expect("a child of ours");
        (status.code(), std::mem::take(&mut self.output))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If the test failed, the demo is still running. Otherwise this does nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).expect("it serves there");
    stream.set_read_timeout(Some(LIMIT)).expect("a time of more than nothing");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers with text");
    answer
}

#[test]
fn serves_until_ctrl_c() {
    let _lock = exclusive();
    let mut serving = Running::start(&["--serve"]);
    let url = serving.after("Serving on ");
    let fifty = get(&url, "/fibonacci?n=50");
    assert!(fifty.starts_with("HTTP/1.1 200 ") && fifty.ends_with("\r\n\r\n12586269025\n"), "{fifty}");
    let later = get(&url, "/later?n=7");
    assert!(later.ends_with("\r\n\r\n13\n"), "{later}");
    let missing = get(&url, "/missing");
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    let url2 = serving.after("The same pages, but by v2, are on ");
    let url2 = url2.trim_end_matches(',');
    let fifty = get(url2, "/sql?n=50");
    assert!(fifty.starts_with("HTTP/1.1 200 ") && fifty.ends_with("\r\n\r\n12586269025\n"), "{fifty}");
    let later = get(url2, "/later?n=7");
    assert!(later.ends_with("\r\n\r\n13\n"), "{later}");
    let slow = get(url2, "/slow");
    assert!(slow.starts_with("HTTP/1.1 503 "), "{slow}");
    let metrics = get(url2, "/metrics");
    assert!(metrics.contains("\ndarksidesync_timed_out_total{") && metrics.ends_with("# EOF\n"), "{metrics}");
    let (code, output) = serving.end(libc::SIGINT);
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(row(&output, "httpd", "v1")[DELIVERIES..=LATE], ["3", "3", "0", "0"], "{output}");
    assert_eq!(row(&output, "httpd", "v2")[DELIVERIES..=LATE], ["4", "3", "0", "1"], "{output}");
    // One call of the Lua function, and the callbacks of the query and of creating the table.
    assert_eq!(row(&output, "sqlite", "v2")[DELIVERIES..=LATE], ["3", "1", "0", "0"], "{output}");
    assert!(output.contains("Good bye."), "{output}");
}

#[test]
fn ended_early_it_ends_in_order() {
    let _lock = exclusive();
    let mut touring = Running::start(&[]);
    touring.after("1 s: ");
    let (code, output) = touring.end(libc::SIGTERM);
    assert_eq!(code, Some(130), "{output}");
    assert!(output.contains("Ended early, and in order."), "{output}");
}

#[test]
fn says_what_its_options_are() {
    let help = limited(&mut demo(&["--help"]), LIMIT);
    assert!(help.succeeded(), "{}", help.report());
    assert!(help.stdout.contains("--serve"), "{}", help.report());
    let unknown = limited(&mut demo(&["--sevre"]), LIMIT);
    assert_eq!(unknown.status.and_then(|status| status.code()), Some(2), "{}", unknown.report());
    assert_eq!(unknown.stderr, "The demo has no option --sevre: `cargo demo -- --help` says which it has.\n");
}
