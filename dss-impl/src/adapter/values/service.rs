//! How libraries call the core. Each revision's own service translates its calls into these.

use super::adapter;
use super::packed::Packed;
use super::push;
use super::record::{Record, RequestPart};
use super::wire::{Plain, Wire};
use crate::callbacks::CallbackId;
use crate::channel::ChannelId;
use crate::delivery::{Accepted, AcceptedMany, DeliverError, Delivery};
use crate::dispatcher::Dispatcher;
use crate::handle::Handle;
use crate::memory::{TryRoom, try_box};
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::states;

/// Why a library's call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The dispatcher refused it.
    Deliver(DeliverError),
    /// The callback is dead, or belongs to another state.
    InvalidCallback,
    /// Values are nested too deep.
    TooDeep,
    /// A value has an invalid kind.
    Malformed,
    /// Lua owns the object already, or the library does not list its class.
    NotYours,
}

impl Refused {
    pub(super) const TOO_LARGE: Refused = Refused::Deliver(DeliverError::TooLarge);
}

impl From<DeliverError> for Refused {
    fn from(error: DeliverError) -> Self {
        Refused::Deliver(error)
    }
}

/// One delivery, as a library hands it over.
pub(crate) struct Given<'a, S> {
    /// The function's number.
    pub(crate) callback: u64,
    /// Its arguments.
    pub(crate) values: S,
    /// The library's channel.
    pub(crate) channel: ChannelId,
    /// Deliveries to this callback with the same key replace each other. Empty for none.
    pub(crate) key: &'a [u8],
}

/// The values of a delivery, as its library hands them over. If the delivery is refused, the library keeps them.
pub(crate) trait Source<W: Wire> {
    /// How many there are.
    fn count(&self) -> usize;

    /// The value at `at`, which is below the count, if it is plain.
    fn plain(&self, at: usize) -> Option<Plain>;

    /// Writes all of them. If one is refused, there is nothing to drop.
    ///
    /// # Safety
    /// There is room at `to` for all of them. If the delivery is refused later, [`Self::give_back`] gets what was written.
    unsafe fn write(&self, to: *mut W::Value) -> Result<(), Refused>;

    /// Drops values that were written and not taken, but leaves to the library what it still owns.
    ///
    /// # Safety
    /// [`Self::write`] wrote them, and they are not used again.
    unsafe fn give_back(values: &mut [W::Value]);
}

/// A batch, and how much of it could be prepared.
pub(crate) struct Batch {
    /// The dispatcher's answer.
    pub(crate) accepted: AcceptedMany,
    /// Why the first delivery that was not prepared was refused.
    pub(crate) refused: Option<Refused>,
}

/// The dispatcher that a handle names.
#[inline]
pub(crate) fn dispatcher(handle: usize) -> Result<(&'static Dispatcher, Handle), Refused> {
    let handle = Handle::from_raw(handle);
    let found = states::dispatcher_of(handle).map(|dispatcher| (dispatcher, handle));
    found.ok_or(Refused::Deliver(DeliverError::InvalidHandle))
}

/// The same, if a library of this wire's revision is registered under that handle. [any-thread]
pub(crate) fn own<W: Wire>(handle: usize) -> Result<(&'static Dispatcher, Handle), Refused> {
    let (dispatcher, handle) = dispatcher(handle)?;
    if dispatcher.has_of_revision(handle, W::NUMBER) {
        return Ok((dispatcher, handle));
    }
    Err(DeliverError::InvalidHandle.into())
}

/// Prepares a delivery, without its key. The library owns its values until it is accepted.
#[inline(always)] // otherwise the caller reloads a result that was just written in parts, and stalls
fn prepare<W: Wire, S: Source<W>>(
    given: &Given<'_, S>,
    dispatcher: &'static Dispatcher,
    request: Option<Box<RequestPart<W>>>,
) -> Result<Delivery<'static>, Refused> {
    let id = CallbackId::from_raw(given.callback);
    let callback = dispatcher.retain(id).ok_or(Refused::InvalidCallback)?;
    let count = given.values.count();
    if request.is_none()
        && let Some(payload) = Packed::pack(id, &given.values)
    {
        // The payload owns the reference from here on.
        let _ = callback.into_raw();
        return Ok(ready(given, dispatcher, payload, (count * size_of::<W::Value>()) as u32));
    }
    let payload = Record::<W>::allocate(&dispatcher.spares, given.callback, count, request)
        .ok_or(DeliverError::OutOfMemory)?;
    // SAFETY: it has room for all of them, and what is refused below is given back.
    if let Err(refused) = unsafe { given.values.write(Record::<W>::values_of(&payload)) } {
        // SAFETY: it was made for this call. This function still owns the callback's reference.
        drop(unsafe { Record::<W>::free(&payload, None) });
        return Err(refused);
    }
    // The record owns the reference from here on.
    let _ = callback.into_raw();
    // SAFETY: all of its values were written.
    let record = unsafe { Record::<W>::of(&payload) };
    match push::measure::<W>(record.values, dispatcher) {
        Ok(bytes) => Ok(ready::<W, S>(given, dispatcher, payload, bytes)),
        Err(refused) => {
            take_back::<W, S>(&payload, given.callback);
            Err(refused)
        }
    }
}

/// A delivery of that payload, without its key.
#[inline(always)] // as above
fn ready<W: Wire, S: Source<W>>(
    given: &Given<'_, S>,
    dispatcher: &Dispatcher,
    payload: Payload,
    bytes: u32,
) -> Delivery<'static> {
    let (stamp, channel) = (dispatcher.stamp(), given.channel);
    Delivery { revision: W::NUMBER, payload, stamp, bytes, channel, key: &[] }
}

