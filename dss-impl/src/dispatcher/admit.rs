//! Admission: decides whether a delivery enters the queue, and makes room for it.

use std::time::{Duration, Instant};

use super::outstanding::discard;
use super::room::{Hindrance, coalesce, make_room};
use super::{Admission, Desk, Dispatcher, Intake, Phase};
use crate::biased::Guard;
use crate::capacity::{Capacity, Limits, Policy};
use crate::channel::ChannelId;
use crate::delivery::{Accepted, AcceptedMany, Announced, DeliverError, Delivery};
use crate::entrance::Entered;
use crate::handle::Handle;
use crate::item::Item;
use crate::library::Caller;
use crate::memory::{OutOfMemory, TryRoom};
use crate::outcome::Outcome;
use crate::port::Adapter;
use crate::queue::Queue;
use crate::sync::{Ordering, thread_id};
use crate::waiter::Waiter;

/// The two locks. The desk lock is only taken if it is needed.
struct Locks<'a> {
    intake: Entered<'a, Intake>,
    desk: Option<Guard<'a, Desk>>,
}

impl Dispatcher {
    /// Puts one item into the queue. If it is refused, `waiter` is left in place. `patient` allows it to wait for room.
    #[inline(always)] // a part of every deliver
    pub(super) fn admit(
        &self,
        handle: Handle,
        delivery: Delivery<'_>,
        waiter: &mut Option<Waiter>,
        patient: bool,
    ) -> Result<Accepted, DeliverError> {
        // A signal handler may deliver, and may have interrupted this very function.
        let Some(mut guard) = self.enter_intake() else { return Err(DeliverError::WouldDeadlock) };
        let intake = &mut *guard;
        // With room and without a key, there is nothing else to do. This is the common case; the others are not inlined.
        if intake.phase == Phase::Open
            && delivery.key.is_empty()
            && let Some(admission) = find(&mut intake.admissions, handle, delivery.revision)
            && let Some(capacity) = admission.channels.get(delivery.channel)
            && capacity.has_room(delivery.bytes)
        {
            let (items, last, awaited) = (&mut intake.items, &mut intake.sequence, &mut admission.awaited);
            return match push(items, last, awaited, capacity, handle.slot, &delivery, waiter) {
                Ok(sequence) => Ok(Accepted { sequence, announced: self.announce_arrival(guard) }),
                Err(error) => Err(count_refusal(intake, handle, &delivery, error.into())),
            };
        }
        drop(guard);
        self.admit_by_policy(handle, delivery, waiter, patient)
    }

