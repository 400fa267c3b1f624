//! Calls from Lua into a library's own functions.

use super::Dispatcher;
use crate::handle::Handle;
use crate::library::Phase as LibraryPhase;

/// A call into a library that began, and must be given to [`Dispatcher::end_call`].
#[derive(Debug)]
#[must_use]
pub struct Calling {
    slot: u32,
    me: u64,
}

impl Dispatcher {
    /// Begins a call into a library's code: until it ends, an unregister on another thread waits. None where the library is not
    /// registered any more, and nothing of it may be called. [lua-thread]
    pub fn begin_call(&self, handle: Handle) -> Option<Calling> {
        let mut desk = self.desk.lock();
        let library = desk.library(handle).filter(|it| it.phase == LibraryPhase::Registered)?;
        let me = self.enter_lua();
        library.calls.push(me);
        Some(Calling { slot: handle.slot, me })
    }

    /// Ends a call. [lua-thread]
    pub fn end_call(&self, calling: Calling) {
        self.leave(self.desk.lock(), calling.slot, calling.me);
    }

    /// The adapter's own word of a library that is called: it stays what it is until the call has ended. [lua-thread]
    #[cfg(not(loom))] // the adapters that ask are not in the models
    pub(crate) fn context(&self, handle: Handle) -> Option<usize> {
        self.desk.lock().library(handle)?.registration.as_ref().map(|registration| registration.context)
    }

    /// Whether the library is registered. [any-thread]
    #[must_use]
    pub fn is_registered(&self, handle: Handle) -> bool {
        let mut desk = self.desk.lock();
        desk.library(handle).is_some_and(|library| library.phase == LibraryPhase::Registered)
    }
}
