//! Registering, finding and unregistering libraries.

use std::sync::Arc;

use super::{Desk, Dispatcher, Door, Intake, Pending, Phase, Stage};
use crate::biased::Guard;
use crate::boundary;
use crate::bounds::Bound;
use crate::delivery::{Item, Outcome, Parcel};
use crate::handle::{Handle, MAX_SLOTS};
use crate::library::{Counts, Library, LibraryInfo, Phase as LibraryPhase, Registration};
use crate::sync::{Ordering, thread_token};

/// Why a library was not registered. Its registration was let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// It is registered already, under this handle.
    AlreadyRegistered(Handle),
    /// The state is closing or closed.
    Stopping,
    /// More libraries than a state can tell apart.
    Full,
}

/// Why a library was not unregistered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnregisterError {
    /// The handle names no registered library.
    InvalidHandle,
}

/// Slots that are filled before one is taken that another library may come back to.
const SLOTS_TO_SPARE: usize = 64;

/// All that a library still had when it was made to leave.
pub(super) struct Estate {
    waiting: Vec<Pending>,
    /// The oldest first.
    pub(super) queued: Vec<Item>,
}

impl Estate {
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.queued.len()
    }
}

impl Dispatcher {
    /// Registers a library. [lua-thread]
    ///
    /// # Errors
    /// [`RegisterError`]; nothing changed.
    pub fn register(&self, registration: Registration) -> Result<Handle, RegisterError> {
        self.enter_lua();
        let mut desk = self.desk.lock();
        let refusal = match desk.phase {
            Phase::Open => desk
                .find(registration.libid)
                .map(|(slot, generation)| RegisterError::AlreadyRegistered(self.handle(slot, generation))),
            Phase::Stopping | Phase::Closed => Some(RegisterError::Stopping),
        };
        let refusal = refusal.or_else(|| {
            let full = desk.libraries.len() >= MAX_SLOTS as usize;
            (full && !desk.libraries.iter().any(Library::is_free)).then_some(RegisterError::Full)
        });
        if let Some(error) = refusal {
            drop(desk);
            boundary::release(registration);
            return Err(error);
        }
        let mut intake = self.intake.lock();
        let slots = &desk.libraries;
        let last = |wanted: Option<usize>| {
            slots.iter().position(|library| library.is_free() && library.last == wanted)
        };
        // Its own slot goes on counting; another's is left to it while there are few.
        let free = last(Some(registration.libid))
            .or_else(|| last(None))
            .or_else(|| slots.iter().position(Library::is_free).filter(|_| slots.len() >= SLOTS_TO_SPARE));
        let slot = free.unwrap_or_else(|| {
            desk.libraries.push(Library::new());
            let adapter = registration.adapter;
            intake.doors.push(Door {
                generation: 0,
                open: false,
                refused: 0,
                keeps_alive: false,
                holds: 0,
                adapter,
                displacing: Vec::new(),
                bound: None,
            });
            desk.libraries.len() - 1
        });
        desk.sequence += 1;
        let sequence = desk.sequence;
        let library = &mut desk.libraries[slot];
        let terms = registration.terms.as_ref();
        let bound = terms.map(|terms| Box::new(Bound::new(terms.limits)));
        let keeps_alive = terms.is_none_or(|terms| terms.keeps_alive);
        let adapter = registration.adapter;
        library.occupy(registration, sequence, bound.as_ref().map(|bound| Arc::clone(&bound.gauge)));
        let (generation, displacing) = (library.generation, Vec::new());
        intake.doors[slot] =
            Door { generation, open: true, refused: 0, keeps_alive, holds: 0, adapter, displacing, bound };
        intake.registered += usize::from(keeps_alive);
        Ok(self.handle(slot as u32, library.generation))
    }

    /// The handle of the library with that `libid`. [lua-thread]
    #[must_use]
    pub fn find(&self, libid: usize) -> Option<Handle> {
        self.enter_lua();
        self.desk.lock().find(libid).map(|(slot, generation)| self.handle(slot, generation))
    }

