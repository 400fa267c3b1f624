//! How libraries of v2 call the core.

use std::ffi::c_void;

use abi_stable::std_types::{RNone, RResult, RSlice, RSome, RStr};
use dss_abi_v2::contract::{
    Accepted, AcceptedMany, Code, ENDED_CANCELLED, ENDED_TIMED_OUT, RawDelivery, RawLimits, RawRegistration,
    RawRequest, Registered, Service,
};
use dss_abi_v2::value::{RawCallback, RawValue};

use super::record::{Record, RequestPart};
use super::{ADAPTER, open, values};
use crate::adapter::panics::{answer, answer_or_abort};
use crate::callbacks::{self, CallbackId};
use crate::delivery::{self, Announced, DeliverError, Delivery, Outcome};
use crate::dispatcher::Dispatcher;
use crate::handle::Handle;
use crate::payload::Payload;
use crate::states;

/// What DSS hands out to libraries of v2.
pub(super) struct V2Service;

fn dispatcher(handle: usize) -> Result<(&'static Dispatcher, Handle), Code> {
    let handle = Handle::from_raw(handle);
    states::dispatcher_of(handle).map(|dispatcher| (dispatcher, handle)).ok_or(Code::INVALID_HANDLE)
}

fn code(error: DeliverError) -> Code {
    match error {
        DeliverError::InvalidHandle => Code::INVALID_HANDLE,
        DeliverError::Stopping => Code::STOPPING,
        DeliverError::OutOfMemory => Code::OUT_OF_MEMORY,
        DeliverError::WouldDeadlock => Code::WOULD_DEADLOCK,
        DeliverError::Full => Code::FULL,
        DeliverError::TimedOut => Code::TIMED_OUT,
        DeliverError::TooLarge => Code::TOO_LARGE,
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

/// Makes the payload of a delivery, and says what it counts for the bound. Until it is taken its values are the library's.
#[inline]
fn payload(
    delivery: &RawDelivery<'_>,
    dispatcher: &Dispatcher,
    request: Option<Box<RequestPart>>,
) -> Result<(Payload, u32), Code> {
    let given = if delivery.count == 0 {
        &[]
    } else {
        // SAFETY: the contract of `RawDelivery`: so many values, borrowed for the length of the call.
        unsafe { std::slice::from_raw_parts(delivery.values.cast::<RawValue>(), delivery.count) }
    };
    let bytes = values::measure(given, dispatcher)?;
    let callback =
        dispatcher.retain(CallbackId::from_raw(delivery.callback)).ok_or(Code::INVALID_CALLBACK)?;
    // SAFETY: as above; whether they are given up is decided when the payload is taken or refused.
    let payload = unsafe { Record::make(delivery.callback, delivery.values, delivery.count, request) };
    let payload = payload.ok_or(Code::OUT_OF_MEMORY)?;
    // The record has the reference from here on.
    let _ = callback.into_raw();
    Ok((payload, bytes))
}

/// Takes a payload back that was refused: its values stay the library's.
fn take_back(payload: &Payload, callback: u64) {
    callbacks::release(CallbackId::from_raw(callback));
    // SAFETY: made for this call, and not taken.
    unsafe { Record::free(payload) };
}

/// What a key is within the library: keys are each callback's own. Empty where there is none.
#[inline]
fn key(delivery: &RawDelivery<'_>) -> Vec<u8> {
    if delivery.key.is_empty() {
        return Vec::new();
    }
    [&delivery.callback.to_ne_bytes(), delivery.key.as_slice()].concat()
}

fn accepted(accepted: delivery::Accepted) -> Accepted {
    Accepted { ticket: accepted.sequence, announced: accepted.announced == Announced::Yes }
}

fn deliver(handle: usize, delivery: &RawDelivery<'_>) -> Result<Accepted, Code> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let (payload, bytes) =
        payload(delivery, dispatcher, None).inspect_err(|_| dispatcher.count_refused(handle, 1))?;
    let given = Delivery { payload, stamp: dispatcher.stamp(), bytes, key: &key(delivery) };
    dispatcher.deliver(handle, given).map(accepted).map_err(|error| {
        take_back(&payload, delivery.callback);
        code(error)
    })
}

fn deliver_many(handle: usize, deliveries: &[RawDelivery<'_>]) -> Result<AcceptedMany, Code> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let mut payloads = Vec::with_capacity(deliveries.len());
    let mut malformed = None;
    for delivery in deliveries {
        match payload(delivery, dispatcher, None) {
            Ok((payload, bytes)) => payloads.push((payload, bytes, key(delivery))),
            Err(code) => {
                malformed = Some(code);
                break;
            }
        }
    }
    let given: Vec<_> = payloads
        .iter()
        .map(|(payload, bytes, key)| Delivery {
            payload: *payload,
            stamp: dispatcher.stamp(),
            bytes: *bytes,
            key,
        })
        .collect();
    let accepted = dispatcher.deliver_many(handle, &given);
    if malformed.is_some() {
        dispatcher.count_refused(handle, (deliveries.len() - payloads.len()) as u64);
    }
    for (given, delivery) in given.iter().zip(deliveries).skip(accepted.taken) {
        take_back(&given.payload, delivery.callback);
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
    let (payload, bytes) = payload(delivery, dispatcher, Some(Box::new(part)))
        .inspect_err(|_| dispatcher.count_refused(handle, 1))?;
    let given = Delivery { payload, stamp: dispatcher.stamp(), bytes, key: &[] };
    dispatcher.request(handle, given, &ADAPTER).map(accepted).map_err(|error| {
        take_back(&payload, delivery.callback);
        code(error)
    })
}

/// What a library is told after a panic of DSS's: no code of the contract.
const PANICKED: Code = Code(u32::MAX);

impl Service for V2Service {
    fn register(&self, state: usize, registration: RawRegistration) -> RResult<Registered, Code> {
        answer(PANICKED, || open::register(state, &registration)).into()
    }

    fn unregister(&self, handle: usize) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle)?;
            dispatcher.unregister(handle).map_err(|_| Code::INVALID_HANDLE)
        })
        .into()
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
            let callback = CallbackId::from_raw(callback);
            let ended = dispatcher(handle).map(|(dispatcher, handle)| {
                // SAFETY: the dispatcher asks for payloads of this library's that have not ended.
                dispatcher
                    .end_all(handle, outcome, |payload| unsafe { Record::callback_of(payload) == callback })
            });
            ended.unwrap_or(0)
        })
    }

    fn limit(&self, handle: usize, limits: RawLimits) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle)?;
            let limits = open::limits(limits).ok_or(Code::MALFORMED)?;
            dispatcher.limit(handle, limits).map_err(code)
        })
        .into()
    }

    fn keep_alive(&self, handle: usize, keeps: bool) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle)?;
            dispatcher.keep_alive(handle, keeps).map_err(code)
        })
        .into()
    }

    fn hold(&self, handle: usize) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle)?;
            dispatcher.hold(handle).map_err(code)
        })
        .into()
    }

    fn let_go(&self, handle: usize) {
        answer_or_abort(|| {
            if let Ok((dispatcher, handle)) = dispatcher(handle) {
                dispatcher.let_go(handle);
            }
        });
    }

    fn retain(&self, callback: u64) -> RResult<RawCallback, Code> {
        answer(PANICKED, || {
            let reference = callbacks::retain(CallbackId::from_raw(callback));
            reference.map(values::reference).ok_or(Code::INVALID_CALLBACK)
        })
        .into()
    }

    fn extension(&self, _: RStr<'_>) -> *const c_void {
        // What 1.0.0 of the interface has is all there is.
        std::ptr::null()
    }

    fn on_lua_thread(&self, handle: usize) -> bool {
        dispatcher(handle).is_ok_and(|(dispatcher, _)| dispatcher.on_lua_thread())
    }
}
