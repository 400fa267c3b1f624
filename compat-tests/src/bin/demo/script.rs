//! The Lua half of the demo, which runs as a child process: starting it and ending it.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::artefacts::workspace;

use crate::system::set_apart;

/// How often the script prints its time first.
const TIMES: usize = 100;
/// The time limit for the script to end.
const LIMIT: Duration = Duration::from_secs(10);

/// The script's output.
pub(crate) type Lines = io::Lines<BufReader<ChildStdout>>;

/// What is known of the script when it has started.
pub(crate) struct Script {
    /// The process's number.
    pub(crate) pid: u32,
    /// The zero of its clock.
    origin: Instant,
    /// The ports of its servers: v1's, then v2's.
    pub(crate) ports: [u16; 2],
    /// The name and version of the module, and the Lua that it runs in.
    pub(crate) title: String,
}

/// The script's process. It is killed if it is dropped before it has ended.
pub(crate) struct Process(Child);

impl Script {
    /// Starts the script with `command`, and waits until its libraries have started.
    ///
    /// # Errors
    /// The script cannot be started, or ends before it is ready. Its own message is on stderr.
    pub(crate) fn start(
        mut command: Command,
        mode: &str,
        folder: &Path,
    ) -> io::Result<(Script, Process, Lines)> {
        command.arg(workspace().join("compat-tests/demo/demo.lua")).arg(mode).arg(folder);
        // Ctrl-C reaches only this process, which ends the script later.
        set_apart(&mut command);
        let mut process = Process(command.stdout(Stdio::piped()).spawn()?);
        let pid = process.0.id();
        let mut lines = BufReader::new(process.0.stdout.take().expect("piped above")).lines();
        let mut next =
            || lines.next().unwrap_or_else(|| Err(io::Error::other("the script ended before it was ready")));
        // Both processes use the machine's monotonic clock, but with different origins. A line is read some time after the
        // script has read its clock, so the earliest origin is the best.
        let mut origin = || {
            let there = next()?.parse().map_err(io::Error::other)?;
            io::Result::Ok(Instant::now() - Duration::from_secs_f64(there))
        };
        let mut earliest = origin()?;
        for _ in 1..TIMES {
            earliest = earliest.min(origin()?);
        }
        let ready = next()?;
        let ["ready", old, new, dss, lua] = ready.split('\t').collect::<Vec<_>>()[..] else {
            return Err(io::Error::other(format!("the script should be ready, and printed {ready:?}")));
        };
        let port = |text: &str| text.parse().map_err(io::Error::other);
        let (ports, title) = ([port(old)?, port(new)?], format!("{dss} in {lua}"));
        Ok((Script { pid, origin: earliest, ports, title }, process, lines))
    }

    /// The time on the script's clock, in seconds.
    pub(crate) fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64()
    }
}

impl Process {
    /// Waits for the script to end. Returns `None` if it did not end in time.
    pub(crate) fn end(mut self) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let status = self.0.try_wait()?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
