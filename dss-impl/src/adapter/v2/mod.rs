//! The adapter of revision v2.
//!
//! | file | has |
//! |---|---|
//! | `mod.rs` | the revision, and how the core calls its libraries |
//! | `service.rs` | how its libraries call the core |
//! | `record.rs` | what is queued for one delivery |
//! | `values.rs` | values, from the revision's to Lua's and back |
//! | `module.rs` | a loaded library, as Lua calls it |
//! | `open.rs` | mapping a library's file and opening it |

mod module;
mod open;
mod record;
mod service;
mod values;

use std::ffi::{c_int, c_void};
use std::sync::{Arc, OnceLock};

use abi_stable::StableAbi;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RBox, RString, RVec};
use dss_abi::{Request, RevisionStatus};
use dss_abi_v2::contract::{
    ClosingFn, DropFn, ENDED_ANSWERED, ENDED_CANCELLED, ENDED_CLOSED, ENDED_COLLECTED, ENDED_DROPPED,
    ENDED_FAILED, ENDED_TIMED_OUT, RawAnswer, ServiceObject,
};

use super::layouts::{self, Layouts};
use crate::delivery::{Failure, Outcome};
use crate::handle::Handle;
use crate::payload::Payload;
use crate::port::{Adapter, Answers, FAILED, RequestPort, Stage};
use crate::revision::{Found, Grant, Revision};
use crate::value::{Raised, Value};
use module::Objects;
use record::Record;

/// The revision. Its libraries declare themselves, DSS opens them, and they ask the rendezvous.
pub static REVISION: Revision = Revision {
    number: dss_abi_v2::REVISION,
    name: "v2",
    version: dss_abi_v2::VERSION,
    status: RevisionStatus::Supported,
    found: Found::File { fits: layouts::fits, open: open::open, grant },
};

/// The version of `abi_stable` whose layouts this DSS can check, as a library declares it.
pub const ABI_STABLE: &str = "0.11";

/// The compiler that built this, as a library declares its own.
pub const COMPILER: [u8; 64] = dss_abi_v2::declaration::Declaration::new("dss", "0.0.0", "*").compiler;

struct V2;

static ADAPTER: V2 = V2;

static LAYOUTS: Layouts = Layouts::new("v2", "dss-abi-v2", dss_abi_v2::check_layouts);

fn grant(request: &Request, library: &str) -> Result<Grant, String> {
    static ROOT: OnceLock<ServiceObject> = OnceLock::new();
    let root = || ROOT.get_or_init(|| ServiceObject::from_ptr(RBox::new(service::V2Service), TD_Opaque));
    LAYOUTS.grant(request, library, <ServiceObject as StableAbi>::LAYOUT, root)
}

/// What a registration's context points to.
struct Context {
    closing: Option<ClosingFn>,
    release: Option<DropFn>,
    context: usize,
    /// The objects of the library's that Lua has.
    objects: Arc<Objects>,
}

impl Context {
    /// # Safety
    /// `context` is a registration's, not yet released.
    unsafe fn of<'a>(context: usize) -> &'a Context {
        let context: *const Context = std::ptr::with_exposed_provenance(context);
        // SAFETY: as the caller promises: `register` made it.
        unsafe { &*context }
    }
}

impl Adapter for V2 {
    fn revision(&self) -> &'static str {
        REVISION.name
    }

    fn answers(&self) -> Answers<'_> {
        Answers::Return(self)
    }

    unsafe fn decode(
        &self,
        lua: *mut c_void,
        handle: Handle,
        payload: &Payload,
        failure: &mut Failure,
    ) -> c_int {
        // SAFETY: `deliver` made the record, and it is this call's until the delivery ends.
        let mut record = unsafe { Record::of(payload) };
        // SAFETY: on the Lua thread, protected, with nothing droppable here: the record has all that is.
        match unsafe { values::push_delivery(lua, handle, &mut record) } {
            Ok(count) => count,
            Err(sentence) => {
                failure.set(sentence);
                if let Some(request) = record.request() {
                    request.answer = Some(Err(Raised::from(sentence)));
                }
                FAILED
            }
        }
    }

    unsafe fn discard(&self, _: Handle, payload: &Payload, stage: Stage) {
        if stage == Stage::Finished {
            // SAFETY: the last call with that payload.
            unsafe { Record::drop(payload) };
        }
    }

    unsafe fn closing(&self, handle: Handle, context: usize) {
        // SAFETY: `register` made it, and it is released after this call.
        let context = unsafe { Context::of(context) };
        if let Some(ClosingFn(closing)) = context.closing {
            // SAFETY: the contract of `ClosingFn`.
            unsafe { closing(context.context as *mut c_void, handle.to_raw()) };
        }
    }

    unsafe fn release(&self, context: usize) {
        let context: *mut Context = std::ptr::with_exposed_provenance_mut(context);
        // SAFETY: `register` made it, and this is the last call with it.
        let context = unsafe { Box::from_raw(context) };
        // What Lua still has of it is not used any more, and not dropped again.
        context.objects.drop_all();
        if let Some(DropFn(release)) = context.release {
            // SAFETY: the contract of `RawRegistration`: once, as the last call with that context.
            unsafe { release(context.context as *mut c_void) };
        }
    }
}

impl RequestPort for V2 {
    unsafe fn answer(&self, payload: &Payload, answer: Result<Vec<Value>, Raised>) -> Result<(), String> {
        // SAFETY: the reply has begun, so the record is this call's.
        let record = unsafe { Record::of(payload) };
        let Some(request) = record.request() else { return Ok(()) };
        request.answer = Some(answer.map(values::from_lua));
        Ok(())
    }

    unsafe fn complete(&self, payload: &Payload, outcome: Outcome) {
        // SAFETY: called once, for a request.
        let record = unsafe { Record::of(payload) };
        let Some(request) = record.request() else { return };
        let (values, message, traceback) = match request.answer.take() {
            Some(Ok(values)) => (values, RString::new(), RString::new()),
            Some(Err(Raised { message, traceback, value })) => {
                let value = values::from_lua(value.into_iter().collect());
                (value, RString::from(message), RString::from(traceback))
            }
            None => (RVec::new(), RString::new(), RString::new()),
        };
        let ended = match outcome {
            Outcome::Replied | Outcome::Decoded => ENDED_ANSWERED,
            Outcome::Failed => ENDED_FAILED,
            Outcome::Collected => ENDED_COLLECTED,
            Outcome::Cancelled => ENDED_CLOSED,
            Outcome::Withdrawn => ENDED_CANCELLED,
            Outcome::TimedOut => ENDED_TIMED_OUT,
            Outcome::Dropped => ENDED_DROPPED,
        };
        let (complete, context) = (request.complete, request.context);
        // SAFETY: the last use of the record.
        unsafe { Record::drop(payload) };
        // SAFETY: the contract of `CompleteFn`: once, with the library's own context.
        unsafe { (complete.0)(context as *mut c_void, RawAnswer { ended, values, message, traceback }) };
    }
}