    /// Unregisters a library: nothing more is taken from it, all it has is cancelled, on this thread, and when this
    /// returns none of its code runs or will be called for this state, except calls that this thread itself stands in,
    /// and its own cancel function while the state closes: that may be waiting for this very thread.
    /// [any-thread] `[blocks]` while another thread is in its code
    ///
    /// # Errors
    /// [`UnregisterError::InvalidHandle`], also where another thread is at it already.
    pub fn unregister(&self, handle: Handle) -> Result<(), UnregisterError> {
        let me = thread_token();
        let desk = self.desk.lock();
        let estate = self.begin_leaving(desk, handle, me).ok_or(UnregisterError::InvalidHandle)?;
        self.end_leaving(handle, estate, me, true);
        Ok(())
    }

    /// Closes the door of `handle`'s library and takes what it has, all in one step. None where the handle is invalid.
    pub(super) fn begin_leaving(&self, mut desk: Guard<'_, Desk>, handle: Handle, me: u64) -> Option<Estate> {
        let library = desk.library(handle)?;
        if library.phase != LibraryPhase::Registered {
            return None;
        }
        library.phase = LibraryPhase::Leaving;
        // Held until all is cancelled: the slot cannot be freed meanwhile.
        library.calls.push(me);
        let mut intake = self.intake.lock();
        let door = &mut intake.doors[handle.slot as usize];
        door.open = false;
        library.counts.refused += std::mem::take(&mut door.refused);
        // Calls like others from here on.
        library.calls.append(&mut door.displacing);
        let bound = door.bound.take();
        if let Some(bound) = &bound {
            library.counts.add(bound);
        }
        intake.registered -= usize::from(door.keeps());
        let estate = self.take_estate(&mut desk, &mut intake, handle.slot, |_| true);
        desk.libraries[handle.slot as usize].counts.cancelled += estate.len() as u64;
        let wake = intake.registered == 0 && std::mem::take(&mut intake.sleeping);
        drop(intake);
        drop(desk);
        if bound.is_some() {
            // Who waits for room looks again, and finds the door closed.
            self.room.notify_all();
        }
        if wake {
            // `run` sleeps for a library that is registered, and there is none now.
            self.arrived.notify_one();
        }
        Some(estate)
    }

    /// Cancels an estate, and frees the library's slot once no call is left in it.
    pub(super) fn end_leaving(&self, handle: Handle, estate: Estate, me: u64, wait: bool) {
        self.cancel_estate(handle, estate, Outcome::Cancelled);
        let mut desk = self.desk.lock();
        if wait {
            desk.awaiting += 1;
            while desk.libraries[handle.slot as usize].holds_back(me) {
                // Calls end under the desk lock and then notify while anybody awaits, and `awaiting` says so by now.
                desk = self.desk.wait(desk, &self.ended);
            }
            desk.awaiting -= 1;
        }
        desk.libraries[handle.slot as usize].phase = LibraryPhase::Left;
        self.leave(desk, handle.slot, me);
    }

    /// Takes what a library has queued or waiting, as far as it is `wanted`. What is decoding or replying is left to that call
    /// to end.
    pub(super) fn take_estate(
        &self,
        desk: &mut Desk,
        intake: &mut Intake,
        slot: u32,
        wanted: impl Fn(&Parcel) -> bool,
    ) -> Estate {
        let waiting = desk.remove_where(|pending| {
            pending.slot == slot && pending.stage == Stage::Waiting && wanted(&pending.parcel)
        });
        let mut queued = Vec::new();
        let own = |item: &Item| item.slot == slot && wanted(&item.parcel);
        desk.items.remove_where(&mut queued, own);
        intake.items.remove_where(&mut queued, own);
        self.ahead.store(desk.items.len(), Ordering::Relaxed);
        self.behind.store(intake.items.len(), Ordering::Relaxed);
        Estate { waiting, queued }
    }