    #[inline(never)]
    fn admit_by_policy(
        &self,
        handle: Handle,
        delivery: Delivery<'_>,
        waiter: &mut Option<Waiter>,
        patient: bool,
    ) -> Result<Accepted, DeliverError> {
        let mut evicted = Vec::new();
        let mut deadline = None;
        let mut locks = self.locks(false);
        let adapter = locks.adapter(handle);
        let result = loop {
            match self.enter(&mut locks, handle, &delivery, waiter, &mut evicted) {
                Ok(sequence) => break Ok(sequence),
                Err(Refusal::Desk) => {
                    drop(locks);
                    locks = self.locks(true);
                }
                // If some items already made room, a thread may be waiting for them to end. So this does not wait for more room.
                Err(Refusal::Refused(DeliverError::Full)) if patient && evicted.is_empty() => {
                    match self.await_room(locks, handle, &delivery, &mut deadline) {
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
                let error = count_refusal(&mut locks.intake, handle, &delivery, error);
                drop(locks.intake);
                Err(error)
            }
        };
        self.end_evicted(adapter, handle, evicted);
        result
    }

    /// Delivers several items under one lock, with at most one notification. It never waits for room. [any-thread]
    pub fn deliver_many(&self, handle: Handle, deliveries: &[Delivery<'_>]) -> AcceptedMany {
        let mut evicted = Vec::new();
        let mut accepted = AcceptedMany { taken: 0, first: 0, announced: Announced::Yes, refused: None };
        let mut locks = self.locks(false);
        let adapter = locks.adapter(handle);
        if deliveries.len() > 1 && locks.may_evict(handle, deliveries) {
            // Take the desk lock now, so that one lock is held from the first item to the last.
            drop(locks);
            locks = self.locks(true);
        }
        while let Some(delivery) = deliveries.get(accepted.taken) {
            match self.enter(&mut locks, handle, delivery, &mut None, &mut evicted) {
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
            for refused in &deliveries[accepted.taken..] {
                count_refusal(&mut locks.intake, handle, refused, error);
            }
        }
        if accepted.taken > 0 {
            accepted.announced = self.announce_arrival(locks.intake);
        } else {
            drop(locks.intake);
        }
        self.end_evicted(adapter, handle, evicted);
        accepted
    }

    /// Changes the limits of a channel of a library of that revision. Queued items stay. [any-thread]
    ///
    /// # Errors
    /// The handle is invalid, the library has no such channel, or there is no memory.
    pub fn limit(
        &self,
        handle: Handle,
        revision: u32,
        channel: ChannelId,
        limits: Limits,
    ) -> Result<(), DeliverError> {
        let mut locks = self.locks(true);
        let Locks { intake, desk } = &mut locks;
        let Intake { admissions, items, .. } = &mut **intake;
        let admission = find(admissions, handle, revision).ok_or(DeliverError::InvalidHandle)?;
        let capacity = admission.channels.get(channel).ok_or(DeliverError::InvalidChannel)?;
        let ahead = desk.iter().flat_map(|desk| desk.items.iter());
        let own = |item: &&Item| (u32::from(item.slot), item.channel) == (handle.slot, channel.index);
        capacity.change(limits, ahead.chain(items.iter()).filter(own))?;
        drop(locks);
        // A producer that waits for room checks the limits again.
        self.room.ring();
        Ok(())
    }

    fn locks(&self, both: bool) -> Locks<'_> {
        let desk = both.then(|| self.lock_desk());
        Locks { intake: self.intake.lock(), desk }
    }

    /// Puts one item into the queue, under the locks. Items that made room for it are moved to `evicted`.
    fn enter(
        &self,
        locks: &mut Locks<'_>,
        handle: Handle,
        delivery: &Delivery<'_>,
        waiter: &mut Option<Waiter>,
        evicted: &mut Vec<(Item, Outcome)>,
    ) -> Result<u64, Refusal> {
        let Locks { intake, desk } = locks;
        let Intake { admissions, items, phase, sequence: last, .. } = &mut **intake;
        let sequence = *last + 1;
        // The library is checked first: once a state has closed, none is registered.
        let Some(admission) = find(admissions, handle, delivery.revision) else {
            return Err(DeliverError::InvalidHandle.into());
        };
        if *phase != Phase::Open {
            return Err(DeliverError::Stopping.into());
        }
        let Admission { channels, evicting, awaited, .. } = admission;
        let Some(capacity) = channels.get(delivery.channel) else {
            return Err(DeliverError::InvalidChannel.into());
        };
        let mut ahead = desk.as_mut().map(|desk| &mut desk.items);
        let before = evicted.len();
        // Memory first: the items that leave the queue below have to be kept.
        evicting.try_room(1).map_err(DeliverError::from)?;
        let Delivery { payload, stamp, bytes, channel, key, .. } = *delivery;
        // An item that a thread waits for is not replaced.
        let key = if waiter.is_some() { &[] } else { key };
        let slot = handle.slot as u16;
        let item = Item { payload, stamp, waiter: None, sequence, slot, channel: channel.index, bytes };
        let room = match coalesce(capacity, items, &mut ahead, item, key, evicted) {
            Some(taken) => taken.map(|()| true),
            None => make_room(capacity, items, ahead, bytes, key, evicted).map(|()| false),
        };
        if evicted.len() > before {
            if before == 0 {
                evicting.push(thread_id());
            }
            *awaited -= evicted[before..].iter().filter(|(item, _)| item.waiter.is_some()).count();
            self.behind.store(items.len(), Ordering::Relaxed);
            if let Some(desk) = desk {
                self.ahead.store(desk.items.len(), Ordering::Relaxed);
            }
        }
        let replaced = room.map_err(|hindrance| match hindrance {
            Hindrance::Desk => Refusal::Desk,
            Hindrance::Full => Refusal::Refused(DeliverError::Full),
            Hindrance::TooLarge => Refusal::Refused(DeliverError::TooLarge),
            Hindrance::Memory => Refusal::Refused(DeliverError::OutOfMemory),
        })?;
        if replaced {
            *last = sequence;
            return Ok(sequence);
        }
        let delivery = Delivery { key, ..*delivery };
        push(items, last, awaited, capacity, handle.slot, &delivery, waiter)
            .map_err(|error| DeliverError::from(error).into())
    }

    /// Sleeps until there is room or the time is over. `[blocks]`
    fn await_room<'a>(
        &'a self,
        mut locks: Locks<'a>,
        handle: Handle,
        delivery: &Delivery<'_>,
        deadline: &mut Option<Instant>,
    ) -> Result<Locks<'a>, (Locks<'a>, DeliverError)> {
        let admission = locks.intake.admission(handle);
        let capacity = admission.and_then(|admission| admission.channels.get(delivery.channel));
        let Some((capacity, Policy::Wait(limit))) = capacity.map(|capacity| (&*capacity, capacity.policy()))
        else {
            return Err((locks, DeliverError::Full));
        };
        if self.on_lua_thread() {
            return Err((locks, DeliverError::WouldDeadlock));
        }
        if !capacity.wait_for_room(delivery.bytes) {
            return Ok(locks);
        }
        let left = match *deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => {
                // If the deadline is beyond what the clock can represent, there is none.
                *deadline = Instant::now().checked_add(limit);
                limit
            }
        };
        if left.is_zero() {
            return Err((locks, DeliverError::TimedOut));
        }
        let left = left.min(Duration::from_secs(3600));
        // The policy may have been different when the desk was needed.
        locks.desk = None;
        let heard = self.room.listen();
        drop(locks);
        self.room.sleep(heard, left);
        Ok(Locks { intake: self.intake.lock(), desk: None })
    }

