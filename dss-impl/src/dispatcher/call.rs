//! Calls from Lua into a library's own functions.

use std::marker::PhantomData;

use super::Dispatcher;
use crate::handle::Handle;
use crate::library::{Caller, Phase as LibraryPhase};

/// A call into a library that began, and must be given to [`Dispatcher::end_call`].
#[derive(Debug)]
#[must_use]
pub struct Calling {
    slot: u32,
    /// It stays on the thread that began it: the Lua thread, as the desk's owner.
    bound: PhantomData<*const ()>,
}

impl Dispatcher {
    /// Begins a call into a library's code: until it ends, an unregister on another thread waits. None where the library is not
    /// registered any more, or the state of `epoch` has closed, and nothing of it may be called. [lua-thread]
    ///
    /// # Safety
    /// On the Lua thread of the state of `epoch`, inside a call that Lua made.
    pub unsafe fn begin_call(&self, epoch: u64, handle: Handle) -> Option<Calling> {
        // A finalizer may come after its state closed, to a dispatcher that serves another on another thread.
        if !self.serves(epoch) {
            return None;
        }
        self.enter_lua();
        // SAFETY: the state is served, and this is its Lua thread.
        let mut desk = unsafe { self.desk.lock_as_owner() };
        let library = desk.registered(handle)?;
        self.note_entered(library, Caller::Lua);
        Some(Calling { slot: handle.slot, bound: PhantomData })
    }

    /// Ends a call. [lua-thread]
    pub fn end_call(&self, calling: Calling) {
        let mut desk = self.lock_desk_as(Caller::Lua);
        self.note_left(&mut desk, calling.slot, Caller::Lua);
        if desk.awaiting > 0 || desk.libraries[calling.slot as usize].phase != LibraryPhase::Registered {
            self.free_if_left(desk, calling.slot);
        }
    }

    /// The adapter's own word of a library that is called: it stays what it is until the call has ended. [lua-thread]
    #[cfg(not(loom))] // the adapters that ask are not in the models
    pub(crate) fn context(&self, handle: Handle) -> Option<usize> {
        self.lock_desk().library(handle)?.registration.as_ref().map(|registration| registration.context)
    }

    /// Has `look` see the adapter's own word of a library of that revision, if it is registered. It runs under the desk lock, and calls
    /// nobody. [any-thread]
    #[cfg(not(loom))]
    pub(crate) fn look_at_context<R>(
        &self,
        handle: Handle,
        revision: u32,
        look: impl FnOnce(usize) -> R,
    ) -> Option<R> {
        let mut desk = self.lock_desk();
        let library = desk.registered(handle).filter(|library| library.adapter().number() == revision)?;
        Some(look(library.context()))
    }

    /// Whether a library of that revision is registered under that handle. [any-thread]
    #[must_use]
    pub fn has_of_revision(&self, handle: Handle, revision: u32) -> bool {
        self.intake.lock().admission_of(handle, revision).is_some()
    }

    /// Whether the library is registered. [any-thread]
    #[must_use]
    pub fn is_registered(&self, handle: Handle) -> bool {
        let mut desk = self.lock_desk();
        desk.registered(handle).is_some()
    }
}
