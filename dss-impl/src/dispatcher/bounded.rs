//! The way in for libraries that have a bound, and what happens at it.

use std::time::{Duration, Instant};

use super::room::{Hindrance, make_room, take_place};
use super::{Desk, Dispatcher, Intake, Phase};
use crate::adapter::Adapter;
use crate::biased::Guard;
use crate::boundary;
use crate::bounds::{Limits, Policy};
use crate::delivery::{Announced, Completion, DeliverError, Item, Outcome, Parcel, Waiter};
use crate::handle::Handle;
use crate::library::Caller;
use crate::sync::{Entered, Ordering, thread_id};

/// One item, as a library with a bound hands it over.
#[derive(Clone, Copy)]
pub struct Consignment<'a> {
    /// What it carries.
    pub parcel: Parcel,
    /// What it counts for the bound.
    pub bytes: u32,
    /// Which items are one, under [`Policy::Latest`]; empty for an item of its own.
    pub key: &'a [u8],
    /// Whether the adapter is told how it ended, by `Adapter::complete`.
    pub completes: bool,
}

/// What is said of an item that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The item's number in its state; never 0.
    pub sequence: u64,
    /// How it stands with the notification.
    pub announced: Announced,
}

/// What is said of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedMany {
    /// How many were taken, from the front.
    pub taken: usize,
    /// The number of the first, where one was; the others follow it without a gap.
    pub first: u64,
    /// How it stands with the notification.
    pub announced: Announced,
    /// Why the next was not.
    pub refused: Option<BoundedError>,
}

/// Why an item was not taken. Nothing of it was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundedError {
    /// As for libraries without a bound.
    Deliver(DeliverError),
    /// The library has as much queued as it may.
    Full,
    /// There was no room before the time was over.
    TimedOut,
    /// It alone is more than the library may have queued.
    TooLarge,
}

/// The two locks, the desk's where it is needed.
struct Locks<'a> {
    intake: Entered<'a, Intake>,
    desk: Option<Guard<'a, Desk>>,
}

impl Dispatcher {
    /// Hands over one item of a library that has a bound. [any-thread] `[blocks]` at the bound under [`Policy::Wait`], where
    /// `patient`
    ///
    /// # Errors
    /// Nothing was taken, and nothing of the parcel was touched.
    #[inline]
    pub fn deliver_bounded(
        &self,
        handle: Handle,
        consignment: Consignment<'_>,
        patient: bool,
    ) -> Result<Accepted, BoundedError> {
        if let Some(accepted) = self.enter_at_once(handle, &consignment) {
            return Ok(accepted);
        }
        self.enter_by_policy(handle, consignment, patient)
    }

    /// Puts one item into the queue, where there is room and nothing else to see to. That is the rule, and the rest is apart.
    #[inline]
    fn enter_at_once(&self, handle: Handle, consignment: &Consignment<'_>) -> Option<Accepted> {
        let Consignment { parcel, bytes, key, completes } = *consignment;
        if completes || !key.is_empty() {
            return None;
        }
        let mut guard = self.intake.lock();
        let intake = &mut *guard;
        let door = intake.doors.get_mut(handle.slot as usize)?;
        if door.generation != handle.generation || !door.open || intake.phase != Phase::Open {
            return None;
        }
        let bound = door.bound.as_mut().filter(|bound| bound.has_room(bytes))?;
        let sequence = intake.sequence + 1;
        intake.items.push(Item { parcel, waiter: None, sequence, slot: handle.slot, bytes }).ok()?;
        intake.sequence = sequence;
        bound.enter(sequence, bytes, &[]);
        Some(Accepted { sequence, announced: self.announce_arrival(guard) })
    }

    #[inline(never)]
    fn enter_by_policy(
        &self,
        handle: Handle,
        consignment: Consignment<'_>,
        patient: bool,
    ) -> Result<Accepted, BoundedError> {
        let mut displaced = Vec::new();
        let mut deadline = None;
        let mut locks = self.locks(false);
        let adapter = locks.adapter(handle);
        let result = loop {
            match self.enter(&mut locks, handle, &consignment, &mut displaced) {
                Ok(sequence) => break Ok(sequence),
                Err(Refusal::Desk) => {
                    drop(locks);
                    locks = self.locks(true);
                }
                // Not with items in hand that made room: whoever waits for those is not made to wait for this.
                Err(Refusal::Refused(BoundedError::Full)) if patient && displaced.is_empty() => {
                    match self.await_room(locks, handle, consignment.bytes, &mut deadline) {
                        Ok(again) => locks = again,
                        Err((again, error)) => {
                            locks = again;
                            break Err(error);
                        }
                    }
                }
                Err(Refusal::Refused(error)) => break Err(error),
            }
        };
        drop(locks.desk);
        let result = match result {
            Ok(sequence) => Ok(Accepted { sequence, announced: self.announce_arrival(locks.intake) }),
            Err(error) => {
                count_refusal(&mut locks.intake, handle, error, 1);
                drop(locks.intake);
                Err(error)
            }
        };
        self.end_displaced(adapter, handle, displaced);
        result
    }

