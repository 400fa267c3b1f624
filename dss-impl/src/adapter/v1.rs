//! The adapter of revision v1.

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use abi_stable::StableAbi;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RBox, RResult};
use dss_abi::{RENDEZVOUS_KEY, Request};
use dss_abi_v1::contract::{
    Accepted, ClosingFn, Code, DecodeFn, ENDED_CANCELLED, ENDED_COLLECTED, ENDED_DECODED, ENDED_FAILED,
    ENDED_REPLIED, FinishFn, RawDelivery, RawLua, RawRegistration, Registered, ReplyFn, Report, Service,
    ServiceObject,
};

use super::layouts::Layouts;
use super::panics::{answer, answer_or_abort};
use crate::declared::Status;
use crate::delivery::{Announced, DeliverError, Delivery};
use crate::dispatcher::{Dispatcher, RegisterError};
use crate::handle::Handle;
use crate::image;
use crate::library::Registration;
use crate::outcome::{Failure, Outcome};
use crate::payload::Payload;
use crate::port::{Adapter, Answers, ReplyPort, Stage};
use crate::reserve;
use crate::revision::{Found, Grant, Revision};
use crate::states::{self, StateRef};

/// The revision. Its libraries find the rendezvous in the registry, and ask it.
pub static REVISION: Revision = Revision {
    number: dss_abi_v1::REVISION,
    name: "v1",
    version: dss_abi_v1::VERSION,
    status: Status::Supported,
    found: Found::Rendezvous { marker: RENDEZVOUS_KEY, grant },
};

