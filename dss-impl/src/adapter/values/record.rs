//! What is queued for a delivery that is not [packed](super::packed): a callback and its values, in one allocation.
//!
//! The payload's three words are the request's part or 0, the number of values, and the address of the record. The values follow its head,
//! so two values of v2 cost one allocation of 56 bytes.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::wire::Wire;
use crate::callbacks::CallbackId;
use crate::dispatcher::Dispatcher;
use crate::payload::Payload;
use crate::spares::{self, Spares};
use crate::states;
use crate::value::{Raised, Value};

/// The head of the allocation.
#[repr(C)]
struct Head {
    callback: u64,
}

/// What a request has in addition to a plain delivery.
pub(super) struct RequestPart<W: Wire> {
    pub(super) completion: W::Completion,
    /// What Lua answered, from the start of the reply until the request is completed.
    pub(super) answer: Option<Result<Vec<Value>, Raised>>,
}

/// A record in use. It has one user at a time: the Lua thread while it decodes or replies, then the thread that ends the delivery.
pub(super) struct Record<'a, W: Wire> {
    head: &'a Head,
    pub(super) values: &'a mut [W::Value],
    request: Option<&'a mut RequestPart<W>>,
    wire: PhantomData<W>,
}

fn layout<W: Wire>(count: usize) -> Option<Layout> {
    // The values begin where the head ends.
    const { assert!(size_of::<Head>().is_multiple_of(align_of::<W::Value>())) };
    let values = Layout::array::<W::Value>(count).ok()?;
    Layout::new::<Head>().extend(values).ok().map(|(layout, _)| layout)
}

impl<'a, W: Wire> Record<'a, W> {
    /// Makes a record whose values must still be written. None if out of memory.
    #[inline]
    pub(super) fn allocate(
        spares: &Spares,
        callback: u64,
        count: usize,
        request: Option<Box<RequestPart<W>>>,
    ) -> Option<Payload> {
        // The layout is not empty: it contains the head.
        let head: NonNull<Head> = spares.allocate(layout::<W>(count)?)?.cast();
        // SAFETY: fresh memory of that layout.
        unsafe { head.write(Head { callback }) };
        let request = request.map_or(0, |part| Box::into_raw(part).expose_provenance());
        Some(Payload([request, count, head.as_ptr().expose_provenance()]))
    }

    /// Where a record's values are, written or not.
    #[inline]
    pub(super) fn values_of(payload: &Payload) -> *mut W::Value {
        let head: *mut Head = std::ptr::with_exposed_provenance_mut(payload.0[2]);
        // They follow the head, within the allocation.
        head.wrapping_add(1).cast()
    }

    /// # Safety
    /// The payload was made by [`Self::allocate`] and not dropped, and nobody else uses it.
    #[inline]
    pub(super) unsafe fn of(payload: &Payload) -> Record<'a, W> {
        let Payload([request, count, head]) = *payload;
        let head: *mut Head = std::ptr::with_exposed_provenance_mut(head);
        let values = Self::values_of(payload);
        // SAFETY: that many were written there.
        let values = unsafe { std::slice::from_raw_parts_mut(values, count) };
        let request: *mut RequestPart<W> = std::ptr::with_exposed_provenance_mut(request);
        // SAFETY: NULL, or the box from `allocate`.
        let request = unsafe { request.as_mut() };
        // SAFETY: `allocate` wrote it.
        let head = unsafe { &*head };
        Record { head, values, request, wire: PhantomData }
    }

    /// The callback of a payload. Another thread may read or write the rest of the record.
    ///
    /// # Safety
    /// The payload was made by [`Self::allocate`] and not dropped.
    pub(super) unsafe fn callback_of(payload: &Payload) -> CallbackId {
        let head: *const Head = std::ptr::with_exposed_provenance(payload.0[2]);
        // SAFETY: `allocate` wrote it, and it is never written again.
        CallbackId::from_raw(unsafe { (*head).callback })
    }

    /// Drops a record's contents and its memory, which goes to the spares of `at`. `last` then gets the request's part, if there is one,
    /// even if an exception leaves the drop of a value.
    ///
    /// # Safety
    /// As [`Self::of`], and it is not used again. With `at`, it was delivered to that dispatcher, and the caller is on its Lua thread,
    /// inside a call that Lua made.
    #[inline]
    pub(super) unsafe fn end(
        payload: &Payload,
        at: Option<&Dispatcher>,
        last: impl FnOnce(Box<RequestPart<W>>),
    ) {
        // SAFETY: as the caller promises.
        let record = unsafe { Self::of(payload) };
        match at {
            Some(dispatcher) => dispatcher.release_callback(record.callback()),
            None => states::release_callback(record.callback()),
        }
        let spares = at.map(|dispatcher| &dispatcher.spares);
        let _ending = Ending::<W, _> { payload, spares, last: Some(last), wire: PhantomData };
        // SAFETY: the values are not used again.
        unsafe { std::ptr::drop_in_place(record.values) };
    }

    /// Frees a record's memory, but not its values and its reference, which others own. Returns the request's part.
    ///
    /// # Safety
    /// As [`Self::end`].
    #[inline]
    pub(super) unsafe fn free(payload: &Payload, spares: Option<&Spares>) -> Option<Box<RequestPart<W>>> {
        let Payload([request, count, head]) = *payload;
        let head: Option<NonNull<u8>> = NonNull::new(std::ptr::with_exposed_provenance_mut(head));
        if let (Some(head), Some(layout)) = (head, layout::<W>(count)) {
            match spares {
                // SAFETY: it was allocated with that layout; the rest as the caller promises.
                Some(spares) => unsafe { spares.keep(head, layout) },
                // SAFETY: it was allocated with that layout.
                None => unsafe { spares::free(head, layout) },
            }
        }
        let part: *mut RequestPart<W> = std::ptr::with_exposed_provenance_mut(request);
        // SAFETY: NULL, or the box from `allocate`.
        (!part.is_null()).then(|| unsafe { Box::from_raw(part) })
    }

    pub(super) fn callback(&self) -> CallbackId {
        CallbackId::from_raw(self.head.callback)
    }

    pub(super) fn request(self) -> Option<&'a mut RequestPart<W>> {
        self.request
    }
}

/// A record whose values are being dropped. Dropping this frees the record's memory.
struct Ending<'a, W: Wire, F: FnOnce(Box<RequestPart<W>>)> {
    payload: &'a Payload,
    spares: Option<&'a Spares>,
    last: Option<F>,
    wire: PhantomData<W>,
}

impl<W: Wire, F: FnOnce(Box<RequestPart<W>>)> Drop for Ending<'_, W, F> {
    fn drop(&mut self) {
        // SAFETY: `end` made this, and its caller promised that the record is not used again.
        let part = unsafe { Record::<W>::free(self.payload, self.spares) };
        if let (Some(part), Some(last)) = (part, self.last.take()) {
            last(part);
        }
    }
}