    /// Hands over some items under one lock, with at most one notification. Under [`Policy::Wait`] what does not fit is
    /// refused. [any-thread]
    pub fn deliver_many(&self, handle: Handle, consignments: &[Consignment<'_>]) -> AcceptedMany {
        let mut displaced = Vec::new();
        let mut accepted = AcceptedMany { taken: 0, first: 0, announced: Announced::Yes, refused: None };
        let mut locks = self.locks(false);
        let adapter = locks.adapter(handle);
        if consignments.len() > 1 && locks.may_displace(handle) {
            // So that it is one lock from the first to the last.
            drop(locks);
            locks = self.locks(true);
        }
        while let Some(consignment) = consignments.get(accepted.taken) {
            match self.enter(&mut locks, handle, consignment, &mut displaced) {
                Ok(sequence) => {
                    if accepted.taken == 0 {
                        accepted.first = sequence;
                    }
                    accepted.taken += 1;
                }
                Err(Refusal::Desk) => {
                    drop(locks);
                    locks = self.locks(true);
                }
                Err(Refusal::Refused(error)) => {
                    accepted.refused = Some(error);
                    break;
                }
            }
        }
        drop(locks.desk);
        if let Some(error) = accepted.refused {
            let refused = consignments.len() - accepted.taken;
            count_refusal(&mut locks.intake, handle, error, refused as u64);
        }
        if accepted.taken > 0 {
            accepted.announced = self.announce_arrival(locks.intake);
        } else {
            drop(locks.intake);
        }
        self.end_displaced(adapter, handle, displaced);
        accepted
    }

    /// Sets a library's bounds anew; what is queued stays. [any-thread]
    ///
    /// # Errors
    /// The handle names no library that has bounds.
    pub fn limit(&self, handle: Handle, limits: Limits) -> Result<(), DeliverError> {
        let mut locks = self.locks(true);
        let Locks { intake, desk } = &mut locks;
        let Intake { doors, items, .. } = &mut **intake;
        let bound = doors
            .get_mut(handle.slot as usize)
            .filter(|door| door.generation == handle.generation && door.open)
            .and_then(|door| door.bound.as_mut())
            .ok_or(DeliverError::InvalidHandle)?;
        let ahead = desk.iter().flat_map(|desk| desk.items.iter());
        let queued = ahead.chain(items.iter()).filter(|item| item.slot == handle.slot);
        bound.change(limits, queued.map(|item| item.sequence));
        drop(locks);
        // Who waits looks at what it is now.
        self.room.ring();
        Ok(())
    }

    fn locks(&self, both: bool) -> Locks<'_> {
        let desk = both.then(|| self.lock_desk());
        Locks { intake: self.intake.lock(), desk }
    }

    /// Puts one item into the queue, under the locks; what makes room for it goes to `displaced`.
    fn enter(
        &self,
        locks: &mut Locks<'_>,
        handle: Handle,
        consignment: &Consignment<'_>,
        displaced: &mut Vec<(Item, Outcome)>,
    ) -> Result<u64, Refusal> {
        let Locks { intake, desk } = locks;
        let intake = &mut **intake;
        let Some(door) = intake
            .doors
            .get_mut(handle.slot as usize)
            .filter(|door| door.generation == handle.generation && door.open)
        else {
            return Err(DeliverError::InvalidHandle.into());
        };
        if intake.phase != Phase::Open {
            return Err(DeliverError::Stopping.into());
        }
        let Some(bound) = door.bound.as_mut() else { return Err(DeliverError::InvalidHandle.into()) };
        let mut ahead = desk.as_mut().map(|desk| &mut desk.items);
        let before = displaced.len();
        let Consignment { parcel, bytes, key, completes } = *consignment;
        // What somebody waits for is not replaced.
        let key = if completes { &[] } else { key };
        let sequence = intake.sequence + 1;
        let item = Item { parcel, waiter: None, sequence, slot: handle.slot, bytes };
        let room = match take_place(bound, &mut intake.items, &mut ahead, item, key, displaced) {
            Some(taken) => taken.map(|()| true),
            None => make_room(bound, &mut intake.items, ahead, bytes, key, displaced).map(|()| false),
        };
        if displaced.len() > before {
            if before == 0 {
                door.displacing.push(thread_id());
            }
            door.awaited -= displaced[before..].iter().filter(|(item, _)| item.waiter.is_some()).count();
            self.behind.store(intake.items.len(), Ordering::Relaxed);
            if let Some(desk) = desk {
                self.ahead.store(desk.items.len(), Ordering::Relaxed);
            }
        }
        let entered = room.map_err(|hindrance| match hindrance {
            Hindrance::Desk => Refusal::Desk,
            Hindrance::Full => Refusal::Refused(BoundedError::Full),
            Hindrance::TooLarge => Refusal::Refused(BoundedError::TooLarge),
        })?;
        if entered {
            intake.sequence = sequence;
            return Ok(sequence);
        }
        let completion = Completion { adapter: door.adapter, parcel };
        let waiter =
            completes.then(|| Waiter::completing(completion)).transpose().map_err(DeliverError::from)?;
        let item = Item { parcel, waiter, sequence, slot: handle.slot, bytes };
        if let Err(item) = intake.items.push(item) {
            if let Some(waiter) = item.waiter {
                waiter.disarm();
            }
            return Err(DeliverError::OutOfMemory.into());
        }
        intake.sequence = sequence;
        door.awaited += usize::from(completes);
        bound.enter(sequence, bytes, key);
        Ok(sequence)
    }

