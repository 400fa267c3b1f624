//! A library that is registered in a Lua state.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;

use abi_stable::std_types::{ROption, RSlice};

use crate::any::Value;
use crate::callback::Callback;
use crate::contract::{Accepted, Code, RawDelivery, ServiceObject, ENDED_CANCELLED};
use crate::error::{DeliverError, LibraryError, Refused};
use crate::limits::Limits;
use crate::value::RawValue;
use crate::values::{IntoValues, Values};

/// A library that is registered in one Lua state. Any thread may keep, copy and use it; once the library is unregistered,
/// or the state is closed, every use of it is refused.
#[derive(Clone, Copy)]
pub struct Library {
    pub(crate) service: &'static ServiceObject,
    pub(crate) handle: usize,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Library({:#x})", self.handle)
    }
}

impl PartialEq for Library {
    fn eq(&self, other: &Self) -> bool {
        self.handle == other.handle && std::ptr::eq(self.service, other.service)
    }
}

impl Eq for Library {}

impl Hash for Library {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.handle.hash(state);
    }
}

/// A delivery that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Its name, for [`Library::cancel`].
    pub ticket: Ticket,
    /// Whether Lua hears of it. Where not, the notification could not be sent; the next delivery will try again.
    pub announced: bool,
}

/// The name of a delivery or a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

/// A batch: how much of it was taken, and the rest.
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "what was not taken is in here"]
pub struct DeliveredMany {
    /// How many were taken, from the front.
    pub taken: usize,
    /// The names of those.
    pub tickets: Vec<Ticket>,
    /// As [`Delivered::announced`].
    pub announced: bool,
    /// Why no more were.
    pub refused: Option<DeliverError>,
    /// Those that were not, each with its values as they were.
    pub rest: Vec<(Callback, Vec<Value>)>,
}

impl Library {
    /// A handle as DSS gave it; for tests of this layer.
    #[doc(hidden)]
    #[must_use]
    pub fn new(service: &'static ServiceObject, handle: usize) -> Self {
        Library { service, handle }
    }

    /// Hands over values for a Lua function, and returns at once; Lua calls it with them when it has time. [any-thread]
    /// `[blocks]` at the bound, under [`Policy::Wait`](crate::Policy::Wait); [`Self::deliver_async`] waits there without a thread
    ///
    /// What this returns has the [`Ticket`] by which [`Self::cancel`] takes it back.
    ///
    /// # Errors
    /// [`Refused`] gives the values back, with the reason.
    #[inline]
    pub fn deliver<V: IntoValues>(&self, callback: &Callback, values: V) -> Result<Delivered, Refused> {
        let _ = V::IS_NOTHING;
        self.deliver_raw(callback, &[], values)
    }

    /// As [`Self::deliver`], of an item that takes the place of the queued one with the same callback and key, under
    /// [`Policy::Latest`](crate::Policy::Latest). Under another policy, or with an empty key, it is an item of its own.
    /// [any-thread] `[blocks]` at the bound, under [`Policy::Wait`](crate::Policy::Wait)
    ///
    /// # Errors
    /// As [`Self::deliver`].
    pub fn deliver_keyed<K: AsRef<[u8]>, V: IntoValues>(
        &self,
        callback: &Callback,
        key: K,
        values: V,
    ) -> Result<Delivered, Refused> {
        let _ = V::IS_NOTHING;
        self.deliver_raw(callback, key.as_ref(), values)
    }

    #[inline]
    fn deliver_raw(
        &self,
        callback: &Callback,
        key: &[u8],
        values: impl IntoValues,
    ) -> Result<Delivered, Refused> {
        let accepted = self.hand_over(callback, key, values, |delivery| {
            self.service.deliver(self.handle, delivery).into_result()
        })?;
        Ok(Delivered { ticket: Ticket(accepted.ticket), announced: accepted.announced })
    }