// Where 1.0.0 has each field. This is not next to the types because their crate also builds with compilers that cannot check it.
const _: () = {
    const WORD: usize = size_of::<usize>();
    assert!(offset_of!(RawRegistration<'static>, libid) == 0);
    assert!(offset_of!(RawRegistration<'static>, name) == WORD);
    assert!(offset_of!(RawRegistration<'static>, closing) == 3 * WORD);
    assert!(offset_of!(RawRegistration<'static>, release) == 5 * WORD);
    assert!(offset_of!(RawRegistration<'static>, context) == 7 * WORD);

    assert!(offset_of!(RawDelivery, decode) == 0);
    assert!(offset_of!(RawDelivery, reply) == WORD);
    assert!(offset_of!(RawDelivery, finish) == 3 * WORD);
    assert!(offset_of!(RawDelivery, data) == 5 * WORD);

    assert!(offset_of!(Report, context) == 0);
    assert!(offset_of!(Report, write) == WORD);

    assert!(offset_of!(Registered, handle) == 0);
    assert!(offset_of!(Registered, already) == WORD);

    assert!(offset_of!(Accepted, announced) == 0);
    assert!(offset_of!(Accepted, ended) == 4);

    // Their crate asserts the sizes for 64 bits.
    assert!(size_of::<Report>() == 2 * WORD);
    assert!(size_of::<RawDelivery>() == 6 * WORD);
    assert!(size_of::<RawRegistration<'static>>() == 8 * WORD);
    assert!(size_of::<Registered>() == 2 * WORD);
    assert!(size_of::<Accepted>() == 8);
    assert!(size_of::<ServiceObject>() == 3 * WORD);
};

// As the boundary must call them: a Lua error may leave a decode function in C, and LuaJIT's errors are exceptions.
type Decode = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, usize, Report) -> c_int;
type Reply = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, usize, bool, Report) -> c_int;

struct V1;

static ADAPTER: V1 = V1;

static LAYOUTS: Layouts = Layouts::new("v1", "dss-abi-v1", dss_abi_v1::check_layouts);

fn grant(request: &Request, library: &str) -> Result<Grant, String> {
    static ROOT: OnceLock<ServiceObject> = OnceLock::new();
    let root = || ROOT.get_or_init(|| ServiceObject::from_ptr(RBox::new(V1), TD_Opaque));
    LAYOUTS.grant(request, library, <ServiceObject as StableAbi>::LAYOUT, root)
}

fn code(error: DeliverError) -> Code {
    match error {
        DeliverError::InvalidHandle => Code::INVALID_HANDLE,
        DeliverError::Stopping => Code::STOPPING,
        DeliverError::OutOfMemory => Code::OUT_OF_MEMORY,
        // v1 has no limits, and no codes for these.
        DeliverError::Full
        | DeliverError::TooLarge
        | DeliverError::TimedOut
        | DeliverError::InvalidChannel => Code::OUT_OF_MEMORY,
        DeliverError::WouldDeadlock => Code::WOULD_DEADLOCK,
    }
}

fn ended(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Decoded => ENDED_DECODED,
        Outcome::Replied => ENDED_REPLIED,
        Outcome::Collected => ENDED_COLLECTED,
        Outcome::Cancelled => ENDED_CANCELLED,
        Outcome::Failed => ENDED_FAILED,
        // v1 has no codes for these, and they cannot happen to its deliveries.
        Outcome::Withdrawn | Outcome::TimedOut | Outcome::Dropped => ENDED_CANCELLED,
    }
}

/// What a registration's context points to.
struct Context {
    closing: Option<ClosingFn>,
    release: Option<FinishFn>,
    context: usize,
}

fn dispatcher(handle: usize) -> Result<(&'static Dispatcher, Handle), Code> {
    let handle = Handle::from_raw(handle);
    states::dispatcher_of(handle).map(|dispatcher| (dispatcher, handle)).ok_or(Code::INVALID_HANDLE)
}

fn state(lua: RawLua) -> Result<StateRef, Code> {
    // SAFETY: what a `RawLua` says.
    let state = unsafe { states::find(lua.as_ptr()) }.ok_or(Code::NOT_REQUIRED)?;
    state.get().map(|_| state).ok_or(Code::STOPPING)
}

fn register(lua: RawLua, given: RawRegistration<'_>) -> Result<Registered, Code> {
    let context = Context {
        closing: given.closing.into_option(),
        release: given.release.into_option(),
        context: given.context.addr(),
    };
    let state = match state(lua) {
        Ok(state) => state,
        Err(code) => {
            release(context);
            return Err(code);
        }
    };
    // Pinning the id is not enough: it may have been made at run time, and be in no image.
    image::pin(given.libid);
    image::pin(context.closing.map_or(0, |closing| closing.0 as usize));
    image::pin(context.release.map_or(0, |release| release.0 as usize));
    if reserve::is_low() {
        release(context);
        return Err(Code::OUT_OF_MEMORY);
    }
    let name = (!given.name.is_empty()).then(|| Arc::from(given.name.as_str()));
    let context = Box::into_raw(Box::new(context)).expose_provenance();
    let registration = Registration { libid: given.libid, name, adapter: &ADAPTER, context, terms: None };
    // SAFETY: what a `RawLua` says: on the Lua thread, in a call that Lua made.
    match unsafe { state.dispatcher.within_lua(|| state.dispatcher.register(registration)) } {
        Ok(handle) => Ok(Registered { handle: handle.to_raw(), already: false }),
        Err(RegisterError::AlreadyRegistered(handle)) => {
            Ok(Registered { handle: handle.to_raw(), already: true })
        }
        Err(RegisterError::Stopping) => Err(Code::STOPPING),
        Err(RegisterError::Full | RegisterError::OutOfMemory) => Err(Code::OUT_OF_MEMORY),
    }
}

fn release(context: Context) {
    if let Some(FinishFn(release)) = context.release {
        // SAFETY: the contract of `RawRegistration`: once, as the last call with that context.
        unsafe { release(context.context as *mut c_void) };
    }
}

fn deliver(handle: usize, delivery: RawDelivery) -> Result<Accepted, Code> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let finish = delivery.finish.into_option().ok_or(Code::MISSING_FUNCTION)?;
    let payload = Payload([delivery.decode.0 as usize, finish.0 as usize, delivery.data.addr()]);
    let accepted = dispatcher.deliver(handle, Delivery::new(REVISION.number, payload)).map_err(code)?;
    Ok(Accepted { announced: accepted.announced == Announced::Yes, ended: 0 })
}

fn deliver_and_wait(handle: usize, delivery: RawDelivery) -> Result<Accepted, Code> {
    let (dispatcher, handle) = dispatcher(handle)?;
    let reply = delivery.reply.into_option().ok_or(Code::MISSING_FUNCTION)?;
    let payload = Payload([delivery.decode.0 as usize, reply.0 as usize, delivery.data.addr()]);
    let (outcome, announced) =
        dispatcher.deliver_and_wait(handle, Delivery::new(REVISION.number, payload)).map_err(code)?;
    Ok(Accepted { announced: announced == Announced::Yes, ended: ended(outcome) })
}

/// What a library gets after a panic of DSS's. The contract does not use this code.
const PANICKED: Code = Code(u32::MAX);

impl Service for V1 {
    fn register(&self, lua: RawLua, registration: RawRegistration<'_>) -> RResult<Registered, Code> {
        answer(PANICKED, || register(lua, registration)).into()
    }

    fn handle(&self, lua: RawLua, libid: usize) -> RResult<usize, Code> {
        answer(PANICKED, || {
            let dispatcher = state(lua)?.dispatcher;
            // SAFETY: what a `RawLua` says: on the Lua thread, in a call that Lua made.
            let found = unsafe { dispatcher.within_lua(|| dispatcher.find(libid)) };
            Ok(found.ok_or(Code::UNKNOWN_LIBRARY)?.to_raw())
        })
        .into()
    }

    #[inline(always)] // otherwise the caller reloads a result that was just written in parts, and stalls
    fn deliver(&self, handle: usize, delivery: RawDelivery) -> RResult<Accepted, Code> {
        answer_or_abort(|| deliver(handle, delivery)).into()
    }

    fn deliver_and_wait(&self, handle: usize, delivery: RawDelivery) -> RResult<Accepted, Code> {
        answer_or_abort(|| deliver_and_wait(handle, delivery)).into()
    }

    fn unregister(&self, handle: usize) -> RResult<(), Code> {
        answer(PANICKED, || {
            let (dispatcher, handle) = dispatcher(handle)?;
            dispatcher.unregister(handle).map_err(|_| Code::INVALID_HANDLE)
        })
        .into()
    }
}

/// A report that writes into `failure`.
fn report(failure: &mut Failure) -> Report {
    unsafe extern "C" fn write(context: *mut c_void, bytes: *const u8, length: usize) {
        // The pointer of an empty slice may not be NULL, but that of an empty text may.
        let bytes = if length == 0 { NonNull::dangling().as_ptr() } else { bytes };
        // SAFETY: the contract of `Report`: UTF-8 that may be read for the length of the call.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, length) };
        // SAFETY: `context` is the `Failure` below, which lives as long as the call that gets the report.
        let failure = unsafe { &mut *context.cast::<Failure>() };
        failure.set(&String::from_utf8_lossy(bytes));
    }
    Report { context: std::ptr::from_mut(failure).cast(), write }
}

/// A report for calls whose failure cannot be reported to anyone.
fn no_report() -> Report {
    unsafe extern "C" fn write(_: *mut c_void, _: *const u8, _: usize) {}
    Report { context: std::ptr::null_mut(), write }
}

/// A payload is the decode function, the reply function if a thread waits (otherwise the finish function), and the library's data.
impl V1 {
    fn decode_of(payload: &Payload) -> Decode {
        const _: () = assert!(size_of::<DecodeFn>() == size_of::<usize>());
        // SAFETY: `deliver` put the library's decode function there; the types differ only in unwinding.
        unsafe { std::mem::transmute::<usize, Decode>(payload.0[0]) }
    }

    fn reply_of(payload: &Payload) -> Reply {
        const _: () = assert!(size_of::<ReplyFn>() == size_of::<usize>());
        // SAFETY: only called if a thread waits; `deliver_and_wait` put the library's reply function there.
        unsafe { std::mem::transmute::<usize, Reply>(payload.0[1]) }
    }

    fn data_of(payload: &Payload) -> *mut c_void {
        payload.0[2] as *mut c_void
    }
}

impl Adapter for V1 {
    fn revision(&self) -> &'static str {
        REVISION.name
    }

    fn number(&self) -> u32 {
        REVISION.number
    }

    fn answers(&self) -> Answers<'_> {
        Answers::Function(self)
    }

    unsafe fn decode(
        &self,
        lua: *mut c_void,
        handle: Handle,
        payload: &Payload,
        failure: &mut Failure,
    ) -> c_int {
        let data = Self::data_of(payload);
        // SAFETY: the contract of `DecodeFn`, with the library's own values.
        unsafe { Self::decode_of(payload)(lua, data, handle.to_raw(), report(failure)) }
    }

    unsafe fn discard(&self, handle: Handle, payload: &Payload, stage: Stage) {
        let (lua, data) = (std::ptr::null_mut(), Self::data_of(payload));
        match stage {
            Stage::Finished | Stage::Discarded => {
                // SAFETY: no thread waits, so `deliver` put the library's finish function there.
                let finish = unsafe { std::mem::transmute::<usize, FinishFn>(payload.0[1]) };
                // SAFETY: the contract of `FinishFn`: once, as the last call with that data.
                unsafe { (finish.0)(data) };
            }
            // SAFETY: the contract of `DecodeFn`: a NULL state means that the delivery is cancelled.
            Stage::Queued => unsafe {
                Self::decode_of(payload)(lua, data, handle.to_raw(), no_report());
            },
            // SAFETY: the contract of `ReplyFn`: a NULL state means that the delivery is cancelled.
            Stage::Waiting => unsafe {
                Self::reply_of(payload)(lua, data, handle.to_raw(), false, no_report());
            },
        }
    }

    unsafe fn closing(&self, handle: Handle, context: usize) {
        let context: *const Context = std::ptr::with_exposed_provenance(context);
        // SAFETY: `register` made it, and it is released only after this call.
        let context = unsafe { &*context };
        if let Some(ClosingFn(closing)) = context.closing {
            // SAFETY: the contract of `ClosingFn`.
            unsafe { closing(context.context as *mut c_void, handle.to_raw()) };
        }
    }

    unsafe fn release(&self, context: usize) {
        let context: *mut Context = std::ptr::with_exposed_provenance_mut(context);
        // SAFETY: `register` made it, and this is its last use.
        release(*unsafe { Box::from_raw(context) });
    }
}

impl ReplyPort for V1 {
    unsafe fn reply(
        &self,
        lua: *mut c_void,
        handle: Handle,
        payload: &Payload,
        garbage: bool,
        failure: &mut Failure,
    ) -> c_int {
        let data = Self::data_of(payload);
        // SAFETY: the contract of `ReplyFn`, with the library's own values.
        unsafe { Self::reply_of(payload)(lua, data, handle.to_raw(), garbage, report(failure)) }
    }
}
