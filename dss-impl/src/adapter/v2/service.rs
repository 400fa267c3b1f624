//! How libraries of v2 call the core.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::std_types::{RErr, RNone, ROk, RResult, RSlice, RSome, RStr};
use dss_abi_v2::contract::{
    Accepted, AcceptedMany, Code, ENDED_CANCELLED, ENDED_TIMED_OUT, RawDelivery, RawLimits, RawRegistration,
    RawRequest, Registered, Service,
};
use dss_abi_v2::value::{RawCallback, RawValue};

use super::record::{Record, RequestPart};
use super::{open, values};
use crate::adapter::panics::answer_or_abort;
use crate::callbacks::{self, CallbackId};
use crate::delivery::{Announced, DeliverError, Outcome, Parcel};
use crate::dispatcher::{BoundedError, Consignment, Dispatcher};
use crate::handle::Handle;
use crate::states;

/// What DSS hands out to libraries of v2.
pub(super) struct V2Service;

fn dispatcher(handle: usize) -> Result<(&'static Dispatcher, Handle), Code> {
    let handle = Handle::from_raw(handle);
    states::dispatcher_of(handle).map(|dispatcher| (dispatcher, handle)).ok_or(Code::INVALID_HANDLE)
}

fn code(error: BoundedError) -> Code {
    match error {
        BoundedError::Deliver(DeliverError::InvalidHandle) => Code::INVALID_HANDLE,
        BoundedError::Deliver(DeliverError::Stopping) => Code::STOPPING,
        BoundedError::Deliver(DeliverError::OutOfMemory) => Code::OUT_OF_MEMORY,
        BoundedError::Deliver(DeliverError::WouldDeadlock) => Code::WOULD_DEADLOCK,
        BoundedError::Full => Code::FULL,
        BoundedError::TimedOut => Code::TIMED_OUT,
        BoundedError::TooLarge => Code::TOO_LARGE,
    }
}

/// How a library ends what is its own; none for what is no such end.
fn outcome(ended: u32) -> Option<Outcome> {
    match ended {
        ENDED_TIMED_OUT => Some(Outcome::TimedOut),
        ENDED_CANCELLED => Some(Outcome::Withdrawn),
        _ => None,
    }
}

/// Makes the parcel of a delivery, and says what it counts for the bound. Until it is taken its values are the library's.
#[inline]
fn parcel(
    delivery: &RawDelivery<'_>,
    dispatcher: &Dispatcher,
    request: Option<Box<RequestPart>>,
) -> Result<(Parcel, u32), Code> {
    let given = if delivery.count == 0 {
        &[]
    } else {
        // SAFETY: the contract of `RawDelivery`: so many values, borrowed for the length of the call.
        unsafe { std::slice::from_raw_parts(delivery.values.cast::<RawValue>(), delivery.count) }
    };
    let bytes = values::measure(given, dispatcher)?;
    let callback =
        dispatcher.retain(CallbackId::from_raw(delivery.callback)).ok_or(Code::INVALID_CALLBACK)?;
    // SAFETY: as above; whether they are given up is decided when the parcel is taken or refused.
    let parcel = unsafe {
        Record::make(delivery.callback, delivery.values, delivery.count, request, dispatcher.stamp())
    };
    let parcel = parcel.ok_or(Code::OUT_OF_MEMORY)?;
    // The record has the reference from here on.
    let _ = callback.into_raw();
    Ok((parcel, bytes))
}

/// Takes a parcel back that was refused: its values stay the library's.
fn take_back(parcel: &Parcel, callback: u64) {
    callbacks::release(CallbackId::from_raw(callback));
    // SAFETY: made for this call, and not taken.
    unsafe { Record::free(parcel) };
}

/// What a key is within the library: keys are each callback's own. Empty where there is none.
#[inline]
fn key(delivery: &RawDelivery<'_>) -> Vec<u8> {
    if delivery.key.is_empty() {
        return Vec::new();
    }
    [&delivery.callback.to_ne_bytes(), delivery.key.as_slice()].concat()
}

fn accepted(accepted: crate::dispatcher::Accepted) -> Accepted {
    Accepted { ticket: accepted.sequence, announced: accepted.announced == Announced::Yes }
}

fn deliver(handle: usize, delivery: &RawDelivery<'_>) -> Result<Accepted, Code> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let (parcel, bytes) =
        parcel(delivery, dispatcher, None).inspect_err(|_| dispatcher.count_refused(handle, 1))?;
    let consignment = Consignment { parcel, bytes, key: &key(delivery), completes: false };
    dispatcher.deliver_bounded(handle, consignment, true).map(accepted).map_err(|error| {
        take_back(&parcel, delivery.callback);
        code(error)
    })
}