    /// Makes the values ready and hands them to `deliver`, which takes them or leaves them.
    #[inline]
    pub(crate) fn hand_over(
        &self,
        callback: &Callback,
        key: &[u8],
        values: impl IntoValues,
        deliver: impl FnOnce(RawDelivery<'_>) -> Result<Accepted, Code>,
    ) -> Result<Accepted, Refused> {
        let mut held = Values::new(self.service);
        values.into_values(&mut held);
        if let Some(error) = held.take_error() {
            return Err(Refused { reason: DeliverError::Value(error), values: held.into_again() });
        }
        let delivery = RawDelivery {
            callback: callback.id_with(self.service),
            values: held.as_mut_ptr(),
            count: held.len(),
            key: RSlice::from_slice(key),
        };
        match deliver(delivery) {
            Ok(accepted) => {
                held.taken();
                Ok(accepted)
            }
            Err(code) => Err(Refused { reason: code.into(), values: held.into_again() }),
        }
    }

    /// Hands over a batch, under one lock and with one notification at most. What does not fit is not waited for.
    /// [any-thread]
    ///
    /// ```no_run
    /// # fn example(library: dss_abi_v2::Library, callback: dss_abi_v2::Callback) {
    /// let lines = ["one", "two", "three"];
    /// let done = library.deliver_many(lines.iter().enumerate().map(|(at, line)| (&callback, (at + 1, *line))));
    /// if let Some(reason) = done.refused {
    ///     eprintln!("{} of {} lines were taken: {}", done.taken, lines.len(), reason);
    /// }
    /// # }
    /// ```
    pub fn deliver_many<'c, V: IntoValues>(
        &self,
        items: impl IntoIterator<Item = (&'c Callback, V)>,
    ) -> DeliveredMany {
        let _ = V::IS_NOTHING;
        let mut raw: Vec<ManuallyDrop<RawValue>> = Vec::new();
        let mut batch: Vec<(&Callback, usize)> = Vec::new();
        let mut unready: Option<DeliverError> = None;
        let mut rest: Vec<(Callback, Vec<Value>)> = Vec::new();
        for (callback, values) in items {
            let mut held = Values::new(self.service);
            values.into_values(&mut held);
            let error = held.take_error();
            if error.is_some() || unready.is_some() {
                unready = unready.or_else(|| error.map(DeliverError::Value));
                rest.push((callback.clone(), held.into_again()));
            } else {
                batch.push((callback, held.len()));
                held.append_to(&mut raw);
            }
        }
        let mut values = raw.as_mut_slice();
        let mut deliveries = Vec::with_capacity(batch.len());
        for (callback, count) in &batch {
            let (these, others) = std::mem::take(&mut values).split_at_mut(*count);
            values = others;
            deliveries.push(RawDelivery {
                callback: callback.id_with(self.service),
                values: these.as_mut_ptr(),
                count: *count,
                key: RSlice::EMPTY,
            });
        }
        let accepted = self.service.deliver_many(self.handle, RSlice::from_slice(&deliveries));
        // What was taken is DSS's, and `raw` forgets it; what was not is taken out of it again.
        let taken = accepted.taken.min(batch.len());
        let given: usize = batch[..taken].iter().map(|(_, count)| count).sum();
        let mut left = raw.into_iter().skip(given).map(ManuallyDrop::into_inner);
        let mut back: Vec<(Callback, Vec<Value>)> = Vec::with_capacity(batch.len() - taken + rest.len());
        for (callback, count) in &batch[taken..] {
            let values = left.by_ref().take(*count).map(|value| crate::any::again(value, self.service));
            back.push(((*callback).clone(), values.collect()));
        }
        back.append(&mut rest);
        let refused = match accepted.refused {
            ROption::RSome(code) => Some(code.into()),
            ROption::RNone => unready,
        };
        DeliveredMany {
            taken,
            tickets: (0..taken).map(|at| Ticket(accepted.first + at as u64)).collect(),
            announced: accepted.announced,
            refused,
            rest: back,
        }
    }

    /// Cancels a delivery that is queued, or a request that has no answer yet; false where it was too late. [any-thread]
    pub fn cancel(&self, ticket: Ticket) -> bool {
        self.end(ticket, ENDED_CANCELLED, false)
    }

    /// Cancels all that is queued for a callback, and all its requests that have no answer yet; how many that were. What is
    /// delivered to it from now on is not cancelled. [any-thread]
    pub fn cancel_all(&self, callback: &Callback) -> usize {
        self.service.end_all(self.handle, callback.id_with(self.service), ENDED_CANCELLED)
    }

    pub(crate) fn end(&self, ticket: Ticket, ended: u32, queued_only: bool) -> bool {
        self.service.end(self.handle, ticket.0, ended, queued_only)
    }

    /// Sets the bounds anew. [any-thread]
    ///
    /// # Errors
    /// The library is not registered any more, or the limits have no room for an item.
    pub fn limit(&self, limits: Limits) -> Result<(), LibraryError> {
        self.service.limit(self.handle, limits.raw()).into_result().map_err(LibraryError::from)
    }

    /// Says whether `run()` goes on while the library is registered; it does as well while something [holds](Self::hold) it.
    /// [any-thread]
    ///
    /// # Errors
    /// The library is not registered any more.
    pub fn keep_alive(&self, keeps: bool) -> Result<(), LibraryError> {
        self.service.keep_alive(self.handle, keeps).into_result().map_err(LibraryError::from)
    }

    /// Whether this thread is the Lua thread of the library's state, on which nothing may wait for Lua. [any-thread]
    #[must_use]
    pub fn on_lua_thread(&self) -> bool {
        self.service.on_lua_thread(self.handle)
    }

    /// Unregisters the library from that state: all that it has queued or waiting is cancelled, and when this returns none
    /// of its code runs any more for that state, except calls that this thread stands in, and `close` and its thread while the
    /// state closes. [any-thread] `[blocks]` while another thread is in its code
    ///
    /// # Errors
    /// It is not registered any more, or another thread is at it.
    pub fn unregister(&self) -> Result<(), LibraryError> {
        self.service.unregister(self.handle).into_result().map_err(LibraryError::from)
    }
}
