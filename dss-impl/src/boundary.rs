//! The boundary: every call from the core out into a library goes through here, with no lock held.
//!
//! Functions that can raise a Lua error (decode and return with a live Lua) are called from `dss-lua`'s protected functions, and
//! are only named here. Functions that run without Lua are called here, and their panics are caught: a revision's contract forbids
//! panics, and a library that breaks it must not affect the lock order or another library.
//!
//! Rust can catch its own panics. It ends the process if it would have to catch an exception of another language, or the unwinding that
//! ends a thread (`pthread_exit`). So nothing is caught around the libraries of a C revision: what they throw goes on
//! to the code that called DSS, and the callers of this module leave nothing undone if that happens.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::port::{Adapter, RequestPort, Stage};

fn guarded(may_throw: bool, call: impl FnOnce()) {
    if may_throw {
        return call();
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        // The payload may belong to another image. Its destructor is foreign code too, so it is leaked.
        std::mem::forget(panic);
    }
}

/// Discards a delivery that was queued.
pub(crate) fn discard_queued(
    adapter: &'static dyn Adapter,
    handle: Handle,
    payload: &Payload,
    awaited: bool,
) {
    discard(adapter, handle, payload, Stage::Queued);
    if !awaited {
        discard(adapter, handle, payload, Stage::Discarded);
    }
}

/// Discards a delivery.
// Not inlined: a delivery that ends well and that nobody waits for rarely takes long, and the caller should stay short.
#[inline(never)]
pub(crate) fn discard(adapter: &'static dyn Adapter, handle: Handle, payload: &Payload, stage: Stage) {
    // SAFETY: a library of this adapter's revision handed the payload over, and the dispatcher ends it once, at that stage.
    guarded(adapter.may_throw(), || unsafe { adapter.discard(handle, payload, stage) });
}

/// Tells a library how its request ended. This is the last call for the request.
pub(crate) fn complete(port: &'static dyn RequestPort, payload: &Payload, outcome: Outcome) {
    // SAFETY: called once for a payload that was taken, after all other calls for it.
    guarded(port.may_throw(), || unsafe { port.complete(payload, outcome) });
}

/// Tells a library that its state closes.
pub(crate) fn closing(adapter: &'static dyn Adapter, handle: Handle, context: usize) {
    // SAFETY: `context` came with the registration that `handle` names, and the caller keeps that open.
    guarded(adapter.may_throw(), || unsafe { adapter.closing(handle, context) });
}

/// Releases what a registration held.
pub(crate) fn release(adapter: &'static dyn Adapter, context: usize) {
    // SAFETY: called once for a registration, after all calls with its context.
    guarded(adapter.may_throw(), || unsafe { adapter.release(context) });
}
