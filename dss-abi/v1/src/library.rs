//! A registered library.

use std::fmt;
use std::sync::atomic::AtomicU8;

use crate::contract::{Code, RawDelivery, ServiceObject};
use crate::delivery::{into_raw, reclaim, Delivery, Refused};
use crate::error::{Announced, UnregisterError};
use crate::request::{self, Answer, Request};

/// Who a library is: its name, and by its address an identity that is the same in all Lua states. A `static` of the
/// library's.
#[derive(Debug)]
pub struct LibraryId {
    name: &'static str,
    /// Not constant, so that `&CONST` is not promoted to a `static` somewhere: the address is the identity.
    _place: AtomicU8,
}

impl LibraryId {
    /// An identity of that name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        LibraryId { name, _place: AtomicU8::new(0) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn address(&'static self) -> usize {
        self as *const LibraryId as usize
    }
}

/// A library that is registered in one Lua state. Any thread may keep, clone and use it; once the library is
/// unregistered, or the state is closed, every use of it is refused.
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
        self.handle == other.handle
    }
}

impl Eq for Library {}

impl Library {
    /// Hands over one item, and returns at once. [any-thread]
    ///
    /// Lua takes it when it has time; then, on the Lua thread, it is decoded, and dropped. Where it is cancelled first,
    /// [`Delivery::cancelled`] is called in place of decode, on the thread that cancels.
    ///
    /// # Errors
    /// [`Refused`] gives the item back, with the reason.
    pub fn deliver<D: Delivery>(&self, delivery: D) -> Result<Announced, Refused<D>> {
        let raw = into_raw(delivery);
        match self.service.deliver(self.handle, raw).into_result() {
            Ok(accepted) => Ok(Announced::new(accepted.announced)),
            Err(code) => {
                // SAFETY: `raw` was made from a `D` two lines above, and a delivery that is refused was not touched.
                let delivery = unsafe { reclaim::<D>(raw) };
                Err(Refused { reason: code.into(), delivery })
            }
        }
    }

    /// Hands over one item and waits until it has ended. [any-thread] `[blocks]`
    ///
    /// # Errors
    /// [`Refused`] gives the item back, with the reason. That is
    /// [`DeliverError::WouldDeadlock`](crate::DeliverError::WouldDeadlock) on the Lua thread, which would wait for itself:
    /// the thread that last entered DSS through Lua in that state, by `poll`, `dispatch` or `wait` for example, even if Lua
    /// runs nowhere at the moment.
    pub fn deliver_and_wait<R: Request>(&self, request: R) -> Result<Answer<R::Answer>, Refused<R>> {
        request::wait(request, |raw| self.wait_raw(raw))
    }

    fn wait_raw(&self, raw: RawDelivery) -> Result<u32, Code> {
        self.service.deliver_and_wait(self.handle, raw).into_result().map(|accepted| accepted.ended)
    }

    /// Unregisters the library from that state: all that it has queued or waiting is cancelled, on this thread, and when
    /// this returns none of its code runs any more for that state, except calls that this thread stands in, and its
    /// closing function, which may be waiting for this very thread. [any-thread] `[blocks]` while another thread is in its
    /// code
    ///
    /// # Errors
    /// It is not registered any more, or another thread is at it.
    pub fn unregister(&self) -> Result<(), UnregisterError> {
        self.service.unregister(self.handle).into_result().map_err(UnregisterError::from)
    }
}
