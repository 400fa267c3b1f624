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

use crate::adapter::Adapter;
use crate::delivery::{Outcome, Parcel};
use crate::handle::Handle;
use crate::library::Registration;

fn guarded(adapter: &'static dyn Adapter, call: impl FnOnce()) {
    if adapter.may_throw() {
        return call();
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        // The payload may be another image's; its destructor is foreign code too, so it is let lie.
        std::mem::forget(panic);
    }
}

/// Cancels an item that is queued.
pub(crate) fn cancel_queued(
    adapter: &'static dyn Adapter,
    handle: Handle,
    parcel: &Parcel,
    waited_for: bool,
) {
    // SAFETY: the parcel was given by a library of this adapter's revision, is cancelled once, and was not decoded.
    guarded(adapter, || unsafe { adapter.cancel_queued(handle, parcel) });
    if !waited_for {
        finish(adapter, parcel);
    }
}

/// Cancels a delivery whose reply Lua has.
pub(crate) fn cancel_waiting(adapter: &'static dyn Adapter, handle: Handle, parcel: &Parcel) {
    // SAFETY: the parcel was given by a library of this adapter's revision, was decoded, and is cancelled once.
    guarded(adapter, || unsafe { adapter.cancel_waiting(handle, parcel) });
}

/// Tells a library that DSS is done with a delivery that no thread waits for.
#[inline]
pub(crate) fn finish(adapter: &'static dyn Adapter, parcel: &Parcel) {
    if parcel.finish != 0 {
        call_finish(adapter, parcel);
    }
}

// Apart, for 1.0's libraries have no such function, and their way is to be short.
#[inline(never)]
fn call_finish(adapter: &'static dyn Adapter, parcel: &Parcel) {
    // SAFETY: called once for a parcel that was taken, after all other calls for it.
    guarded(adapter, || unsafe { adapter.finish(parcel) });
}

/// Tells a library how a delivery ended that no thread sleeps for: the last call for it.
pub(crate) fn complete(adapter: &'static dyn Adapter, parcel: &Parcel, outcome: Outcome) {
    // SAFETY: called once for a parcel that was taken, after all other calls for it.
    guarded(adapter, || unsafe { adapter.complete(parcel, outcome) });
}

/// Tells a library that its state closes.
pub(crate) fn cancel_library(adapter: &'static dyn Adapter, handle: Handle, context: usize) {
    // SAFETY: `context` came with the registration that `handle` names, which its caller holds open.
    guarded(adapter, || unsafe { adapter.cancel_library(handle, context) });
}

/// Lets go of what a registration held.
pub(crate) fn release(registration: Registration) {
    let Registration { adapter, context, .. } = registration;
    // SAFETY: called once for a registration, after all calls with its context.
    guarded(adapter, || unsafe { adapter.release_library(context) });
}
