//! The functions that DSS offers to v2 libraries.

use std::ffi::c_void;
use std::time::Duration;

use abi_stable::std_types::{RNone, RResult, RSlice, RSome, RStr};
use dss_abi_v2::contract::{
    Accepted, AcceptedMany, Code, ENDED_CANCELLED, ENDED_TIMED_OUT, POLICY_DROP_OLDEST, POLICY_LATEST,
    POLICY_REFUSE, POLICY_WAIT, RawDelivery, RawLimits, RawRegistration, RawRequest, Registered, Service,
};
use dss_abi_v2::value::{RawCallback, RawValue};

use super::REVISION;
use super::wire::{Completion, Own, V2, reference};
use crate::adapter::panics::{answer, answer_or_abort};
use crate::adapter::values::open::{NotRegistered, Registering, register};
use crate::adapter::values::service::{
    Given, Refused, Source, deliver, deliver_many, dispatcher, end_all, request,
};
use crate::adapter::values::wire::{Plain, Shape, Wire};
use crate::callbacks::CallbackId;
use crate::capacity::{Limits, Policy};
use crate::channel::ChannelId;
use crate::delivery::{self, Announced, DeliverError};
use crate::outcome::Outcome;
use crate::states;

pub(super) struct V2Service;

/// What a library gets after a panic of DSS's. The contract does not use this code.
const PANICKED: Code = Code(u32::MAX);

fn code(refused: impl Into<Refused>) -> Code {
    match refused.into() {
        // v2 has no channels.
        Refused::Deliver(DeliverError::InvalidHandle | DeliverError::InvalidChannel) => Code::INVALID_HANDLE,
        Refused::Deliver(DeliverError::Stopping) => Code::STOPPING,
        Refused::Deliver(DeliverError::OutOfMemory) => Code::OUT_OF_MEMORY,
        Refused::Deliver(DeliverError::WouldDeadlock) => Code::WOULD_DEADLOCK,
        Refused::Deliver(DeliverError::Full) => Code::FULL,
        Refused::Deliver(DeliverError::TimedOut) => Code::TIMED_OUT,
        Refused::Deliver(DeliverError::TooLarge) => Code::TOO_LARGE,
        Refused::InvalidCallback => Code::INVALID_CALLBACK,
        Refused::TooDeep => Code::TOO_DEEP,
        // In v2 the types say which library an object belongs to.
        Refused::Malformed | Refused::NotYours => Code::MALFORMED,
    }
}

/// The outcome for an end that a library may choose. None for other numbers.
fn outcome(ended: u32) -> Option<Outcome> {
    match ended {
        ENDED_TIMED_OUT => Some(Outcome::TimedOut),
        ENDED_CANCELLED => Some(Outcome::Withdrawn),
        _ => None,
    }
}

/// A library's limits. None if they have no room for an item, or the policy is unknown.
fn limits(raw: RawLimits) -> Option<Limits> {
    if raw.items == 0 || raw.bytes == 0 {
        return None;
    }
    let policy = match raw.policy {
        POLICY_REFUSE => Policy::Refuse,
        POLICY_WAIT => Policy::Wait(Duration::from_nanos(raw.wait)),
        POLICY_DROP_OLDEST => Policy::DropOldest,
        POLICY_LATEST => Policy::Latest,
        _ => return None,
    };
    Some(Limits { items: raw.items, bytes: raw.bytes, policy })
}

#[inline]
fn given<'a>(delivery: &'a RawDelivery<'_>) -> Given<'a, &'a RawDelivery<'a>> {
    let values = delivery;
    Given { callback: delivery.callback, values, channel: ChannelId::FIRST, key: delivery.key.as_slice() }
}

impl Source<V2> for &RawDelivery<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.count
    }

    #[inline]
    fn plain(&self, at: usize) -> Option<Plain> {
        // SAFETY: the contract of `RawDelivery`: an array of that length, and nobody else uses it meanwhile.
        let values: &mut [RawValue] =
            unsafe { std::slice::from_raw_parts_mut(self.values.cast(), self.count) };
        match V2::shape(values.get_mut(at)?) {
            Shape::Plain(value) => Some(value),
            _ => None,
        }
    }

    #[inline]
    unsafe fn write(&self, to: *mut RawValue) -> Result<(), Refused> {
        if self.count > 0 {
            // SAFETY: the contract of `RawDelivery`: an array of that length, borrowed for the length of the call. The callee owns the values if it
            // takes them. `to` is the caller's own memory, with room for them.
            unsafe { std::ptr::copy_nonoverlapping(self.values.cast(), to, self.count) };
        }
        Ok(())
    }

    unsafe fn give_back(_: &mut [RawValue]) {
        // The library still has the values, unchanged.
    }
}

