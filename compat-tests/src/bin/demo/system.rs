//! What differs between the systems. Windows has no signals, so there the demo runs without luaexit, and ends by a request.

use std::io;
use std::process::Command;

use libc::c_int;

use crate::outside::World;

/// The number of times that SIGTERM is sent.
#[cfg(unix)]
const SIGNALS: u32 = 40;
#[cfg(unix)]
const BETWEEN_SIGNALS: std::time::Duration = std::time::Duration::from_millis(125);

/// Whether luaexit is one of the libraries.
pub(crate) const HAS_LUAEXIT: bool = cfg!(unix);

/// The signals that end the demo early.
#[cfg(unix)]
pub(crate) const ENDING: &[c_int] = &[libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
#[cfg(windows)]
pub(crate) const ENDING: &[c_int] = &[libc::SIGINT, libc::SIGTERM];

/// A reader that goes away, as in `cargo demo | head`, ends the demo. Rust would have it panic.
#[cfg(unix)]
pub(crate) fn end_with_the_reader() {
    // SAFETY: no other thread runs yet, and the default handler needs nothing.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

#[cfg(windows)]
pub(crate) fn end_with_the_reader() {}

/// Gives a child its own process group, so that Ctrl-C reaches only this process.
#[cfg(unix)]
pub(crate) fn set_apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(windows)]
pub(crate) fn set_apart(command: &mut Command) {
    /// The system's name of the flag: `CREATE_NEW_PROCESS_GROUP`.
    const NEW_PROCESS_GROUP: u32 = 0x200;
    std::os::windows::process::CommandExt::creation_flags(command, NEW_PROCESS_GROUP);
}

/// A command that runs the Lua of the demo, with the module and the libraries. Builds them first.
#[cfg(unix)]
pub(crate) fn lua() -> Result<Command, String> {
    Ok(compat_tests::Artefacts::of(compat_tests::Lua("lua54")).command(&[]))
}

#[cfg(windows)]
pub(crate) fn lua() -> Result<Command, String> {
    use compat_tests::windows::{self, BUILT, Windows};
    let windows = match std::env::var_os(BUILT) {
        Some(folder) => Windows::at(folder.as_ref()),
        None => windows::prepare(&|text| println!("{text}"))?,
    };
    Ok(windows.command())
}

impl World<'_> {
    /// Ends the script: luaexit tells it of the signal.
    #[cfg(unix)]
    pub(crate) fn stop(&self) -> io::Result<()> {
        self.signal(libc::SIGINT, "SIGINT")
    }

    /// Ends the script: httpd tells it of the request.
    #[cfg(windows)]
    pub(crate) fn stop(&self) -> io::Result<()> {
        self.ask(1, crate::tally::Fate::Replied, "POST /stop", "", "good bye\n")
    }

    /// Sends SIGTERM again and again.
    #[cfg(unix)]
    pub(crate) fn signals(&self) -> io::Result<()> {
        for _ in 0..SIGNALS {
            self.signal(libc::SIGTERM, "SIGTERM")?;
            self.pause(BETWEEN_SIGNALS)?;
            // The system would merge the next signal with one that the library has not read.
            self.wait(|tally| tally.has(crate::tally::LUAEXIT, "SIGTERM"))?;
        }
        Ok(())
    }

    #[cfg(windows)]
    pub(crate) fn signals(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(unix)]
    fn signal(&self, signal: c_int, name: &str) -> io::Result<()> {
        use crate::tally::{Fate, LUAEXIT};
        let pid = libc::pid_t::try_from(self.script.pid).map_err(io::Error::other)?;
        let mut tally = self.tally();
        tally.announce(LUAEXIT, name, Fate::Delivered, 1);
        tally.signalled = Some(self.script.now());
        drop(tally);
        // SAFETY: the call takes numbers only. The script has not been waited for, so the number still belongs to it.
        match unsafe { libc::kill(pid, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
