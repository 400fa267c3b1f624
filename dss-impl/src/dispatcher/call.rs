//! Calls from Lua into a library's own functions.

use std::marker::PhantomData;

use super::Dispatcher;
use crate::handle::Handle;
use crate::library::{Caller, Phase as LibraryPhase};

/// A call into a library. It must be passed to [`Dispatcher::end_call`].
#[derive(Debug)]
#[must_use]
pub struct Calling {
    slot: u32,
    /// Not `Send`: it stays on the thread that began it, which is the Lua thread and the desk's owner.
    bound: PhantomData<*const ()>,
}

impl Dispatcher {
    /// Begins a call into a library's code. Until it ends, an unregister on another thread waits. Returns None if the library is no
    /// longer registered, or the state of `epoch` has closed; then nothing of the library may be called. [lua-thread]
    ///
    /// # Safety
    /// Must be called on the Lua thread of the state of `epoch`, inside a call that Lua made.
    pub unsafe fn begin_call(&self, epoch: u64, handle: Handle) -> Option<Calling> {
        // A finalizer may run after its state closed, when the dispatcher serves another state on another thread.
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
        self.note_left(&mut desk.libraries[calling.slot as usize], Caller::Lua);
        if desk.awaiting > 0 || desk.libraries[calling.slot as usize].phase != LibraryPhase::Registered {
            self.free_if_left(desk, calling.slot);
        }
    }

    /// The adapter's context of a library that is being called. It stays valid until the call has ended. [lua-thread]
    #[cfg(not(loom))] // the adapters that ask are not in the models
    pub(crate) fn context(&self, handle: Handle) -> Option<usize> {
        self.lock_desk().library(handle)?.registration.as_ref().map(|registration| registration.context)
    }

    /// Passes the adapter's context of a library of that revision to `look`, if it is registered. `look` runs under the desk lock and
    /// must call no foreign code. [any-thread]
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

    /// Whether the handle names a registered library of that revision. [any-thread]
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
