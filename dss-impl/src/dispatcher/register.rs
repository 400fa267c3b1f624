//! Registering, finding and unregistering libraries.

use std::sync::Arc;

use super::{Admission, Desk, Dispatcher, Intake, Phase};
use crate::biased::Guard;
use crate::boundary;
use crate::capacity::{Capacity, Consumed};
use crate::channel::Channels;
use crate::handle::{Handle, MAX_SLOTS};
use crate::item::Item;
use crate::library::{Counts, Library, LibraryInfo, Phase as LibraryPhase, Registration};
use crate::memory::{OutOfMemory, Shared, TryRoom};
use crate::outcome::Outcome;
use crate::port::Adapter;
use crate::queue::Removed;
use crate::sync::{Ordering, thread_id};

/// Why a library was not registered. Its registration has been released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// It is already registered, under this handle.
    AlreadyRegistered(Handle),
    /// The state is closing or closed.
    Stopping,
    /// The state already has the most libraries.
    Full,
    /// There is no memory for its record.
    OutOfMemory,
}

impl From<OutOfMemory> for RegisterError {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        RegisterError::OutOfMemory
    }
}

/// Why a library was not unregistered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnregisterError {
    /// The handle is invalid.
    InvalidHandle,
}

/// So many slots are filled before a slot is taken that an earlier library may return to.
const SLOTS_TO_SPARE: usize = 64;

impl Dispatcher {
    /// Registers a library. [lua-thread]
    ///
    /// # Errors
    /// [`RegisterError`]. Nothing has changed.
    pub fn register(&self, registration: Registration) -> Result<Handle, RegisterError> {
        self.enter_lua();
        self.used.store(true, Ordering::Relaxed);
        let mut guard = self.lock_desk();
        let desk = &mut *guard;
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
        let mut intake = self.intake.lock();
        let slot = match refusal {
            Some(error) => Err(error),
            None => desk.slot(&mut intake, &registration).map_err(RegisterError::from),
        };
        let slot = match slot {
            Ok(slot) => slot,
            Err(error) => {
                drop(intake);
                drop(guard);
                boundary::release(registration.adapter, registration.context);
                return Err(error);
            }
        };
        desk.sequence += 1;
        let sequence = desk.sequence;
        let library = &mut desk.libraries[slot];
        let terms = registration.terms.as_ref();
        let limits = terms.map(|terms| terms.limits);
        let keeps_alive = terms.is_none_or(|terms| terms.keeps_alive);
        let adapter = registration.adapter;
        library.occupy(registration, sequence);
        desk.gather_counts(slot);
        let library = &mut desk.libraries[slot];
        let generation = library.generation;
        let new = Admission::new(adapter, Capacity::new(limits, library.consumed.clone()), generation);
        intake.admissions[slot] = Admission { generation, open: true, keeps_alive, ..new };
        intake.registered += usize::from(keeps_alive);
        let due = intake.due_if_alive_changed();
        drop(intake);
        drop(guard);
        self.tell(None, due);
        Ok(self.handle(slot as u32, generation))
    }

    /// The handle of the library with that `libid`. [lua-thread]
    #[must_use]
    pub fn find(&self, libid: usize) -> Option<Handle> {
        self.enter_lua();
        self.lock_desk().find(libid).map(|(slot, generation)| self.handle(slot, generation))
    }

    /// Unregisters a library. Nothing more is accepted from it, and everything it has is cancelled on this thread. When this
    /// returns, none of its code is running or will be called for this state. There are two exceptions: calls that this thread itself is
    /// in, and the library's cancel function while the state closes, because that may be waiting for this very thread.
    /// [any-thread] `[blocks]` while another thread is in its code
    ///
    /// # Errors
    /// [`UnregisterError::InvalidHandle`], also if another thread is already unregistering it.
    pub fn unregister(&self, handle: Handle) -> Result<(), UnregisterError> {
        let mut removed = Removed::new();
        let desk = self.lock_desk();
        let leaving = self.begin_leaving(desk, handle, &mut removed).ok_or(UnregisterError::InvalidHandle)?;
        leaving.end(&mut removed, true);
        Ok(())
    }