    /// Sleeps until there is room, or the time is over. `[blocks]`
    fn await_room<'a>(
        &'a self,
        mut locks: Locks<'a>,
        handle: Handle,
        bytes: u32,
        deadline: &mut Option<Instant>,
    ) -> Result<Locks<'a>, (Locks<'a>, BoundedError)> {
        let bound = locks.intake.doors.get(handle.slot as usize).and_then(|door| door.bound.as_ref());
        let Some((bound, Policy::Wait(limit))) = bound.map(|bound| (bound, bound.limits.policy)) else {
            return Err((locks, BoundedError::Full));
        };
        if self.on_lua_thread() {
            return Err((locks, BoundedError::Deliver(DeliverError::WouldDeadlock)));
        }
        if !bound.wait_for_room(bytes) {
            return Ok(locks);
        }
        let left = match *deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => {
                // A time that no clock reaches is none.
                *deadline = Instant::now().checked_add(limit);
                limit
            }
        };
        if left.is_zero() {
            return Err((locks, BoundedError::TimedOut));
        }
        let left = left.min(Duration::from_secs(3600));
        // The policy may have been another when the desk was needed.
        locks.desk = None;
        let heard = self.room.listen();
        drop(locks);
        self.room.sleep(heard, left);
        Ok(Locks { intake: self.intake.lock(), desk: None })
    }

    /// Ends what made room, in calls that [`Self::enter`] has noted at the door.
    fn end_displaced(
        &self,
        adapter: Option<&'static dyn Adapter>,
        handle: Handle,
        items: Vec<(Item, Outcome)>,
    ) {
        let Some(adapter) = adapter.filter(|_| !items.is_empty()) else { return };
        self.discard(adapter, handle, items);
        let me = thread_id();
        let mut intake = self.intake.lock();
        // The library's door still: its slot is not given to another while a call is in it.
        let displacing = &mut intake.doors[handle.slot as usize].displacing;
        if let Some(at) = displacing.iter().position(|caller| *caller == me) {
            displacing.swap_remove(at);
            return;
        }
        drop(intake);
        // The library leaves, and has it among its calls.
        self.leave(self.lock_desk(), handle.slot, Caller::Thread(me));
    }

    /// Ends what was taken out of the queue, with no lock held.
    pub(super) fn discard(&self, adapter: &'static dyn Adapter, handle: Handle, items: Vec<(Item, Outcome)>) {
        for (item, outcome) in items {
            boundary::cancel_queued(adapter, handle, &item.parcel, item.waiter.is_some());
            if let Some(waiter) = item.waiter {
                waiter.release(outcome);
            }
        }
    }
}

/// Why [`Dispatcher::enter`] did not take an item.
enum Refusal {
    /// It must be tried again with the desk locked.
    Desk,
    Refused(BoundedError),
}

impl From<DeliverError> for Refusal {
    fn from(error: DeliverError) -> Self {
        Refusal::Refused(BoundedError::Deliver(error))
    }
}

impl Locks<'_> {
    fn adapter(&self, handle: Handle) -> Option<&'static dyn Adapter> {
        let door = self.intake.doors.get(handle.slot as usize)?;
        (door.generation == handle.generation).then_some(door.adapter)
    }

    /// Whether one item may have to make room for another.
    fn may_displace(&self, handle: Handle) -> bool {
        let bound = self.intake.doors.get(handle.slot as usize).and_then(|door| door.bound.as_ref());
        bound.is_some_and(|bound| matches!(bound.limits.policy, Policy::DropOldest | Policy::Latest))
    }
}

/// Counts what was refused, where the library is one still.
fn count_refusal(intake: &mut Intake, handle: Handle, error: BoundedError, items: u64) {
    let door = intake.doors.get_mut(handle.slot as usize);
    if let Some(door) = door.filter(|door| door.generation == handle.generation && door.open) {
        match (&mut door.bound, error) {
            (Some(bound), BoundedError::TimedOut) => bound.timed_out += items,
            _ => door.refused += items,
        }
    }
}
