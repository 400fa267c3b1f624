//! What is queued for one delivery: a callback and its values, in one allocation.
//!
//! The payload's three words are the request's part, or 0; the count of values; the address of the record. The values lie behind its head,
//! so two integers cost one allocation of 56 bytes.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use abi_stable::std_types::RVec;
use dss_abi_v2::contract::CompleteFn;
use dss_abi_v2::value::RawValue;

use crate::callbacks::{self, CallbackId};
use crate::payload::Payload;
use crate::value::Raised;

/// The head of the allocation.
#[repr(C)]
struct Head {
    callback: u64,
}

// The values begin where the head ends.
const _: () = assert!(size_of::<Head>().is_multiple_of(align_of::<RawValue>()));

/// What a request has beyond a plain delivery.
pub(super) struct RequestPart {
    pub(super) complete: CompleteFn,
    pub(super) context: usize,
    /// What Lua answered, from the reply's beginning until the request is completed.
    pub(super) answer: Option<Result<RVec<RawValue>, Raised>>,
}

/// A record in use: by the Lua thread while it decodes or replies, by who ends the delivery afterwards; never by two.
pub(super) struct Record<'a> {
    head: &'a Head,
    pub(super) values: &'a mut [RawValue],
    request: Option<&'a mut RequestPart>,
}

fn layout(count: usize) -> Option<Layout> {
    let values = Layout::array::<RawValue>(count).ok()?;
    Layout::new::<Head>().extend(values).ok().map(|(layout, _)| layout)
}

impl<'a> Record<'a> {
    /// Makes a record: moves `count` values out of `values`, and takes over one reference to `callback`. None where there is no
    /// memory, and nothing was moved.
    ///
    /// # Safety
    /// `values` points to that many values, which are given up where the payload is taken.
    pub(super) unsafe fn make(
        callback: u64,
        values: *const ManuallyDrop<RawValue>,
        count: usize,
        request: Option<Box<RequestPart>>,
    ) -> Option<Payload> {
        let layout = layout(count)?;
        // SAFETY: the layout is not empty: it has the head.
        let head: NonNull<Head> = NonNull::new(unsafe { alloc(layout) })?.cast();
        // SAFETY: fresh memory of that layout.
        unsafe { head.write(Head { callback }) };
        // SAFETY: the values' place begins behind the head, within the allocation.
        let place: NonNull<RawValue> = unsafe { head.add(1) }.cast();
        if count > 0 {
            // SAFETY: as the caller promises; the allocation is new, so the two do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(values.cast(), place.as_ptr(), count) };
        }
        let request = request.map_or(0, |part| Box::into_raw(part).expose_provenance());
        Some(Payload([request, count, head.as_ptr().expose_provenance()]))
    }

    /// # Safety
    /// The payload is one of [`Self::make`]'s that was not dropped, and nobody else uses it.
    pub(super) unsafe fn of(payload: &Payload) -> Record<'a> {
        let Payload([request, count, head]) = *payload;
        let head: *mut Head = std::ptr::with_exposed_provenance_mut(head);
        // SAFETY: `make` put the values there.
        let values: *mut RawValue = unsafe { head.add(1) }.cast();
        // SAFETY: as above, so many.
        let values = unsafe { std::slice::from_raw_parts_mut(values, count) };
        let request: *mut RequestPart = std::ptr::with_exposed_provenance_mut(request);
        // SAFETY: NULL, or `make`'s box.
        let request = unsafe { request.as_mut() };
        // SAFETY: `make` wrote it.
        let head = unsafe { &*head };
        Record { head, values, request }
    }

    /// The callback that a payload is for, whoever else reads or writes the rest of the record.
    ///
    /// # Safety
    /// The payload is one of [`Self::make`]'s that was not dropped.
    pub(super) unsafe fn callback_of(payload: &Payload) -> CallbackId {
        let head: *const Head = std::ptr::with_exposed_provenance(payload.0[2]);
        // SAFETY: `make` wrote it, and nobody writes it again.
        CallbackId::from_raw(unsafe { (*head).callback })
    }

    /// Drops what is in a record, and its memory.
    ///
    /// # Safety
    /// As [`Self::of`], and it is used no more.
    pub(super) unsafe fn drop(payload: &Payload) {
        // SAFETY: as the caller promises.
        let record = unsafe { Record::of(payload) };
        callbacks::release(record.callback());
        // SAFETY: the values are used no more.
        unsafe { std::ptr::drop_in_place(record.values) };
        // SAFETY: as above.
        unsafe { Self::free(payload) };
    }

    /// Frees a record's memory, and leaves its values and its reference to whom they were moved from.
    ///
    /// # Safety
    /// As [`Self::drop`].
    pub(super) unsafe fn free(payload: &Payload) {
        let Payload([request, count, head]) = *payload;
        if request != 0 {
            let part: *mut RequestPart = std::ptr::with_exposed_provenance_mut(request);
            // SAFETY: `make`'s box.
            drop(unsafe { Box::from_raw(part) });
        }
        let head: *mut c_void = std::ptr::with_exposed_provenance_mut(head);
        if let Some(layout) = layout(count) {
            // SAFETY: `make` allocated it with that layout.
            unsafe { dealloc(head.cast(), layout) };
        }
    }

    pub(super) fn callback(&self) -> CallbackId {
        CallbackId::from_raw(self.head.callback)
    }

    pub(super) fn request(self) -> Option<&'a mut RequestPart> {
        self.request
    }
}
