//! Closing a state. It always ends: nothing in here waits for a library or for a thread.

use super::{Desk, Dispatcher, Phase};
use crate::boundary;
use crate::delivery::Outcome;
use crate::library::Phase as LibraryPhase;
use crate::sync::{Ordering, thread_token};

impl Dispatcher {
    /// Ends the service of the state of `epoch`. Each library, last registered first, has what it left behind
    /// cancelled (so that its threads come free before it is asked to join them), is told by its cancel function, and is
    /// unregistered by force where it did not do so in there. Does nothing where that state is closed. [lua-thread]
    pub fn close(&self, epoch: u64) {
        let (me, notifier) = {
            let mut desk = self.desk.lock();
            if !self.serves(epoch) || desk.phase != Phase::Open {
                return;
            }
            // Not before: a close that comes too late comes to a dispatcher that may serve another state.
            let me = self.enter_lua();
            let mut intake = self.intake.lock();
            desk.phase = Phase::Stopping;
            intake.phase = Phase::Stopping;
            desk.notifying = false;
            (me, intake.credit.change(None))
        };
        drop(notifier);
        // Who waits for room is released before any library is asked to join its threads.
        self.room.notify_all();
        self.empty_all(me);
        // Each round unregisters one library, and none can come: the loop ends.
        while let Some(slot) = self.cancel_last(me) {
            let desk = self.desk.lock();
            let handle = self.handle(slot.0, slot.1);
            if let Some(estate) = self.begin_leaving(desk, handle, me) {
                self.end_leaving(handle, estate, me, false);
            }
        }
        let mut desk = self.desk.lock();
        // What may be left stands in a decode or a reply that the close itself came from. That call still has what its
        // waiting thread owns, so it is that call's end that releases the thread.
        desk.phase = Phase::Closed;
        let mut intake = self.intake.lock();
        intake.phase = Phase::Closed;
        self.callbacks.kill_all();
        self.epoch.store(epoch + 1, Ordering::Release);
        drop(intake);
        self.retire_if_done(&mut desk);
    }

    /// Cancels all that any library has left, the queue of the last registered first.
    fn empty_all(&self, me: u64) {
        let mut slots: Vec<_> = {
            let desk = self.desk.lock();
            desk.libraries
                .iter()
                .enumerate()
                .filter(|(_, library)| library.phase == LibraryPhase::Registered)
                .map(|(slot, library)| (library.sequence, slot as u32, library.generation))
                .collect()
        };
        slots.sort_unstable_by_key(|(sequence, ..)| std::cmp::Reverse(*sequence));
        for (_, slot, generation) in slots {
            let handle = self.handle(slot, generation);
            let mut desk = self.desk.lock();
            match desk.library(handle) {
                Some(library) if library.phase == LibraryPhase::Registered => library.calls.push(me),
                _ => continue,
            }
            let mut intake = self.intake.lock();
            let estate = self.take_estate(&mut desk, &mut intake, slot, |_| true);
            desk.libraries[slot as usize].counts.cancelled += estate.len() as u64;
            drop(intake);
            drop(desk);
            self.cancel_estate(handle, estate, Outcome::Cancelled);
            self.leave(self.desk.lock(), slot, me);
        }
    }

    /// Tells the library that was registered last; returns its slot and generation.
    fn cancel_last(&self, me: u64) -> Option<(u32, u32)> {
        let mut desk = self.desk.lock();
        let (slot, generation) = desk.last_registered()?;
        let library = &mut desk.libraries[slot as usize];
        library.calls.push(me);
        library.closing = Some(me);
        let (adapter, context) = (library.adapter(), library.context());
        drop(desk);
        boundary::cancel_library(adapter, self.handle(slot, generation), context);
        let mut desk = self.desk.lock();
        desk.libraries[slot as usize].closing = None;
        self.leave(desk, slot, me);
        Some((slot, generation))
    }

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
        self.claimed.store(false, Ordering::Release);
    }

    /// Whether the running thread is the Lua thread of this state. [any-thread]
    #[must_use]
    pub fn on_lua_thread(&self) -> bool {
        self.lua_thread.load(Ordering::Relaxed) == thread_token()
    }
}
