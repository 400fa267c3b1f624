//! Whose the signals are: ours while any Lua state listens, and otherwise whoever's they were before.
//!
//! `signal-hook` installs its handler for good: once its last action is gone, the signal does nothing, and a process that
//! cannot be ended is no default. Emulating the default would help, but not a host with a handler of its own. And while
//! it is there it calls the handler that it found first: that of the stand-alone `lua` raises "interrupted!" at Ctrl-C,
//! and takes SIGINT away. So it is let find the default, and its handler goes in and out here: with the first listener
//! of the process it replaces what is there, and after the last that comes back.
//!
//! This is the one thing that states share, for signals belong to the process.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libc::sigaction;

use crate::listener::SIGNALS;

/// The handlers of one signal.
struct Handlers {
    number: c_int,
    /// Whose the signal was.
    before: sigaction,
    /// `signal-hook`'s, which it installs but once.
    ours: Option<sigaction>,
}

/// What the process has taken, and for how many.
struct Process {
    listeners: usize,
    signals: Vec<Handlers>,
}

static PROCESS: Mutex<Process> = Mutex::new(Process { listeners: 0, signals: Vec::new() });

fn process() -> MutexGuard<'static, Process> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals are taken as long as one of these lives.
pub(crate) struct Taken(());

/// Takes the signals, and lets `install` put `signal-hook`'s actions in.
///
/// # Errors
/// Those of `install`; the signals are as they were then.
pub(crate) fn take<T>(install: impl FnOnce() -> io::Result<T>) -> io::Result<(Taken, T)> {
    let mut process = process();
    if process.signals.is_empty() {
        process.signals =
            SIGNALS.map(|(number, _)| Handlers { number, before: default(), ours: None }).into();
    }
    if process.listeners == 0 {
        for signal in &mut process.signals {
            signal.before = exchange(signal.number, Some(signal.ours.unwrap_or_else(default)));
        }
    }
    process.listeners += 1;
    let installed = install();
    // Where it failed it may have installed one of the two, and will not do so again.
    for signal in &mut process.signals {
        let now = exchange(signal.number, None);
        if signal.ours.is_none() && now.sa_sigaction != libc::SIG_DFL {
            signal.ours = Some(now);
        }
    }
    drop(process);
    // Puts all back where the installation failed.
    let taken = Taken(());
    Ok((taken, installed?))
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut process = process();
        process.listeners -= 1;
        if process.listeners > 0 {
            return;
        }
        for signal in &process.signals {
            let now = exchange(signal.number, None);
            // Whoever took the signal after us keeps it.
            if signal.ours.is_none_or(|ours| ours.sa_sigaction == now.sa_sigaction) {
                exchange(signal.number, Some(signal.before));
            }
        }
    }
}

/// The system's own handler.
fn default() -> sigaction {
    // SAFETY: a plain C record, for which zeros mean `SIG_DFL`, no flags and an empty mask.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Gives the signal to `next`, if there is one; returns whose it was.
fn exchange(number: c_int, next: Option<sigaction>) -> sigaction {
    let mut was = default();
    let next = next.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both records live through the call; a handler that is put in came from the system, or is the default.
    // It fails for signals that cannot be caught, which these can.
    unsafe { libc::sigaction(number, next, &mut was) };
    was
}
