//! Running a program with a time limit.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The result of a run.
pub struct Ended {
    /// `None` if the time limit ended it.
    pub status: Option<ExitStatus>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Ended {
    /// Whether it ended by itself, with exit code 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// A description of a failure: how it ended, and its output.
    #[must_use]
    pub fn report(&self) -> String {
        let how =
            self.status.map_or("it did not end within its limit".to_owned(), |status| status.to_string());
        format!("{how}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Runs `command`, and kills it after `limit`.
///
/// # Panics
/// The command cannot be run.
pub fn limited(command: &mut Command, limit: Duration) -> Ended {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = child.stdout.take().map(collect).expect("piped above");
    let stderr = child.stderr.take().map(collect).expect("piped above");
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => {
                kill_group(&mut child);
                // The child may have ended by itself meanwhile. Either way it has to be waited for.
                let _ = child.wait();
                break None;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("it reads to the end");
    Ended { status, stdout: text(stdout), stderr: text(stderr) }
}

/// Kills a child and every process that it started. A process left over would keep the pipes open.
#[cfg(unix)]
fn kill_group(child: &mut Child) {
    let group = i32::try_from(child.id()).expect("a process's number is an `i32`");
    // SAFETY: the child leads its own process group and has not been waited for, so the number still belongs to it.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// The same.
#[cfg(not(unix))]
fn kill_group(child: &mut Child) {
    // It ends the processes that the child started, too. The child alone is killed if there is no such program.
    let _ = Command::new("taskkill").args(["/t", "/f", "/pid", &child.id().to_string()]).output();
    // An error means that it has already ended.
    let _ = child.kill();
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // After an error, what was read so far is still worth showing.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