    /// Stops admitting deliveries of `handle`'s library and takes what it has, in one step. None if the handle is invalid.
    pub(super) fn begin_leaving(
        &self,
        mut desk: Guard<'_, Desk>,
        handle: Handle,
        removed: &mut Removed<Item>,
    ) -> Option<Leaving<'_>> {
        let library = desk.registered(handle)?;
        // Its slot is not freed before it is `Left`.
        library.phase = LibraryPhase::Leaving;
        let adapter = library.adapter();
        let mut intake = self.intake.lock();
        let admission = &mut intake.admissions[handle.slot as usize];
        admission.open = false;
        library.counts.refused += std::mem::take(&mut admission.refused);
        // From here on, these count as calls like any other.
        library.evicting = std::mem::take(&mut admission.evicting);
        intake.registered -= usize::from(admission.keeps());
        let waiting =
            self.take_outstanding(&mut desk, &mut intake, handle.slot, Outcome::Cancelled, removed, |_| true);
        let library = &mut desk.libraries[handle.slot as usize];
        library.counts.cancelled += (waiting + removed.len()) as u64;
        let none = Channels::new(Capacity::new(None, library.consumed.clone()), 0);
        let admission = &mut intake.admissions[handle.slot as usize];
        let mut left = std::mem::replace(&mut admission.channels, none);
        let mut limited = false;
        for capacity in left.all() {
            library.counts.add(capacity);
            limited |= capacity.limits.is_some();
        }
        library.counts.high_water = library.counts.high_water.max(left.first().high_water);
        // If no registered library keeps `run` going any more, it is woken.
        let sleeper = intake.take_sleeper_in_vain();
        let due = intake.due_if_alive_changed();
        drop(intake);
        drop(desk);
        // Dropped with no lock held: it may contain many keys.
        drop(left);
        if limited {
            // A producer that waits for room checks again, and finds that the library is gone.
            self.room.ring();
        }
        self.tell(sleeper, due);
        Some(Leaving { dispatcher: self, handle, adapter, waiting })
    }

    /// What `libraries()` shows, in the order of registration. [any-thread]
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn libraries(&self) -> Result<Vec<LibraryInfo>, OutOfMemory> {
        let desk = self.lock_desk();
        let mut intake = self.intake.lock();
        let mut registered = Vec::new();
        registered.try_room_exact(desk.libraries.len())?;
        let slots = desk.libraries.iter().zip(0..);
        registered.extend(slots.filter(|(library, _)| library.phase == LibraryPhase::Registered));
        // An unstable sort needs no memory. No two libraries have the same number.
        registered.sort_unstable_by_key(|(library, _)| library.sequence);
        let mut shown = Vec::new();
        shown.try_room_exact(registered.len())?;
        for (library, slot) in registered {
            shown.push(library.info(&mut intake.admissions[slot as usize])?);
        }
        Ok(shown)
    }
}

/// A library that is leaving. It is unregistered when this is dropped: by [`Self::end`], or when an exception leaves its code.
pub(super) struct Leaving<'a> {
    dispatcher: &'a Dispatcher,
    handle: Handle,
    adapter: &'static dyn Adapter,
    waiting: usize,
}

impl Leaving<'_> {
    /// Cancels what the library had, and frees its slot once no call is in it.
    pub(super) fn end(self, removed: &mut Removed<Item>, wait: bool) {
        let Leaving { dispatcher, handle, adapter, waiting } = &self;
        let caller = dispatcher.caller();
        dispatcher.cancel_outstanding(*handle, *adapter, caller, *waiting, removed, Outcome::Cancelled);
        if wait {
            dispatcher.await_calls(handle.slot);
        }
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut desk = self.dispatcher.lock_desk();
        desk.libraries[self.handle.slot as usize].phase = LibraryPhase::Left;
        self.dispatcher.free_if_left(desk, self.handle.slot);
    }
}

impl Dispatcher {
    /// Sleeps until no other thread is in a library's code.
    fn await_calls(&self, slot: u32) {
        let me = thread_id();
        let holds_back = |desk: &Desk| {
            desk.libraries[slot as usize].holds_back(me, self.lua_thread_id.load(Ordering::Relaxed))
        };
        if !holds_back(&self.lock_desk()) {
            return;
        }
        let mut desk = self.desk.lock();
        desk.awaiting += 1;
        while holds_back(&desk) {
            // No wake-up is lost: `awaiting` is already set, and a call ends under the desk lock and then notifies if `awaiting` is not 0.
            desk = self.desk.wait(desk, &self.ended);
        }
        desk.awaiting -= 1;
    }
}

