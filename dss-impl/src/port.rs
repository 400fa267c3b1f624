//! The port: the traits through which the core calls whatever stands behind a revision. An adapter implements them, one for each
//! revision; the core names no revision and calls nothing else of theirs.
//!
//! | the core calls | when | afterwards |
//! |---|---|---|
//! | [`Adapter::decode`] | once, on the Lua thread | [`Stage::Finished`], if nobody waits for an answer |
//! | [`Adapter::discard`] with [`Stage::Queued`] | instead of `decode` | [`Stage::Finished`], if nobody waits for an answer |
//! | [`ReplyPort::reply`] | Lua called the reply function, or dropped it | nothing |
//! | [`Adapter::discard`] with [`Stage::Waiting`] | instead of `reply` or `answer` | of a request, [`RequestPort::complete`] |
//! | [`RequestPort::answer`] | Lua's function returned or raised an error; again, with an error, if it refused | [`RequestPort::complete`] |
//! | [`RequestPort::complete`] | a request has ended, after all of the above | nothing |

use std::ffi::{c_int, c_void};

use crate::handle::Handle;
use crate::outcome::{Failure, Outcome};
use crate::payload::Payload;
use crate::value::{Raised, Value};

/// What [`Adapter::decode`] and [`ReplyPort::reply`] return if they failed and wrote why.
pub const FAILED: c_int = c_int::MIN;

/// How far a delivery came before the core discards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It was never decoded.
    Queued,
    /// It was decoded and waits for Lua's reply, which cannot come any more.
    Waiting,
    /// It was decoded, or discarded as [`Stage::Queued`], and nobody waits for an answer. The last call with that payload.
    Finished,
}

/// How Lua answers a delivery that somebody waits for.
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
/// The payload is one that a library of this revision handed over and that was taken. No lock is held. Methods with a `lua` are called
/// on the Lua thread, inside a protected call, with nothing droppable between that call and the method: the library may raise a Lua
/// error through it. The others may run on any thread. The table above says which calls there are for one payload; each is made once at most, but for `answer`.
pub trait Adapter: Sync {
    /// The revision's name.
    fn revision(&self) -> &'static str;

    /// The revision's number. A payload is given to no library of another one.
    fn number(&self) -> u32;

    /// Whether an exception of another language may come out of the libraries' code. If so it is let through. If not, a panic is all
    /// that can come, and it ends at the boundary.
    fn may_throw(&self) -> bool {
        false
    }

    /// Whether [`Stage::Finished`] means anything to this revision. If not, the core may leave that call out.
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

    /// Lets go of a payload, and tells the library if its revision has a word for that. [`Stage`] says how far the delivery came.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn discard(&self, handle: Handle, payload: &Payload, stage: Stage);

    /// Tells the library that its state closes.
    ///
    /// # Safety
    /// See the trait; `context` is the registration's.
    unsafe fn closing(&self, handle: Handle, context: usize);

    /// Lets go of the registration's context.
    ///
    /// # Safety
    /// See the trait; `context` is the registration's, and this is the last call with it.
    unsafe fn release(&self, context: usize);
}

/// A revision whose libraries take the arguments of a reply function.
pub trait ReplyPort: Adapter {
    /// Hands the arguments on the stack to the library; returns the number of results, or [`FAILED`]. `garbage` if Lua dropped the reply
    /// function without calling it.
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

/// A revision whose libraries take what a callback returns, and are told how each request ended without a thread that sleeps for it.
pub trait RequestPort: Adapter {
    /// Whether a Lua function that is handed over again is the same callback. If not, it is another each time.
    fn identifies_callbacks(&self) -> bool {
        false
    }

    /// Keeps what Lua answered, or what it raised, until [`Self::complete`].
    ///
    /// # Errors
    /// The sentence why this is no answer. An error of Lua's is always taken.
    ///
    /// # Safety
    /// See [`Adapter`]. The reply has begun, or the decode runs.
    unsafe fn answer(&self, payload: &Payload, answer: Result<Vec<Value>, Raised>) -> Result<(), String>;

    /// Tells the library how its request ended, and lets go of the payload.
    ///
    /// # Safety
    /// See [`Adapter`]; the last call with that payload.
    unsafe fn complete(&self, payload: &Payload, outcome: Outcome);
}
