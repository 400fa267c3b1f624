//! What all revisions share whose libraries hand over values instead of decode functions.
//!
//! This code is generic over the [`Wire`](wire::Wire), which contains what differs between revisions. It is compiled once for each wire, so
//! no revision pays for calls through pointers that an adapter of its own would not need.
//!
//! | file | contents |
//! |---|---|
//! | `wire.rs` | what differs between revisions |
//! | `mod.rs` | how the core calls its libraries |
//! | `service.rs` | how its libraries call the core |
//! | `packed.rs` | what is queued for a delivery of at most two plain values |
//! | `record.rs` | what is queued for any other delivery |
//! | `push.rs` | pushing values to Lua |
//! | `objects.rs` | the objects of a library that Lua owns |
//! | `module.rs` | a loaded library, as Lua calls it |
//! | `open.rs` | mapping a library's file, and its registration |
//!
//! For some wires:
//!
//! | file | contents |
//! |---|---|
//! | `copied.rs` | values that DSS copies |
//! | `calls.rs` | calls by Lua, as numbers |
//! | `deadlines.rs`, `waiting.rs` | requests that DSS ends in time; requests whose thread waits |

pub(super) mod calls;
pub(super) mod copied;
pub(super) mod deadlines;
mod module;
pub(super) mod objects;
pub(super) mod open;
mod packed;
mod push;
mod record;
pub(super) mod service;
pub(super) mod waiting;
pub(super) mod wire;

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::handle::Handle;
use crate::outcome::{Failure, Outcome};
use crate::payload::Payload;
use crate::port::{Adapter, Answers, FAILED, RequestPort, Stage};
use crate::states;
use crate::value::{Raised, Value};
use objects::Objects;
use packed::Packed;
use record::{Record, RequestPart};
use wire::Wire;

/// The adapter of a wire's revision.
struct Values<W>(PhantomData<W>);

/// The adapter of that wire's revision.
fn adapter<W: Wire>() -> &'static Values<W> {
    const { &Values(PhantomData) }
}

/// What a registration's context points to.
struct Context<W: Wire> {
    own: W::Own,
    /// The library's objects that Lua owns.
    objects: Arc<Objects<W>>,
}

impl<W: Wire> Context<W> {
    /// # Safety
    /// `context` belongs to a registration of a library of that wire, and has not been released.
    unsafe fn of<'a>(context: usize) -> &'a Self {
        let context: *const Self = std::ptr::with_exposed_provenance(context);
        // SAFETY: as the caller promises: `register` made it.
        unsafe { &*context }
    }
}

impl<W: Wire> Adapter for Values<W> {
    fn revision(&self) -> &'static str {
        W::NAME
    }

    fn number(&self) -> u32 {
        W::NUMBER
    }

    fn may_throw(&self) -> bool {
        W::MAY_THROW
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
        if let Some(packed) = Packed::of(payload) {
            // SAFETY: on the Lua thread, in a protected call. Nothing here has to be dropped.
            return unsafe { packed.push(lua, handle) }.unwrap_or_else(|sentence| {
                failure.set(sentence);
                FAILED
            });
        }
        // SAFETY: `deliver` made the record, and only this call uses it until the delivery ends.
        let mut record = unsafe { Record::<W>::of(payload) };
        // SAFETY: on the Lua thread, in a protected call. Nothing here has to be dropped: the record owns everything.
        match unsafe { push::push_delivery(lua, handle, &mut record) } {
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

    unsafe fn discard(&self, handle: Handle, payload: &Payload, stage: Stage) {
        let at = match stage {
            Stage::Queued | Stage::Waiting => return,
            Stage::Finished => states::dispatcher_at(handle.dispatcher),
            Stage::Discarded => None,
        };
        match Packed::of(payload) {
            Some(packed) => states::release_callback(packed.callback(handle.dispatcher)),
            // SAFETY: this is the last call with that payload; for `Finished` on the Lua thread, inside a call of Lua.
            None => unsafe { Record::<W>::end(payload, at, drop) },
        }
    }

    unsafe fn closing(&self, handle: Handle, context: usize) {
        // SAFETY: `register` made it, and it is released only after this call.
        let context = unsafe { Context::<W>::of(context) };
        // SAFETY: likewise.
        unsafe { W::closing(&context.own, handle) };
    }

    unsafe fn release(&self, context: usize) {
        let context: *mut Context<W> = std::ptr::with_exposed_provenance_mut(context);
        // SAFETY: `register` made it, and this is its last use.
        let Context { own, objects } = *unsafe { Box::from_raw(context) };
        let _releasing = Releasing::<W>(Some(own));
        // Objects that Lua still refers to are not used or dropped again.
        objects.drop_all();
    }
}

/// A registration. It is released when this is dropped, even if an exception leaves the drop of one of its objects.
struct Releasing<W: Wire>(Option<W::Own>);

impl<W: Wire> Drop for Releasing<W> {
    fn drop(&mut self) {
        if let Some(own) = self.0.take() {
            // SAFETY: `Values::release` made this, as the last call with the registration.
            unsafe { W::release(own) };
        }
    }
}

impl<W: Wire> RequestPort for Values<W> {
    fn identifies_callbacks(&self) -> bool {
        W::IDENTIFIES_CALLBACKS
    }

    unsafe fn answer(&self, payload: &Payload, answer: Result<Vec<Value>, Raised>) -> Result<(), String> {
        // SAFETY: the reply has begun, or the decode is running, so only this call uses the record.
        let record = unsafe { Record::<W>::of(payload) };
        if let Some(request) = record.request() {
            request.answer = Some(answer);
        }
        Ok(())
    }

    unsafe fn complete(&self, payload: &Payload, outcome: Outcome) {
        // SAFETY: called once for each request.
        let complete = |it: Box<RequestPart<W>>| unsafe { W::complete(it.completion, outcome, it.answer) };
        // SAFETY: called once, for a request, as the last use of the record.
        unsafe { Record::<W>::end(payload, None, complete) };
    }
}
