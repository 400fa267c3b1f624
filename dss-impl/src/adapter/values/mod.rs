//! What all revisions share whose libraries hand over values, in place of functions that decode.
//!
//! It is generic over the [`Wire`](wire::Wire), which has what one revision does in its own way, and it is compiled once for each wire. So a
//! revision pays for no call through a pointer that an adapter of its own would not need.
//!
//! | file | has |
//! |---|---|
//! | `wire.rs` | what is a revision's own |
//! | `mod.rs` | how the core calls its libraries |
//! | `service.rs` | how its libraries call the core |
//! | `record.rs` | what is queued for one delivery |
//! | `push.rs` | values on their way to Lua |
//! | `objects.rs` | the objects that Lua has of a library |
//! | `module.rs` | a loaded library, as Lua calls it |
//! | `open.rs` | mapping a library's file, and its registration |
//!
//! And for wires that need it:
//!
//! | file | has |
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
use crate::value::{Raised, Value};
use objects::Objects;
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
    /// The objects of the library's that Lua has.
    objects: Arc<Objects<W>>,
}

impl<W: Wire> Context<W> {
    /// # Safety
    /// `context` is a registration's of a library of that wire, not yet released.
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
        // SAFETY: `deliver` made the record, and it is this call's until the delivery ends.
        let mut record = unsafe { Record::<W>::of(payload) };
        // SAFETY: on the Lua thread, protected, with nothing droppable here: the record has all that is.
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

    unsafe fn discard(&self, _: Handle, payload: &Payload, stage: Stage) {
        if stage == Stage::Finished {
            // SAFETY: the last call with that payload.
            unsafe { Record::<W>::end(payload, drop) };
        }
    }

    unsafe fn closing(&self, handle: Handle, context: usize) {
        // SAFETY: `register` made it, and it is released after this call.
        let context = unsafe { Context::<W>::of(context) };
        // SAFETY: likewise.
        unsafe { W::closing(&context.own, handle) };
    }

    unsafe fn release(&self, context: usize) {
        let context: *mut Context<W> = std::ptr::with_exposed_provenance_mut(context);
        // SAFETY: `register` made it, and this is the last call with it.
        let Context { own, objects } = *unsafe { Box::from_raw(context) };
        let _releasing = Releasing::<W>(Some(own));
        // What Lua still has of it is not used any more, and not dropped again.
        objects.drop_all();
    }
}

/// A registration that is released when this is dropped, also if the drop of one of its objects is left by an exception.
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
        // SAFETY: the reply has begun, or the decode runs, so the record is this call's.
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
        unsafe { Record::<W>::end(payload, complete) };
    }
}
