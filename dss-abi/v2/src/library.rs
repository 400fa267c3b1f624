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

/// A library that is registered in one Lua state. It is the first parameter of each of your functions.
///
/// Any thread may keep, copy and use it. When the library is unregistered or the state is closed, every later use is
/// refused.
///
/// ```
/// use dss_abi_v2::{Callback, Library, Result};
///
/// fn count(library: &Library, to: u32, callback: Callback) -> Result<()> {
///     let library = *library; // a copy for the thread
///     std::thread::Builder::new().spawn(move || {
///         for number in 1..=to {
///             if library.deliver(&callback, number).is_err() {
///                 break; // the library is unregistered, or the state has closed
///             }
///         }
///     })?;
///     Ok(())
/// }
/// ```
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

/// A delivery that DSS accepted.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # use dss_abi_v2::testing::TestState;
/// # let state = TestState::new();
/// # let (library, callback) = (state.library(), state.callback());
/// let delivered = library.deliver(&callback, "hello").unwrap();
/// assert!(delivered.announced);
/// assert!(library.cancel(delivered.ticket));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// Identifies the delivery, for [`Library::cancel`].
    pub ticket: Ticket,
    /// Whether the notification for Lua was sent, or none is needed. If it is false, the next delivery tries again.
    pub announced: bool,
}

/// Identifies a delivery or a request, for [`Library::cancel`]. [`Delivered::ticket`] and
/// [`Request::ticket`](crate::Request::ticket) give it.
///
/// ```
/// use dss_abi_v2::{Callback, Library, Refused, Ticket};
///
/// /// Replaces the last delivery, if Lua has not taken it.
/// fn replace(library: &Library, callback: &Callback, last: Ticket, text: &str) -> Result<Ticket, Refused> {
///     library.cancel(last);
///     Ok(library.deliver(callback, text)?.ticket)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

/// The result of [`Library::deliver_many`]: how many deliveries DSS accepted, and the rest.
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # use dss_abi_v2::{testing::TestState, DeliverError, Value};
/// # let state = TestState::new();
/// # let (library, callback) = (state.library(), state.callback());
/// state.refuse(DeliverError::Full);
/// let done = library.deliver_many([(&callback, "one"), (&callback, "two")]);
/// assert_eq!((done.taken, done.refused), (0, Some(DeliverError::Full)));
/// assert_eq!(done.rest[1], (callback, vec![Value::from("two")]));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "what was not taken is in here"]
pub struct DeliveredMany {
    /// How many deliveries DSS accepted. They are the first ones.
    pub taken: usize,
    /// The tickets of the accepted deliveries.
    pub tickets: Vec<Ticket>,
    /// As [`Delivered::announced`].
    pub announced: bool,
    /// Why DSS refused the first delivery of `rest`; `None` if it accepted all.
    pub refused: Option<DeliverError>,
    /// The deliveries that DSS did not accept, each with its callback and its values.
    pub rest: Vec<(Callback, Vec<Value>)>,
}

impl Library {
    /// Makes a library from a handle that DSS gave; for tests of this layer.
    #[doc(hidden)]
    #[must_use]
    pub fn new(service: &'static ServiceObject, handle: usize) -> Self {
        Library { service, handle }
    }

    /// Queues a call of a Lua function with these values, and returns immediately. [any-thread]
    /// `[blocks]` if the queue is full and the policy is [`Policy::Wait`](crate::Policy::Wait)
    ///
    /// Lua calls the function when it next takes deliveries. To wait for room without blocking a thread, use
    /// [`Self::deliver_async`].
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use dss_abi_v2::{testing::TestState, Value};
    /// # let state = TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// library.deliver(&callback, ("changed", 3)).unwrap();
    /// assert_eq!(state.take()[0].values, [Value::from("changed"), Value::from(3)]);
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Refused`] contains the reason and the values.
    #[inline]
    pub fn deliver<V: IntoValues>(&self, callback: &Callback, values: V) -> Result<Delivered, Refused> {
        let _ = V::IS_NOTHING;
        self.deliver_raw(callback, &[], values)
    }

    /// Delivers as [`Self::deliver`] does. If the policy is [`Policy::Latest`](crate::Policy::Latest), the delivery
    /// replaces the queued delivery with the same callback and key. [any-thread] `[blocks]` if the queue is full and
    /// the policy is [`Policy::Wait`](crate::Policy::Wait)
    ///
    /// Under another policy, or with an empty key, nothing is replaced.
    ///
    /// ```
    /// use dss_abi_v2::{Callback, Library, Refused};
    ///
    /// /// Lua gets the newest size of each file only.
    /// fn changed(library: &Library, callback: &Callback, path: &str, size: u32) -> Result<(), Refused> {
    ///     library.deliver_keyed(callback, path, (path, size))?;
    ///     Ok(())
    /// }
    /// ```
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

