//! The adapters: the translation of one revision each onto the dispatcher. They decide nothing and hold no queue.

use std::ffi::{c_int, c_void};

use crate::callbacks::CallbackId;
use crate::clock::Stamp;
use crate::delivery::{Failure, Outcome, Parcel};
use crate::handle::Handle;
use crate::value::{Raised, Value};

#[cfg(not(loom))]
pub mod c1v0;
#[cfg(not(loom))]
mod layouts;
#[cfg(not(loom))]
mod panics;
#[cfg(not(loom))]
pub mod v1;
#[cfg(not(loom))]
pub mod v2;

/// What [`Adapter::decode`] and [`Adapter::reply`] return where they failed and wrote why.
pub const FAILED: c_int = c_int::MIN;

/// How the core calls the libraries of one revision.
///
/// # Safety rules, for all methods
/// A parcel is one that a library of this revision handed over and that was taken; each of its ends is told once.
/// No lock is held. Methods with a `lua` are called on the Lua thread, inside a protected call, with nothing droppable
/// between that call and the method: the library may raise a Lua error through it. The others may run on any thread.
pub trait Adapter: Sync {
    /// The revision's name.
    fn revision(&self) -> &'static str;

    /// Whether an exception of another language may come out of its libraries' code. It is let through then; elsewhere a panic, which
    /// is all that can come, ends at the boundary.
    fn may_throw(&self) -> bool {
        false
    }

    /// Decodes, on an empty stack; returns the number of results, 0 or less where the delivery is over, or
    /// [`FAILED`] with the reason in `failure`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn decode(
        &self,
        lua: *mut c_void,
        handle: Handle,
        parcel: &Parcel,
        failure: &mut Failure,
    ) -> c_int;

    /// Hands the arguments on the stack to the library; returns the number of results, or [`FAILED`].
    ///
    /// # Safety
    /// See the trait.
    unsafe fn reply(
        &self,
        lua: *mut c_void,
        handle: Handle,
        parcel: &Parcel,
        garbage: bool,
        failure: &mut Failure,
    ) -> c_int;

    /// Cancels what was queued.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn cancel_queued(&self, handle: Handle, parcel: &Parcel);

    /// Cancels what was decoded and waits for its reply.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn cancel_waiting(&self, handle: Handle, parcel: &Parcel);

    /// Says that DSS is done with a parcel that no thread waits for. Called only where `parcel.finish` is not 0.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn finish(&self, parcel: &Parcel);

    /// Whether Lua's function answers by what it returns. Elsewhere it is given a reply function, before its arguments.
    fn answers_by_return(&self) -> bool {
        false
    }

    /// When a parcel was delivered, where the revision notes it.
    fn delivered_at(&self, parcel: &Parcel) -> Stamp {
        let _ = parcel;
        Stamp::NONE
    }

    /// Whether a parcel is for that callback. Called under the locks, while nobody ends the delivery.
    ///
    /// # Safety
    /// The parcel was taken, and has not ended.
    unsafe fn is_for(&self, parcel: &Parcel, callback: CallbackId) -> bool {
        let _ = (parcel, callback);
        false
    }

    /// Keeps what Lua answered, or what it raised, until [`Self::complete`]. Called where
    /// [`Self::answers_by_return`], and the reply has begun.
    ///
    /// # Errors
    /// The sentence why this is no answer.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn answer(&self, parcel: &Parcel, answer: Result<Vec<Value>, Raised>) -> Result<(), String> {
        let _ = (parcel, answer);
        Err("this library's revision takes no answers by return".to_owned())
    }

    /// Tells the library how a delivery ended that no thread sleeps for; in place of [`Self::finish`].
    ///
    /// # Safety
    /// See the trait; the last call with that parcel.
    unsafe fn complete(&self, parcel: &Parcel, outcome: Outcome) {
        let _ = (parcel, outcome);
    }

    /// Tells the library that its state closes.
    ///
    /// # Safety
    /// See the trait; `context` is the registration's.
    unsafe fn cancel_library(&self, handle: Handle, context: usize);

    /// Lets go of the registration's context.
    ///
    /// # Safety
    /// See the trait; `context` is the registration's, and this is the last call with it.
    unsafe fn release_library(&self, context: usize);
}
