//! Deliveries as futures: they wait for room without blocking a thread.
//!
//! DSS does not announce that a queue has room again. So the library's timer polls: after a while it wakes the
//! waiting tasks, and each of them tries once more. A wake-up cannot be lost, because it does not depend on what
//! happens to the queue:
//!
//! | the slot is | its waker | what changes that |
//! |---|---|---|
//! | idle | none | `wait`, in a poll that found no room: sets the waker, then adds the slot to the timer's list |
//! | waiting | set | the timer: removes the slot from its list, then takes and wakes the waker; it is idle again |
//! | waiting | set | `wait`, in a later poll: replaces the waker, which the timer finds by its list or takes just now |

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use abi_stable::std_types::{ROption, RSlice};

use crate::callback::Callback;
use crate::contract::{Accepted, Code, RawDelivery};
use crate::error::{DeliverError, Refused};
use crate::library::{Delivered, Library, Ticket};
use crate::timer;
use crate::values::{IntoValues, Values};

/// The place at which a task waits for room.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Waker>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        // A thread that panicked while it held this left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the waker. The slot is no longer on the timer's list.
    pub(crate) fn take(&self) -> Option<Waker> {
        self.lock().take()
    }

    /// Stores `waker`. The timer wakes it at its next look.
    fn wait(self: &Arc<Self>, library: Library, waker: &Waker) -> std::io::Result<()> {
        timer::start()?;
        // A waker is the author's code: it is cloned and dropped with no lock held.
        let waker = waker.clone();
        let replaced = self.lock().replace(waker);
        if replaced.is_none() {
            timer::wait_for_room(library, self);
        }
        Ok(())
    }
}

/// A delivery that waits for room, from [`Library::deliver_async`]. It is a future for any runtime, and blocks no
/// thread. If you drop it before it is ready, nothing is delivered.
///
/// ```
/// use dss_abi_v2::{Callback, Delivery, Library};
///
/// async fn tell(library: Library, callback: Callback) -> bool {
///     let delivery: Delivery = library.deliver_async(&callback, "hello");
///     delivery.await.is_ok()
/// }
/// ```
#[must_use = "nothing is delivered before this is polled"]
pub struct Delivery {
    library: Library,
    callback: Callback,
    /// `None` when the delivery is ready. Nothing ever waits for the lock: it makes the type `Sync`.
    values: Mutex<Option<Values>>,
    /// Set when the delivery has found no room.
    slot: Option<Arc<Slot>>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.slot.is_some() { "Delivery(waiting)" } else { "Delivery" })
    }
}

impl Future for Delivery {
    type Output = Result<Delivered, Refused>;

    /// # Panics
    /// It was polled after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let place = this.values.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut values = match place.take() {
            Some(values) => values,
            None => panic!("a delivery was polled after it was ready"),
        };
        if let Some(error) = values.take_error() {
            let reason = DeliverError::Value(error);
            return Poll::Ready(Err(Refused { reason, values: values.into_again() }));
        }
        let reason = match this.library.try_deliver(&this.callback, &mut values) {
            Ok(accepted) => {
                values.taken();
                if this.slot.is_some() {
                    timer::found_room(this.library);
                }
                let ticket = Ticket(accepted.ticket);
                return Poll::Ready(Ok(Delivered { ticket, announced: accepted.announced }));
            }
            Err(Code::FULL) => {
                let slot = this.slot.get_or_insert_with(Arc::default);
                match slot.wait(this.library, context.waker()) {
                    Ok(()) => {
                        *place = Some(values);
                        return Poll::Pending;
                    }
                    Err(_) => DeliverError::OutOfMemory,
                }
            }
            Err(code) => code.into(),
        };
        Poll::Ready(Err(Refused { reason, values: values.into_again() }))
    }
}

impl Library {
    /// Queues a call of a Lua function as soon as there is room. It returns a future for any runtime, and blocks no
    /// thread, under any [`Policy`](crate::Policy). [any-thread]
    ///
    /// Nothing is delivered before the first poll. If there is room, the first poll delivers.
    ///
    /// Deliveries that one task awaits one after the other stay in order. Deliveries that wait at the same time may
    /// come in any order.
    ///
    /// **The cost of waiting.** DSS does not announce that there is room again. The first delivery that has to wait
    /// starts a thread, which looks after 1 ms, then after 2 ms, and so on up to 32 ms. When a waiting delivery of
    /// that state finds room, the thread begins again at 1 ms. Each look wakes all waiting tasks of that state in the
    /// order in which they began to wait, and each task tries once. A try that finds no room counts as refused in
    /// `libraries()`. Use this for up to a few hundred waiting deliveries. For more, keep a queue of your own and let
    /// one task deliver.
    ///
    /// ```
    /// use dss_abi_v2::{Callback, Library, Refused};
    ///
    /// async fn tell_all(library: Library, callback: Callback, lines: Vec<String>) -> Result<(), Refused> {
    ///     for line in lines {
    ///         library.deliver_async(&callback, line).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// The future has the errors of [`Self::deliver`], except [`DeliverError::Full`]. If the library is unregistered
    /// or its state closes, waiting deliveries are refused at the next look.
    pub fn deliver_async<V: IntoValues>(&self, callback: &Callback, values: V) -> Delivery {
        let _ = V::IS_NOTHING;
        let mut held = Values::new(self.service);
        values.into_values(&mut held);
        Delivery { library: *self, callback: callback.clone(), values: Mutex::new(Some(held)), slot: None }
    }

    /// Delivers values without waiting: as a batch of one, because a batch does not wait under any policy.
    fn try_deliver(&self, callback: &Callback, values: &mut Values) -> Result<Accepted, Code> {
        let delivery = RawDelivery {
            callback: callback.id_with(self.service),
            values: values.as_mut_ptr(),
            count: values.len(),
            key: RSlice::EMPTY,
        };
        let accepted = self.service.deliver_many(self.handle, RSlice::from_slice(&[delivery]));
        match accepted.refused {
            _ if accepted.taken > 0 => Ok(Accepted { ticket: accepted.first, announced: accepted.announced }),
            ROption::RSome(code) => Err(code),
            // It is not taken, and DSS does not say why.
            ROption::RNone => Err(Code::FULL),
        }
    }
}