/// Takes back a payload that was refused. The library keeps its values.
#[cold]
fn take_back<W: Wire, S: Source<W>>(payload: &Payload, callback: u64) {
    states::release_callback(CallbackId::from_raw(callback));
    if Packed::of(payload).is_some() {
        return;
    }
    // SAFETY: it was made for this call, and not accepted.
    let record = unsafe { Record::<W>::of(payload) };
    // SAFETY: `prepare` had them written.
    unsafe { S::give_back(record.values) };
    // SAFETY: as above.
    drop(unsafe { Record::<W>::free(payload, None) });
}

/// The key of a delivery within the library: each callback has its own keys. Empty if there is none.
#[inline]
fn key<S>(given: &Given<'_, S>) -> Result<Vec<u8>, Refused> {
    let mut key = Vec::new();
    if !given.key.is_empty() {
        let callback = given.callback.to_ne_bytes();
        key.try_room_exact(callback.len() + given.key.len()).map_err(DeliverError::from)?;
        key.extend_from_slice(&callback);
        key.extend_from_slice(given.key);
    }
    Ok(key)
}

/// Hands over one delivery. [any-thread] `[blocks]` if the library's policy is to wait for room
#[inline]
pub(crate) fn deliver<W: Wire, S: Source<W>>(
    handle: usize,
    given: Given<'_, S>,
) -> Result<Accepted, Refused> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let delivery =
        prepare::<W, S>(&given, dispatcher, None).inspect_err(|_| dispatcher.count_refused(handle, 1))?;
    let accepted = if given.key.is_empty() {
        dispatcher.deliver(handle, delivery)
    } else {
        deliver_keyed(dispatcher, handle, &given, delivery)
    };
    accepted.map_err(|error| {
        take_back::<W, S>(&delivery.payload, given.callback);
        error.into()
    })
}

/// [`Dispatcher::deliver`] with a key. It is separate so that the path without a key stays short.
#[inline(never)]
fn deliver_keyed<S>(
    dispatcher: &Dispatcher,
    handle: Handle,
    given: &Given<'_, S>,
    delivery: Delivery<'_>,
) -> Result<Accepted, DeliverError> {
    let Ok(key) = key(given) else {
        dispatcher.count_refused(handle, 1);
        return Err(DeliverError::OutOfMemory);
    };
    dispatcher.deliver(handle, Delivery { key: &key, ..delivery })
}

/// Hands over several deliveries under one lock. The batch ends at the first that could not be read or prepared. [any-thread]
pub(crate) fn deliver_many<'a, W: Wire, S: Source<W>>(
    handle: usize,
    all: impl ExactSizeIterator<Item = Result<Given<'a, S>, Refused>>,
) -> Result<Batch, Refused> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let count = all.len();
    let mut ready = Vec::new();
    let mut deliveries = Vec::new();
    let mut refused = None;
    for given in all {
        if let Err(why) = given.and_then(|given| prepare_next::<W, S>(&given, dispatcher, &mut ready)) {
            refused = Some(why);
            break;
        }
    }
    if deliveries.try_room_exact(ready.len()).is_ok() {
        deliveries.extend(ready.iter().map(|(delivery, key, _)| Delivery { key, ..*delivery }));
    } else {
        // None of them is handed over.
        refused = Some(DeliverError::OutOfMemory.into());
    }
    let accepted = dispatcher.deliver_many(handle, &deliveries);
    if refused.is_some() {
        dispatcher.count_refused(handle, (count - deliveries.len()) as u64);
    }
    for (delivery, _, callback) in ready.iter().skip(accepted.taken) {
        take_back::<W, S>(&delivery.payload, *callback);
    }
    Ok(Batch { refused: accepted.refused.map(Refused::from).or(refused), accepted })
}

/// Prepares the next delivery of a batch, with its key and its callback.
fn prepare_next<W: Wire, S: Source<W>>(
    given: &Given<'_, S>,
    dispatcher: &'static Dispatcher,
    ready: &mut Vec<(Delivery<'static>, Vec<u8>, u64)>,
) -> Result<(), Refused> {
    // Reserve room first, because what is prepared has to be kept. Not for all at once: the count may be wrong.
    ready.try_room(1).map_err(DeliverError::from)?;
    let key = key(given)?;
    let delivery = prepare::<W, S>(given, dispatcher, None)?;
    ready.push((delivery, key, given.callback));
    Ok(())
}

/// Hands over a request. [any-thread]
pub(crate) fn request<W: Wire, S: Source<W>>(
    handle: usize,
    given: Given<'_, S>,
    completion: W::Completion,
) -> Result<Accepted, Refused> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let part =
        try_box(RequestPart { completion, answer: None }).map_err(|error| DeliverError::from(error).into());
    let delivery = part
        .and_then(|part| prepare::<W, S>(&given, dispatcher, Some(part)))
        .inspect_err(|_| dispatcher.count_refused(handle, 1))?;
    dispatcher.request(handle, delivery, adapter::<W>()).map_err(|error| {
        take_back::<W, S>(&delivery.payload, given.callback);
        error.into()
    })
}

/// Ends all items of a library for one callback, and returns how many there were. [any-thread]
pub(crate) fn end_all<W: Wire>(handle: usize, callback: u64, outcome: Outcome) -> usize {
    let callback = CallbackId::from_raw(callback);
    let ended = dispatcher(handle).map(|(dispatcher, handle)| {
        dispatcher.end_all(handle, W::NUMBER, outcome, |payload| {
            match Packed::of(payload) {
                Some(packed) => packed.callback(handle.dispatcher) == callback,
                // SAFETY: the dispatcher calls this only with payloads of a library of this revision that have not ended.
                None => unsafe { Record::<W>::callback_of(payload) == callback },
            }
        })
    });
    ended.unwrap_or(0)
}
