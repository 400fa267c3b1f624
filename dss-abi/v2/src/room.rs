//! Deliveries that are awaited: they wait for room without a thread.
//!
//! The contract tells nobody that there is room again. So the library's timer looks after a while: it wakes the tasks that wait, and
//! each tries once more. A wake-up cannot be lost, for it does not depend on what happens to the queue:
//!
//! | the slot is | its waker | who changes that |
//! |---|---|---|
//! | idle | none | `wait`, in a poll that found no room: sets the waker, and then adds the slot to the timer's list |
//! | waiting | there | the timer takes the slot off its list, and then the waker, and wakes it: idle again |
//! | waiting | another | `wait`, in a later poll: the slot is on the list, or the timer is about to take this waker |

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

/// Where a task waits for room.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Waker>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        // A thread that panicked while it held this left it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is to be woken; the slot is off the timer's list.
    pub(crate) fn take(&self) -> Option<Waker> {
        self.lock().take()
    }

    /// Leaves `waker` to be woken when the timer looks next.
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

/// A delivery that waits for room: a future for any runtime, which blocks no thread. If it is dropped before it is ready, nothing is
/// delivered.
#[must_use = "nothing is delivered before this is polled"]
pub struct Delivery {
    library: Library,
    callback: Callback,
    /// None once it is ready. The lock is never waited for: it is there so that threads may share what they cannot use.
    values: Mutex<Option<Values>>,
    /// Set once it has found no room.
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
    /// It was ready before.
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
    /// Hands over values for a Lua function as soon as there is room for them: a future, for any runtime. No thread waits, whatever
    /// the library's [`Policy`](crate::Policy) is. [any-thread]
    ///
    /// Nothing is delivered before the first poll. That delivers at once if there is room.
    ///
    /// **What waiting costs.** DSS does not say when there is room again. So a thread of the library's, which the first delivery that has
    /// to wait starts, looks again after 1 ms, then after 2 ms, and so on up to 32 ms. It starts again at 1 ms whenever one of the
    /// deliveries of that state finds room. Each look wakes all tasks that wait in that state, in the order in which they began
    /// to wait, and each of them tries once. A try that finds no room counts as refused in `libraries()`. This is meant for up to a few
    /// hundred deliveries at a time; for more, keep a queue and let one task deliver.
    ///
    /// Deliveries that one task awaits one after the other stay in order. Those that wait at the same time may come in any order.
    ///
    /// ```no_run
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
    /// The future has those of [`Self::deliver`], except [`DeliverError::Full`]. If the library is unregistered or its state closes, the
    /// deliveries that wait are refused at the next look.
    pub fn deliver_async<V: IntoValues>(&self, callback: &Callback, values: V) -> Delivery {
        let _ = V::IS_NOTHING;
        let mut held = Values::new(self.service);
        values.into_values(&mut held);
        Delivery { library: *self, callback: callback.clone(), values: Mutex::new(Some(held)), slot: None }
    }

    /// Delivers values, or leaves them: without waiting, for a batch does not wait, under no policy.
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