    /// Converts the values and passes them to `deliver`, which accepts or refuses them.
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

    /// Delivers a batch: takes one lock, and sends at most one notification. It does not wait for room, under any
    /// policy. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// let lines = ["one", "two", "three"];
    /// let done = library.deliver_many(lines.iter().enumerate().map(|(at, line)| (&callback, (at + 1, *line))));
    /// if let Some(reason) = done.refused {
    ///     eprintln!("{} of {} lines were taken: {}", done.taken, lines.len(), reason);
    /// }
    /// # assert_eq!(state.take().len(), 3);
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

    /// Cancels a queued delivery, or a request that has no answer yet. Returns false if it is too late. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// let ticket = library.deliver(&callback, 1).unwrap().ticket;
    /// assert!(library.cancel(ticket));
    /// assert!(!library.cancel(ticket));
    /// # }
    /// ```
    pub fn cancel(&self, ticket: Ticket) -> bool {
        self.end(ticket, ENDED_CANCELLED, false)
    }

    /// Cancels all queued deliveries to a callback, and all its requests that have no answer yet. Returns how many it
    /// cancelled. Later deliveries to the callback are not cancelled. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let (library, callback) = (state.library(), state.callback());
    /// library.deliver(&callback, 1).unwrap();
    /// library.deliver(&callback, 2).unwrap();
    /// assert_eq!(library.cancel_all(&callback), 2);
    /// # }
    /// ```
    pub fn cancel_all(&self, callback: &Callback) -> usize {
        self.service.end_all(self.handle, callback.id_with(self.service), ENDED_CANCELLED)
    }

    pub(crate) fn end(&self, ticket: Ticket, ended: u32, queued_only: bool) -> bool {
        self.service.end(self.handle, ticket.0, ended, queued_only)
    }

    /// Changes the limits and the policy of the queue, for later deliveries. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let library = state.library();
    /// use dss_abi_v2::{Limits, Policy};
    ///
    /// let limits = Limits::new().items(1_000).policy(Policy::DropOldest);
    /// library.limit(limits).unwrap();
    /// assert_eq!(state.limits(), Some(limits));
    /// # }
    /// ```
    ///
    /// # Errors
    /// The library is no longer registered, or the limits have no room for one item.
    pub fn limit(&self, limits: Limits) -> Result<(), LibraryError> {
        self.service.limit(self.handle, limits.raw()).into_result().map_err(LibraryError::from)
    }

    /// Sets whether Lua's `run()` goes on while the library is registered. A [`Hold`](crate::Hold) keeps it going in
    /// any case. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let library = state.library();
    /// library.keep_alive(false).unwrap();
    /// assert_eq!(state.keep_alive(), Some(false));
    /// # }
    /// ```
    ///
    /// # Errors
    /// The library is no longer registered.
    pub fn keep_alive(&self, keeps: bool) -> Result<(), LibraryError> {
        self.service.keep_alive(self.handle, keeps).into_result().map_err(LibraryError::from)
    }

    /// Whether the calling thread is the Lua thread of the library's state. On the Lua thread you cannot wait for
    /// Lua. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let library = state.library();
    /// assert!(library.on_lua_thread());
    /// assert!(!std::thread::spawn(move || library.on_lua_thread()).join().unwrap());
    /// # }
    /// ```
    #[must_use]
    pub fn on_lua_thread(&self) -> bool {
        self.service.on_lua_thread(self.handle)
    }

    /// Unregisters the library from its Lua state. It cancels all queued deliveries and all requests without an
    /// answer. [any-thread] `[blocks]` while another thread runs the library's code for that state
    ///
    /// When it returns, none of the library's code runs for that state. There are two exceptions: calls that the
    /// calling thread is inside of, and, while the state closes, `close` and the calls that the closing thread is
    /// inside of.
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let library = state.library();
    /// library.unregister().unwrap();
    /// assert!(!state.is_registered());
    /// assert!(library.unregister().is_err());
    /// # }
    /// ```
    ///
    /// # Errors
    /// The library is no longer registered, or another thread is unregistering it.
    pub fn unregister(&self) -> Result<(), LibraryError> {
        self.service.unregister(self.handle).into_result().map_err(LibraryError::from)
    }
}