    /// Cancels what was taken, with no lock held; each waiting thread is released after the call for its delivery, and told
    /// `outcome`.
    pub(super) fn cancel_estate(&self, handle: Handle, estate: Estate, outcome: Outcome) {
        if estate.len() == 0 {
            return;
        }
        let adapter = self.desk.lock().libraries[handle.slot as usize].adapter();
        for pending in estate.waiting {
            boundary::cancel_waiting(adapter, handle, &pending.parcel);
            pending.waiter.release(outcome);
        }
        for item in estate.queued {
            boundary::cancel_queued(adapter, handle, &item.parcel, item.waiter.is_some());
            if let Some(waiter) = item.waiter {
                waiter.release(outcome);
            }
        }
    }

    /// What `libraries()` shows, in the order of registration. [any-thread]
    #[must_use]
    pub fn libraries(&self) -> Vec<LibraryInfo> {
        let mut desk = self.desk.lock();
        let desk = &mut *desk;
        let intake = self.intake.lock();
        for library in &mut desk.libraries {
            library.queued = 0;
        }
        let mut waiting = vec![0; desk.libraries.len()];
        for item in desk.items.iter().chain(intake.items.iter()) {
            desk.libraries[item.slot as usize].queued += 1;
            waiting[item.slot as usize] += usize::from(item.waiter.is_some());
        }
        for pending in desk.places.iter().filter_map(|place| place.pending.as_ref()) {
            waiting[pending.slot as usize] += 1;
        }
        let mut registered: Vec<_> = desk
            .libraries
            .iter()
            .enumerate()
            .filter(|(_, library)| library.phase == LibraryPhase::Registered)
            .collect();
        registered.sort_by_key(|(_, library)| library.sequence);
        registered
            .into_iter()
            .map(|(slot, library)| library.info(&intake.doors[slot], waiting[slot]))
            .collect()
    }
}

impl Library {
    fn info(&self, door: &Door, waiting: usize) -> LibraryInfo {
        let registration = self.registration.as_ref();
        let terms = registration.and_then(|it| it.terms.as_ref());
        let mut counts = self.counts;
        counts.refused += door.refused;
        if let Some(bound) = &door.bound {
            counts.add(bound);
        }
        LibraryInfo {
            name: registration.and_then(|it| it.name.clone()),
            revision: self.adapter().revision(),
            version: terms.map(|terms| Arc::clone(&terms.version)),
            file: terms.and_then(|terms| terms.file.clone()),
            keeps_alive: door.keeps(),
            queued: self.queued,
            bytes: door.bound.as_ref().map_or(0, |bound| bound.bytes()),
            limits: door.bound.as_ref().map(|bound| bound.limits),
            high_water: counts.high_water,
            waiting,
            delivered: counts.delivered,
            replied: counts.replied,
            failed: counts.failed,
            cancelled: counts.cancelled,
            refused: counts.refused,
            dropped: counts.dropped,
            coalesced: counts.coalesced,
            timed_out: counts.timed_out,
            waits: self.waits.as_deref().cloned(),
        }
    }
}

impl Counts {
    /// Adds what is counted at the door.
    fn add(&mut self, bound: &Bound) {
        self.dropped += bound.dropped;
        self.coalesced += bound.coalesced;
        self.timed_out += bound.timed_out;
        self.high_water = self.high_water.max(bound.high_water);
    }
}

impl Desk {
    fn find(&self, libid: usize) -> Option<(u32, u32)> {
        let found = |library: &Library| {
            library.phase == LibraryPhase::Registered
                && library.registration.as_ref().is_some_and(|registration| registration.libid == libid)
        };
        let slot = self.libraries.iter().position(found)?;
        Some((slot as u32, self.libraries[slot].generation))
    }

    /// The library that was registered last, if one still is.
    pub(super) fn last_registered(&self) -> Option<(u32, u32)> {
        self.libraries
            .iter()
            .enumerate()
            .filter(|(_, library)| library.phase == LibraryPhase::Registered)
            .max_by_key(|(_, library)| library.sequence)
            .map(|(slot, library)| (slot as u32, library.generation))
    }
}
