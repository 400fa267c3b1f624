//! The handlers of the signals: ours while any Lua state listens, and otherwise the previous ones.
//!
//! `signal-hook` never removes its handler. Without actions its handler ignores the signal, so the process could not be
//! ended by it. Emulating the default action would not help a host with its own handler. `signal-hook` also
//! calls the handler that it found. That of the stand-alone `lua` raises "interrupted!" at Ctrl-C
//! and resets SIGINT. So here `signal-hook` finds the default action, and its handler is installed and removed here: the first
//! listener of the process replaces the current handler, and after the last listener that handler is restored.
//!
//! This is the only thing that states share, because signals belong to the process.

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
    /// The handler before ours.
    before: sigaction,
    /// The handler of `signal-hook`, which it installs only once.
    ours: Option<sigaction>,
}

/// The signals that the process has taken, and the number of their listeners.
struct Process {
    listeners: usize,
    signals: Vec<Handlers>,
}

static PROCESS: Mutex<Process> = Mutex::new(Process { listeners: 0, signals: Vec::new() });

fn process() -> MutexGuard<'static, Process> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The signals are taken while one of these lives.
pub(crate) struct Taken(());

/// Takes the signals, and calls `install` to install `signal-hook`'s actions.
///
/// # Errors
/// The errors of `install`. The signals are then unchanged.
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
    // If it failed, it may have installed one of the two handlers, and will not install that one again.
    for signal in &mut process.signals {
        let now = exchange(signal.number, None);
        if signal.ours.is_none() && now.sa_sigaction != libc::SIG_DFL {
            signal.ours = Some(now);
        }
    }
    drop(process);
    // Dropping this restores all handlers if the installation failed.
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
            // If something else took the signal after us, leave it alone.
            if signal.ours.is_none_or(|ours| ours.sa_sigaction == now.sa_sigaction) {
                exchange(signal.number, Some(signal.before));
            }
        }
    }
}

/// The system's default action.
fn default() -> sigaction {
    // SAFETY: it is a plain C record. Zeros mean `SIG_DFL`, no flags and an empty mask.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Sets the handler of the signal to `next`, if that is given. Returns the previous one.
fn exchange(number: c_int, next: Option<sigaction>) -> sigaction {
    let mut was = default();
    let next = next.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both records outlive the call, and a new handler came from the system or is the default.
    // The call fails only for signals that cannot be caught. These can.
    unsafe { libc::sigaction(number, next, &mut was) };
    was
}
