//! The thread that waits for signals on behalf of one Lua state.

use std::ffi::c_int;
use std::io;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::disposition::{self, Taken};

/// The signals, and their names in Lua.
pub(crate) const SIGNALS: [(c_int, &str); 2] = [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")];

/// Listens until it is dropped. Its thread has then ended.
pub(crate) struct Listener {
    // Dropped before the thread ends, so that a signal reaches either this listener or the process's own handler.
    taken: Option<Taken>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Takes the signals, and calls `deliver` with each one's name and number on its own thread.
    ///
    /// If a signal comes again before the first was read, the system makes one signal of both.
    ///
    /// # Errors
    /// The system has no descriptor or no thread left.
    pub(crate) fn start(deliver: impl Fn(&'static str, c_int) + Send + 'static) -> io::Result<Listener> {
        let (taken, mut signals) = disposition::take(|| Signals::new(SIGNALS.map(|(number, _)| number)))?;
        let handle = signals.handle();
        let listen = move || {
            for number in signals.forever() {
                if let Some((_, name)) = SIGNALS.iter().find(|(signal, _)| *signal == number) {
                    deliver(name, number);
                }
            }
        };
        let thread = std::thread::Builder::new().name("luaexit".to_owned()).spawn(listen)?;
        Ok(Listener { taken: Some(taken), handle, thread: Some(thread) })
    }
}

impl Drop for Listener {
    /// Joins on the Lua thread, which is safe: this thread delivers, and never waits for Lua.
    fn drop(&mut self) {
        drop(self.taken.take());
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // The thread does not panic. Even if it did, it has ended.
            let _ = thread.join();
        }
    }
}