fn accepted(accepted: delivery::Accepted) -> Accepted {
    Accepted { ticket: accepted.sequence, announced: accepted.announced == Announced::Yes }
}

fn many(handle: usize, deliveries: &[RawDelivery<'_>]) -> Result<AcceptedMany, Code> {
    let batch = deliver_many::<V2, _>(handle, deliveries.iter().map(|it| Ok(given(it)))).map_err(code)?;
    Ok(AcceptedMany {
        taken: batch.accepted.taken,
        first: batch.accepted.first,
        announced: batch.accepted.announced == Announced::Yes,
        refused: batch.refused.map_or(RNone, |refused| RSome(code(refused))),
    })
}

fn registered(state: usize, given: &RawRegistration) -> Result<Registered, Code> {
    let own = Own {
        closing: given.closing.into_option(),
        release: given.release.into_option(),
        context: given.context.expose_provenance(),
    };
    let registering = Registering::<V2> {
        libid: given.libid,
        name: given.name.as_str(),
        version: given.version.as_str(),
        functions: given.functions.as_slice(),
        classes: given.classes.as_slice(),
        limits: limits(given.limits),
        keeps_alive: given.keeps_alive,
        context: own.context,
        own,
    };
    match register(state, registering) {
        Ok(handle) => Ok(Registered { handle: handle.to_raw(), already: false }),
        Err(NotRegistered::Already(handle)) => Ok(Registered { handle: handle.to_raw(), already: true }),
        Err(NotRegistered::InvalidState) => Err(Code::INVALID_STATE),
        Err(NotRegistered::Malformed) => Err(Code::MALFORMED),
        Err(NotRegistered::Stopping) => Err(Code::STOPPING),
        Err(NotRegistered::OutOfMemory) => Err(Code::OUT_OF_MEMORY),
    }
}

impl Service for V2Service {
    fn register(&self, state: usize, registration: RawRegistration) -> RResult<Registered, Code> {
        answer(PANICKED, || registered(state, &registration)).into()
    }

    fn unregister(&self, handle: usize) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle).map_err(code)?;
            dispatcher.unregister(handle).map_err(|_| Code::INVALID_HANDLE)
        })
        .into()
    }

    #[inline(always)] // otherwise the caller reloads a result that was just written in parts, and stalls
    fn deliver(&self, handle: usize, delivery: RawDelivery<'_>) -> RResult<Accepted, Code> {
        answer_or_abort(|| deliver::<V2, _>(handle, given(&delivery)).map(accepted).map_err(code)).into()
    }

    fn deliver_many(&self, handle: usize, deliveries: RSlice<'_, RawDelivery<'_>>) -> AcceptedMany {
        let refused = |code| AcceptedMany { taken: 0, first: 0, announced: true, refused: RSome(code) };
        answer_or_abort(|| many(handle, deliveries.as_slice()).unwrap_or_else(refused))
    }

    fn request(&self, handle: usize, wanted: RawRequest<'_>) -> RResult<Accepted, Code> {
        answer_or_abort(|| {
            let RawRequest { delivery, complete, context } = &wanted;
            let completion = Completion { complete: *complete, context: context.expose_provenance() };
            request::<V2, _>(handle, given(delivery), completion).map(accepted).map_err(code)
        })
        .into()
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
        answer_or_abort(|| end_all::<V2>(handle, callback, outcome))
    }

    fn limit(&self, handle: usize, wanted: RawLimits) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle).map_err(code)?;
            let limits = limits(wanted).ok_or(Code::MALFORMED)?;
            dispatcher.limit(handle, REVISION.number, ChannelId::FIRST, limits).map_err(code)
        })
        .into()
    }

    fn keep_alive(&self, handle: usize, keeps: bool) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle).map_err(code)?;
            dispatcher.keep_alive(handle, keeps).map_err(code)
        })
        .into()
    }

    fn hold(&self, handle: usize) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle).map_err(code)?;
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
            let retained = states::retain_callback(CallbackId::from_raw(callback));
            retained.map(reference).ok_or(Code::INVALID_CALLBACK)
        })
        .into()
    }

    fn extension(&self, _: RStr<'_>) -> *const c_void {
        // The interface is still that of 1.0.0, without extensions.
        std::ptr::null()
    }

    fn on_lua_thread(&self, handle: usize) -> bool {
        dispatcher(handle).is_ok_and(|(dispatcher, _)| dispatcher.on_lua_thread())
    }
}
