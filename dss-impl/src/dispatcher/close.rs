//! Closing a state. It always ends: nothing here waits for a library or for a thread.

use super::inside::Inside;
use super::pace::Busy;
use super::{Desk, Dispatcher, Phase};
use crate::boundary;
use crate::handle::Handle;
use crate::library::{Caller, Phase as LibraryPhase};
use crate::notifier::Way;
use crate::outcome::Outcome;
use crate::queue::Removed;
use crate::sync::{Ordering, thread_id, thread_token};

impl Dispatcher {
    /// Ends the service of the state of `epoch`. First, everything that the libraries have left is cancelled, so that their threads are
    /// released before any library is asked to join them. Then each library is told by its cancel function, and is unregistered if it
    /// has not done so there. Both begin with the library registered last. Does nothing if the state is already closed, or was opened
    /// before this process was forked. [lua-thread]
    ///
    /// If an exception leaves a library's code, the library is not called again, and the exception continues once the state is closed.
    ///
    /// # Safety
    /// Must be called on the Lua thread of the state of `epoch`.
    pub unsafe fn close(&self, epoch: u64) {
        if !self.serves(epoch) {
            return;
        }
        self.enter_lua();
        let inside = Inside::begin(self);
        let notifiers = {
            let mut desk = self.lock_desk_as(Caller::Lua);
            if desk.phase != Phase::Open {
                return;
            }
            let mut intake = self.intake.lock();
            desk.phase = Phase::Stopping;
            intake.phase = Phase::Stopping;
            desk.notifying = false;
            desk.busy = Busy::default();
            intake.told_alive = None;
            let changed = [Way::Port, Way::Descriptor].map(|way| intake.credit.change(way, None));
            #[cfg(not(loom))]
            let changed = (changed, desk.waker.take());
            (desk.clears.take(), changed)
        };
        // With no lock held: dropping the last reference closes what the notifier owns.
        drop(notifiers);
        // Producers that wait for room are released before any library is asked to join its threads.
        self.room.ring();
        let mut closing = Closing { dispatcher: self, epoch, inside: Some(inside) };
        closing.empty_all();
        closing.unregister_all();
    }
}

/// A state that is closing. When this is dropped, the state is closed, even if an exception leaves a library's code.
struct Closing<'a> {
    dispatcher: &'a Dispatcher,
    epoch: u64,
    inside: Option<Inside<'a>>,
}

impl Closing<'_> {
    /// Cancels everything that the libraries have left, starting with the library registered last.
    fn empty_all(&mut self) {
        let dispatcher = self.dispatcher;
        let mut before = u64::MAX;
        loop {
            let mut removed = Removed::new();
            let mut desk = dispatcher.lock_desk_as(Caller::Lua);
            let next = desk.last_registered(before);
            let Some((slot, generation, sequence)) = next else { return };
            before = sequence;
            let handle = dispatcher.handle(slot, generation);
            let library = &mut desk.libraries[slot as usize];
            dispatcher.note_entered(library, Caller::Lua);
            let adapter = library.adapter();
            let mut intake = dispatcher.intake.lock();
            let outcome = Outcome::Cancelled;
            let waiting =
                dispatcher.take_outstanding(&mut desk, &mut intake, slot, outcome, &mut removed, |_| true);
            let library = &mut desk.libraries[slot as usize];
            library.counts.cancelled += (waiting + removed.len()) as u64;
            drop(intake);
            drop(desk);
            let call = Call { dispatcher, slot, returned: false };
            dispatcher.cancel_outstanding(handle, adapter, Caller::Lua, waiting, &mut removed, outcome);
            call.end();
        }
    }

    /// Tells each library, and unregisters it. Each round unregisters one, and none can be registered, so the loop ends.
    fn unregister_all(&mut self) {
        let dispatcher = self.dispatcher;
        while let Some(handle) = self.cancel_last() {
            let mut removed = Removed::new();
            let desk = dispatcher.lock_desk_as(Caller::Lua);
            if let Some(leaving) = dispatcher.begin_leaving(desk, handle, &mut removed) {
                leaving.end(&mut removed, false);
            }
        }
    }

    /// Tells the library that was registered last.
    fn cancel_last(&mut self) -> Option<Handle> {
        let dispatcher = self.dispatcher;
        let mut desk = dispatcher.lock_desk_as(Caller::Lua);
        let (slot, generation, _) = desk.last_registered(u64::MAX)?;
        let handle = dispatcher.handle(slot, generation);
        let library = &mut desk.libraries[slot as usize];
        if library.threw {
            return Some(handle);
        }
        dispatcher.note_entered(library, Caller::Lua);
        library.closing = true;
        let (adapter, context) = (library.adapter(), library.context());
        drop(desk);
        let call = Call { dispatcher, slot, returned: false };
        boundary::closing(adapter, handle, context);
        call.end();
        Some(handle)
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        // If an exception came out of a library, the others are still told, and all are emptied before any is asked to
        // join its threads. Otherwise no library is left here.
        self.empty_all();
        self.unregister_all();
        let dispatcher = self.dispatcher;
        let mut desk = dispatcher.lock_desk_as(Caller::Lua);
        // Items may be left only in a decode or a reply that this close was called from. That call still holds the data of the
        // waiting thread, so its end releases the thread.
        desk.phase = Phase::Closed;
        let mut intake = dispatcher.intake.lock();
        intake.phase = Phase::Closed;
        dispatcher.callbacks.kill_all();
        dispatcher.epoch.store(self.epoch + 1, Ordering::Release);
        drop(intake);
        // SAFETY: a state is closed on its Lua thread, in a call that Lua made.
        unsafe { dispatcher.spares.clear() };
        // Must happen before the dispatcher can be given to another state.
        self.inside = None;
        dispatcher.retire_if_done(&mut desk);
    }
}

/// A call into a library while its state closes.
struct Call<'a> {
    dispatcher: &'a Dispatcher,
    slot: u32,
    returned: bool,
}

impl Call<'_> {
    fn end(mut self) {
        self.returned = true;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut desk = self.dispatcher.lock_desk_as(Caller::Lua);
        let library = &mut desk.libraries[self.slot as usize];
        library.closing = false;
        library.threw |= !self.returned;
        self.dispatcher.leave(desk, self.slot, Caller::Lua);
    }
}

impl Dispatcher {
    /// Gives the dispatcher back to the table once its state is closed and no call into a library is running.
    pub(super) fn retire_if_done(&self, desk: &mut Desk) {
        let done = desk.phase == Phase::Closed
            && desk.libraries.iter().all(|library| library.phase == LibraryPhase::Free);
        if !done {
            return;
        }
        for library in &mut desk.libraries {
            library.last = None;
        }
        desk.items.shrink();
        self.intake.lock().items.shrink();
        self.lua_thread.store(0, Ordering::Relaxed);
        self.lua_thread_id.store(0, Ordering::Relaxed);
        self.claimed.store(false, Ordering::Release);
    }

    /// Whether the current thread is the Lua thread of this state. [any-thread]
    #[must_use]
    pub fn on_lua_thread(&self) -> bool {
        // The id alone could be that of an ended thread. The token needs memory on a thread that has none yet, so it comes second.
        self.lua_thread_id.load(Ordering::Relaxed) == thread_id()
            && self.lua_thread.load(Ordering::Relaxed) == thread_token()
    }
}
