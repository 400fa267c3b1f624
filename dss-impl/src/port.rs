//! The port: the traits through which the core calls a revision. Each revision's adapter implements them. The core names no revision
//! and calls no other function of an adapter.
//!
//! | the core calls | when | afterwards |
//! |---|---|---|
//! | [`Adapter::decode`] | once, on the Lua thread | [`Stage::Finished`], if nobody waits for an answer |
//! | [`Adapter::discard`] with [`Stage::Queued`] | instead of `decode` | [`Stage::Discarded`], if nobody waits for an answer |
//! | [`ReplyPort::reply`] | Lua called the reply function, or dropped it | nothing |
//! | [`Adapter::discard`] with [`Stage::Waiting`] | instead of `reply` or `answer` | [`RequestPort::complete`], for a request |
//! | [`RequestPort::answer`] | Lua's function returned or raised an error; again, with an error, if it refused | [`RequestPort::complete`] |
//! | [`RequestPort::complete`] | a request has ended, after all of the above | nothing |

use std::ffi::{c_int, c_void};

use crate::handle::Handle;
use crate::outcome::{Failure, Outcome};
use crate::payload::Payload;
use crate::value::{Raised, Value};

/// Returned by [`Adapter::decode`] and [`ReplyPort::reply`] if they failed and wrote the reason.
pub const FAILED: c_int = c_int::MIN;

/// How far a delivery came before the core discards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was never decoded.
    Queued,
    /// It was decoded and waits for Lua's reply, which cannot come any more.
    Waiting,
    /// It was decoded, and nobody waits for an answer. The last call with that payload, on the Lua thread, inside the call of Lua that decoded it.
    Finished,
    /// It was discarded as [`Stage::Queued`], and nobody waits for an answer. The last call with that payload.
    Discarded,
}

/// How Lua answers a delivery that a thread or a request waits for.
#[derive(Clone, Copy)]
pub enum Answers<'a> {
    /// The callback's first argument is a reply function.
    Function(&'a dyn ReplyPort),
    /// What the callback returns is the answer.
    Return(&'a dyn RequestPort),
}

/// How the core calls the libraries of one revision.
///
/// # Safety rules, for all methods of the port
/// A library of this revision handed the payload over, and it was taken. No lock is held. Methods with a `lua` are called
/// on the Lua thread, inside a protected call, with nothing droppable between that call and the method: the library may raise a Lua
/// error through it. The others may run on any thread. The table above lists the calls for one payload. Each is made at most once, except
/// `answer`.
pub trait Adapter: Sync {
    /// The revision's name.
    fn revision(&self) -> &'static str;

    /// The revision's number. A payload is only given to libraries of the same revision.
    fn number(&self) -> u32;

    /// Whether an exception of another language may come out of the libraries' code. If so, it is let through. If not, only a panic can
    /// come, and it is caught at the boundary.
    fn may_throw(&self) -> bool {
        false
    }

    /// Whether this revision uses [`Stage::Finished`]. If not, the core may leave that call out.
    fn finishes(&self) -> bool {
        true
    }

    /// How Lua answers.
    fn answers(&self) -> Answers<'_>;

    /// Decodes a delivery on an empty stack. Returns the number of results, 0 or less if the delivery is over, or [`FAILED`] with the
    /// reason in `failure`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn decode(
        &self,
        lua: *mut c_void,
        handle: Handle,
        payload: &Payload,
        failure: &mut Failure,
    ) -> c_int;

    /// Releases a payload, and tells the library if its revision has a call for that. [`Stage`] says how far the delivery came.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn discard(&self, handle: Handle, payload: &Payload, stage: Stage);

    /// Tells the library that its state is closing.
    ///
    /// # Safety
    /// See the trait; `context` is the registration's.
    unsafe fn closing(&self, handle: Handle, context: usize);

    /// Releases the registration's context.
    ///
    /// # Safety
    /// See the trait; `context` is the registration's, and this is the last call with it.
    unsafe fn release(&self, context: usize);
}

/// A revision whose libraries take the arguments of a reply function.
pub trait ReplyPort: Adapter {
    /// Passes the arguments on the stack to the library; returns the number of results, or [`FAILED`]. `garbage` is true if Lua dropped
    /// the reply function without calling it.
    ///
    /// # Safety
    /// See [`Adapter`].
    unsafe fn reply(
        &self,
        lua: *mut c_void,
        handle: Handle,
        payload: &Payload,
        garbage: bool,
        failure: &mut Failure,
    ) -> c_int;
}

/// A revision whose libraries take what a callback returns. They are told how each request ended, and no thread sleeps for it.
pub trait RequestPort: Adapter {
    /// Whether a Lua function that is passed again is the same callback. If not, it is a different callback each time.
    fn identifies_callbacks(&self) -> bool {
        false
    }

    /// Keeps what Lua answered or raised until [`Self::complete`].
    ///
    /// # Errors
    /// A sentence that says why this is not a valid answer. An error that Lua raised is always accepted.
    ///
    /// # Safety
    /// See [`Adapter`]. The reply has begun, or the decode is running.
    unsafe fn answer(&self, payload: &Payload, answer: Result<Vec<Value>, Raised>) -> Result<(), String>;

    /// Tells the library how its request ended, and releases the payload.
    ///
    /// # Safety
    /// See [`Adapter`]. This is the last call with that payload.
    unsafe fn complete(&self, payload: &Payload, outcome: Outcome);
}
