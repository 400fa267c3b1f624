//! The boundary: every call from the core out into a library goes through here, with no lock held.
//!
//! What can raise a Lua error (decode and return with a live Lua) is called from `dss-lua`'s protected functions and
//! only named here; what runs without Lua is called here, behind a net for panics: a revision's contract says that
//! none comes, and a library that breaks it must not take the lock order or another library with it.
//!
//! Rust can catch its own panics, and ends the process where it would catch an exception of another language, or the unwinding by
//! which a thread is ended (`pthread_exit`). So there is no net around the libraries of a revision in C: what comes out of one goes on
//! to the code that called DSS, and callers of this module leave nothing undone where that happens.

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
        // The payload may be another image's; its destructor is foreign code too, so it is let lie.
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
        discard(adapter, handle, payload, Stage::Finished);
    }
}

/// Discards a delivery.
// Not inlined: one that ends well and that nobody waits for is rarely long, and its caller is to be short.
#[inline(never)]
pub(crate) fn discard(adapter: &'static dyn Adapter, handle: Handle, payload: &Payload, stage: Stage) {
    // SAFETY: a library of this adapter's revision handed the payload over, and the dispatcher ends it once, at that stage.
    guarded(adapter.may_throw(), || unsafe { adapter.discard(handle, payload, stage) });
}

/// Tells a library how its request ended: the last call for it.
pub(crate) fn complete(port: &'static dyn RequestPort, payload: &Payload, outcome: Outcome) {
    // SAFETY: called once for a payload that was taken, after all other calls for it.
    guarded(port.may_throw(), || unsafe { port.complete(payload, outcome) });
}

/// Tells a library that its state closes.
pub(crate) fn closing(adapter: &'static dyn Adapter, handle: Handle, context: usize) {
    // SAFETY: `context` came with the registration that `handle` names, which its caller holds open.
    guarded(adapter.may_throw(), || unsafe { adapter.closing(handle, context) });
}

/// Lets go of what a registration held.
pub(crate) fn release(adapter: &'static dyn Adapter, context: usize) {
    // SAFETY: called once for a registration, after all calls with its context.
    guarded(adapter.may_throw(), || unsafe { adapter.release(context) });
}