    /// Ends the items that made room, as a call that [`Self::enter`] has recorded.
    fn end_evicted(
        &self,
        adapter: Option<&'static dyn Adapter>,
        handle: Handle,
        items: Vec<(Item, Outcome)>,
    ) {
        let Some(adapter) = adapter.filter(|_| !items.is_empty()) else { return };
        let _evicting = Evicting { dispatcher: self, handle };
        for (item, outcome) in items {
            discard(adapter, handle, item, outcome);
        }
    }
}

/// A call that ends the items that made room, recorded by [`Dispatcher::enter`]. Dropping this ends the call, even if an exception
/// leaves the library's code.
struct Evicting<'a> {
    dispatcher: &'a Dispatcher,
    handle: Handle,
}

impl Drop for Evicting<'_> {
    fn drop(&mut self) {
        let (me, slot) = (thread_id(), self.handle.slot);
        let mut intake = self.dispatcher.intake.lock();
        // The slot is still this library's: it is not given to another while a call is in it.
        let evicting = &mut intake.admissions[slot as usize].evicting;
        if let Some(at) = evicting.iter().position(|caller| *caller == me) {
            evicting.swap_remove(at);
            return;
        }
        drop(intake);
        // The library is leaving, and has this among its calls.
        self.dispatcher.leave(self.dispatcher.lock_desk(), slot, Caller::Thread(me));
    }
}

