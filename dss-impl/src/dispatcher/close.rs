//! Closing a state. It always ends: nothing in here waits for a library or for a thread.

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
    /// Ends the service of the state of `epoch`. Each library, last registered first, has what it left behind
    /// cancelled (so that its threads come free before it is asked to join them), is told by its cancel function, and is
    /// unregistered by force where it did not do so in there. Does nothing where that state is closed, or was opened before this
    /// process was forked. [lua-thread]
    ///
    /// A library whose code is left by an exception is not called again; the exception goes on once the state is closed.
    ///
    /// # Safety
    /// On the Lua thread of the state of `epoch`.
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
        // With no lock held: the last owner closes what it has.
        drop(notifiers);
        // A producer that waits for room is released before any library is asked to join its threads.
        self.room.ring();
        let mut closing = Closing { dispatcher: self, epoch, inside: Some(inside) };
        closing.empty_all();
        closing.unregister_all();
    }
}

/// A state that closes. When this is dropped it is closed, also where a library's code was left by an exception.
struct Closing<'a> {
    dispatcher: &'a Dispatcher,
    epoch: u64,
    inside: Option<Inside<'a>>,
}

impl Closing<'_> {
    /// Cancels all that any library has left, the queue of the last registered first.
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

    /// Tells each library, and unregisters it. Each round unregisters one, and none can come: the loop ends.
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
        // Where an exception came out of a library, the others are told all the same; and all are emptied before any is asked to
        // join its threads. Elsewhere none is left.
        self.empty_all();
        self.unregister_all();
        let dispatcher = self.dispatcher;
        let mut desk = dispatcher.lock_desk_as(Caller::Lua);
        // What may be left stands in a decode or a reply that the close itself came from. That call still has what its
        // waiting thread owns, so it is that call's end that releases the thread.
        desk.phase = Phase::Closed;
        let mut intake = dispatcher.intake.lock();
        intake.phase = Phase::Closed;
        dispatcher.callbacks.kill_all();
        dispatcher.epoch.store(self.epoch + 1, Ordering::Release);
        drop(intake);
        // Before the dispatcher may be another state's.
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
    /// Gives the dispatcher back to the table once its state is closed and no call is left in any library.
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

    /// Whether the running thread is the Lua thread of this state. [any-thread]
    #[must_use]
    pub fn on_lua_thread(&self) -> bool {
        // The number alone could be that of a thread that has ended; the token needs memory on a thread that never had one.
        self.lua_thread_id.load(Ordering::Relaxed) == thread_id()
            && self.lua_thread.load(Ordering::Relaxed) == thread_token()
    }
}
