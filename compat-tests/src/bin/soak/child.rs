//! A phase, as a child process.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use compat_tests::artefacts::workspace;

use crate::account::Account;

/// A running phase. It is killed if it is dropped before it has ended.
pub(crate) struct Child {
    process: process::Child,
    account: Arc<Mutex<Account>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Child {
    /// Starts `phase` for some seconds. It ends earlier if there is a file `stop`.
    ///
    /// # Errors
    /// The process cannot be started.
    pub(crate) fn start(
        mut command: Command,
        phase: &'static str,
        seconds: u64,
        stop: &Path,
    ) -> io::Result<Child> {
        command.arg(workspace().join("compat-tests/soak/soak.lua")).arg(phase).arg(seconds.to_string());
        command.arg(stop).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // With an arena for each thread, what `malloc` keeps would hide what DSS keeps. See "The soak" in docs/src/inside/tests.md.
        if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
            command.env("MALLOC_ARENA_MAX", "1");
        }
        // Its own process group, so that Ctrl-C reaches only this process, which tells the phases.
        let mut process = command.process_group(0).spawn()?;
        let account = Arc::new(Mutex::new(Account::new(phase)));
        let readers = vec![
            read(process.stdout.take().expect("piped above"), &account, Account::hear),
            read(process.stderr.take().expect("piped above"), &account, Account::hear_stderr),
        ];
        Ok(Child { process, account, readers })
    }

    /// Whether it has not ended yet.
    pub(crate) fn runs(&mut self) -> bool {
        // Without an answer, the wait in `end` says what is wrong.
        matches!(self.process.try_wait(), Ok(None))
    }

    /// What it has said so far.
    pub(crate) fn so_far<T>(&self, look: impl FnOnce(&Account) -> T) -> T {
        look(&self.account.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its account. Kills it if it still runs.
    pub(crate) fn end(mut self) -> Account {
        let hangs = self.runs();
        if hangs {
            // It may have ended by itself meanwhile.
            let _ = self.process.kill();
        }
        let status = self.process.wait();
        for reader in self.readers.drain(..) {
            // It ends with the pipe. If it panicked, lines are missing, and the account says so.
            let _ = reader.join();
        }
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if hangs {
            account.add_fault("did not end, and was killed".to_owned());
        } else if !status.as_ref().is_ok_and(process::ExitStatus::success) {
            let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            account.add_fault(format!("its process ended with {how}"));
        }
        account
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both do nothing if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Passes each line to the account, until the end.
fn read(
    from: impl io::Read + Send + 'static,
    account: &Arc<Mutex<Account>>,
    hear: fn(&mut Account, &str),
) -> thread::JoinHandle<()> {
    let account = Arc::clone(account);
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            hear(&mut account.lock().unwrap_or_else(PoisonError::into_inner), &line);
        }
    })
}