impl Admission {
    /// What an unoccupied slot has.
    fn new(adapter: &'static dyn Adapter, capacity: Capacity, generation: u32) -> Self {
        Admission {
            generation: 0,
            open: false,
            refused: 0,
            keeps_alive: false,
            holds: 0,
            adapter,
            revision: adapter.number(),
            evicting: Vec::new(),
            awaited: 0,
            // The low bits are enough: they differ from one registration to the next.
            channels: Channels::new(capacity, generation as u16),
        }
    }
}

impl Library {
    fn info(&self, admission: &mut Admission) -> Result<LibraryInfo, OutOfMemory> {
        let registration = self.registration.as_ref();
        let terms = registration.and_then(|it| it.terms.as_ref());
        let mut counts = self.counts;
        counts.refused += admission.refused;
        let (mut queued, mut bytes) = (0, 0);
        for capacity in admission.channels.all() {
            counts.add(capacity);
            queued += capacity.items();
            bytes += capacity.bytes();
        }
        let first = admission.channels.first();
        let (limits, high_water) = (first.limits, self.counts.high_water.max(first.high_water));
        let mut channels = Vec::new();
        channels.try_room_exact(admission.channels.open_count())?;
        channels.extend(admission.channels.info());
        Ok(LibraryInfo {
            name: registration.and_then(|it| it.name.clone()),
            revision: self.adapter().revision(),
            version: terms.map(|terms| Arc::clone(&terms.version)),
            file: terms.and_then(|terms| terms.file.clone()),
            keeps_alive: admission.keeps(),
            queued,
            bytes,
            limits,
            high_water,
            waiting: admission.awaited - self.awaited_left + self.pending,
            delivered: counts.delivered,
            replied: counts.replied,
            failed: counts.failed,
            cancelled: counts.cancelled,
            refused: counts.refused,
            dropped: counts.dropped,
            coalesced: counts.coalesced,
            timed_out: counts.timed_out,
            channels,
            waits: self.waits.as_deref().cloned(),
        })
    }
}

impl Counts {
    /// Adds the counts of admission.
    pub(super) fn add(&mut self, capacity: &Capacity) {
        self.dropped += capacity.dropped;
        self.coalesced += capacity.coalesced;
        self.timed_out += capacity.timed_out;
    }
}

impl Desk {
    /// A free slot for a library. It prefers the library's own slot, whose counts go on. While there are few slots, another library's
    /// slot is kept for that library.
    fn slot(&mut self, intake: &mut Intake, registration: &Registration) -> Result<usize, OutOfMemory> {
        let slots = &mut self.libraries;
        let last = |wanted: Option<usize>| {
            slots.iter().position(|library| library.is_free() && library.last == wanted)
        };
        let free = last(Some(registration.libid))
            .or_else(|| last(None))
            .or_else(|| slots.iter().position(Library::is_free).filter(|_| slots.len() >= SLOTS_TO_SPARE));
        if let Some(slot) = free {
            return Ok(slot);
        }
        slots.try_room(1)?;
        intake.admissions.try_room(1)?;
        let consumed: Shared<Consumed> = Consumed::try_new()?;
        let capacity = Capacity::new(None, consumed.clone());
        slots.push(Library::new(consumed));
        intake.admissions.push(Admission::new(registration.adapter, capacity, 0));
        Ok(slots.len() - 1)
    }

    fn find(&self, libid: usize) -> Option<(u32, u32)> {
        let found = |library: &Library| {
            library.phase == LibraryPhase::Registered
                && library.registration.as_ref().is_some_and(|registration| registration.libid == libid)
        };
        let slot = self.libraries.iter().position(found)?;
        Some((slot as u32, self.libraries[slot].generation))
    }

    /// The library registered last among those before sequence number `before`, if any: its slot, generation and sequence number.
    pub(super) fn last_registered(&self, before: u64) -> Option<(u32, u32, u64)> {
        self.libraries
            .iter()
            .enumerate()
            .filter(|(_, library)| library.phase == LibraryPhase::Registered && library.sequence < before)
            .max_by_key(|(_, library)| library.sequence)
            .map(|(slot, library)| (slot as u32, library.generation, library.sequence))
    }
}