fn deliver_many(handle: usize, deliveries: &[RawDelivery<'_>]) -> Result<AcceptedMany, Code> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let mut parcels = Vec::with_capacity(deliveries.len());
    let mut malformed = None;
    for delivery in deliveries {
        match parcel(delivery, dispatcher, None) {
            Ok((parcel, bytes)) => parcels.push((parcel, bytes, key(delivery))),
            Err(code) => {
                malformed = Some(code);
                break;
            }
        }
    }
    let consignments: Vec<_> = parcels
        .iter()
        .map(|(parcel, bytes, key)| Consignment { parcel: *parcel, bytes: *bytes, key, completes: false })
        .collect();
    let accepted = dispatcher.deliver_many(handle, &consignments);
    if malformed.is_some() {
        dispatcher.count_refused(handle, (deliveries.len() - parcels.len()) as u64);
    }
    for (consignment, delivery) in consignments.iter().zip(deliveries).skip(accepted.taken) {
        take_back(&consignment.parcel, delivery.callback);
    }
    let refused = accepted.refused.map(code).or(malformed);
    Ok(AcceptedMany {
        taken: accepted.taken,
        first: accepted.first,
        announced: accepted.announced == Announced::Yes,
        refused: refused.map_or(RNone, RSome),
    })
}

fn request(handle: usize, request: &RawRequest<'_>) -> Result<Accepted, Code> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let part = RequestPart {
        complete: request.complete,
        context: request.context.expose_provenance(),
        answer: None,
    };
    let delivery = &request.delivery;
    let (parcel, bytes) = parcel(delivery, dispatcher, Some(Box::new(part)))
        .inspect_err(|_| dispatcher.count_refused(handle, 1))?;
    let consignment = Consignment { parcel, bytes, key: &[], completes: true };
    dispatcher.deliver_bounded(handle, consignment, false).map(accepted).map_err(|error| {
        take_back(&parcel, delivery.callback);
        code(error)
    })
}

/// Runs DSS's own code for a trait method: a panic in one would end the process.
fn answer<T>(run: impl FnOnce() -> Result<T, Code>) -> RResult<T, Code> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(code)) => RErr(code),
        Err(_) => RErr(Code(u32::MAX)),
    }
}

impl Service for V2Service {
    fn register(&self, state: usize, registration: RawRegistration) -> RResult<Registered, Code> {
        answer(|| open::register(state, &registration))
    }

    fn unregister(&self, handle: usize) -> RResult<(), Code> {
        answer(|| {
            let (dispatcher, handle) = dispatcher(handle)?;
            dispatcher.unregister(handle).map_err(|_| Code::INVALID_HANDLE)
        })
    }

    #[inline(always)] // a part of every delivery; what it returns is not read back from memory
    fn deliver(&self, handle: usize, delivery: RawDelivery<'_>) -> RResult<Accepted, Code> {
        answer_or_abort(|| deliver(handle, &delivery)).into()
    }

    fn deliver_many(&self, handle: usize, deliveries: RSlice<'_, RawDelivery<'_>>) -> AcceptedMany {
        let refused = |code| AcceptedMany { taken: 0, first: 0, announced: true, refused: RSome(code) };
        answer_or_abort(|| deliver_many(handle, deliveries.as_slice()).unwrap_or_else(refused))
    }

    fn request(&self, handle: usize, given: RawRequest<'_>) -> RResult<Accepted, Code> {
        answer_or_abort(|| request(handle, &given)).into()
    }

    fn end(&self, handle: usize, ticket: u64, ended: u32, queued_only: bool) -> bool {
        let Some(outcome) = outcome(ended) else { return false };
        answer_or_abort(|| {
            dispatcher(handle)
                .is_ok_and(|(dispatcher, handle)| dispatcher.end(handle, ticket, outcome, queued_only))
        })
    }

    fn end_all(&self, handle: usize, callback: u64, ended: u32) -> usize {
        let Some(outcome) = outcome(ended) else { return 0 };
        answer_or_abort(|| {
            let ended = dispatcher(handle).map(|(dispatcher, handle)| {
                dispatcher.end_all(handle, CallbackId::from_raw(callback), outcome)
            });
            ended.unwrap_or(0)
        })
    }

    fn limit(&self, handle: usize, limits: RawLimits) -> RResult<(), Code> {
        answer(|| {
            let (dispatcher, handle) = dispatcher(handle)?;
            let limits = open::limits(limits).ok_or(Code::MALFORMED)?;
            dispatcher.limit(handle, limits).map_err(|error| code(BoundedError::Deliver(error)))
        })
    }

    fn keep_alive(&self, handle: usize, keeps: bool) -> RResult<(), Code> {
        answer(|| {
            let (dispatcher, handle) = dispatcher(handle)?;
            dispatcher.keep_alive(handle, keeps).map_err(|error| code(BoundedError::Deliver(error)))
        })
    }

    fn hold(&self, handle: usize) -> RResult<(), Code> {
        answer(|| {
            let (dispatcher, handle) = dispatcher(handle)?;
            dispatcher.hold(handle).map_err(|error| code(BoundedError::Deliver(error)))
        })
    }

    fn let_go(&self, handle: usize) {
        answer_or_abort(|| {
            if let Ok((dispatcher, handle)) = dispatcher(handle) {
                dispatcher.let_go(handle);
            }
        });
    }

    fn retain(&self, callback: u64) -> RResult<RawCallback, Code> {
        answer(|| {
            let reference = callbacks::retain(CallbackId::from_raw(callback));
            reference.map(values::reference).ok_or(Code::INVALID_CALLBACK)
        })
    }

    fn extension(&self, _: RStr<'_>) -> *const c_void {
        // What 1.0.0 of the interface has is all there is.
        std::ptr::null()
    }

    fn on_lua_thread(&self, handle: usize) -> bool {
        dispatcher(handle).is_ok_and(|(dispatcher, _)| dispatcher.on_lua_thread())
    }
}