/// Why [`Dispatcher::enter`] did not take an item.
enum Refusal {
    /// It must be tried again with the desk locked.
    Desk,
    Refused(DeliverError),
}

impl From<DeliverError> for Refusal {
    fn from(error: DeliverError) -> Self {
        Refusal::Refused(error)
    }
}

impl Locks<'_> {
    fn adapter(&self, handle: Handle) -> Option<&'static dyn Adapter> {
        let admission = self.intake.admissions.get(handle.slot as usize)?;
        (admission.generation == handle.generation).then_some(admission.adapter)
    }

    /// Whether one of these deliveries may evict another item.
    fn may_evict(&mut self, handle: Handle, deliveries: &[Delivery<'_>]) -> bool {
        let Some(admission) = self.intake.admission(handle) else { return false };
        let mut policies =
            deliveries.iter().filter_map(|it| Some(admission.channels.get(it.channel)?.policy()));
        policies.any(|policy| matches!(policy, Policy::DropOldest | Policy::Latest))
    }
}

/// The admission of the library that `handle` names; None if it is not registered.
#[inline(always)] // a part of every deliver
fn registered(admissions: &mut [Admission], handle: Handle) -> Option<&mut Admission> {
    let admission = admissions.get_mut(handle.slot as usize)?;
    (admission.generation == handle.generation && admission.open).then_some(admission)
}

/// As [`registered`], if the library is of that revision. Another revision's adapter cannot read the payload.
#[inline(always)] // a part of every deliver
fn find(admissions: &mut [Admission], handle: Handle, revision: u32) -> Option<&mut Admission> {
    registered(admissions, handle).filter(|admission| admission.revision == revision)
}

impl Intake {
    /// The admission of the library that `handle` names; None if it is not registered.
    pub(super) fn admission(&mut self, handle: Handle) -> Option<&mut Admission> {
        registered(&mut self.admissions, handle)
    }

    /// As [`Self::admission`], if the library is of that revision.
    pub(super) fn admission_of(&mut self, handle: Handle, revision: u32) -> Option<&mut Admission> {
        find(&mut self.admissions, handle, revision)
    }
}

/// Appends an item to the queue, which has room. If there is no memory, `waiter` is left in place.
#[inline(always)] // a part of every deliver
fn push(
    items: &mut Queue<Item>,
    last: &mut u64,
    awaited: &mut usize,
    capacity: &mut Capacity,
    slot: u32,
    delivery: &Delivery<'_>,
    waiter: &mut Option<Waiter>,
) -> Result<u64, OutOfMemory> {
    let Delivery { payload, stamp, bytes, channel, key, .. } = *delivery;
    let sequence = *last + 1;
    let waits = usize::from(waiter.is_some());
    let slot = slot as u16;
    let noted = capacity.prepare(key)?;
    let item = Item { payload, stamp, waiter: waiter.take(), sequence, slot, channel: channel.index, bytes };
    if let Err(item) = items.push(item) {
        *waiter = item.waiter;
        return Err(OutOfMemory);
    }
    *last = sequence;
    *awaited += waits;
    capacity.enter(sequence, bytes, noted);
    Ok(sequence)
}

/// Counts a refused delivery, and returns the error for its caller.
#[cold]
pub(super) fn count_refusal(
    intake: &mut Intake,
    handle: Handle,
    delivery: &Delivery<'_>,
    error: DeliverError,
) -> DeliverError {
    let Some(admission) = intake.admission_of(handle, delivery.revision) else {
        return DeliverError::InvalidHandle;
    };
    match (error, admission.channels.get(delivery.channel)) {
        (DeliverError::TimedOut, Some(capacity)) => capacity.timed_out += 1,
        (_, capacity) => {
            admission.refused += 1;
            if let Some(capacity) = capacity {
                capacity.refused += 1;
            }
        }
    }
    error
}
