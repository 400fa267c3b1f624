//! Deliveries that a thread waits for.

use std::os::raw::c_void;

use abi_stable::std_types::{RNone, RSome};

use crate::contract::{
    Code, DecodeFn, RawDelivery, ReplyFn, Report, ENDED_CANCELLED, ENDED_COLLECTED, ENDED_DECODED,
    ENDED_FAILED, ENDED_REPLIED,
};
use crate::delivery::{guard, tell, LuaState, Refused};
use crate::error::Failure;

/// One item whose deliverer waits for Lua's answer.
pub trait Request: Send {
    /// What the waiting thread gets.
    type Answer: Send;

    /// Pushes a Lua function and its arguments; Lua gets a reply function before these. Returns how many values were
    /// pushed, or 0 where the request is over without an answer. [lua-thread]
    ///
    /// The stack is empty, with room for 20 values, and nothing in here may raise a Lua error: see
    /// [`Delivery::decode`](crate::Delivery::decode).
    ///
    /// # Errors
    /// Become a Lua error of the poll or dispatch, and [`Answer::Failed`] for the waiting thread.
    fn decode(&mut self, lua: LuaState) -> Result<usize, Failure>;

    /// Takes the arguments that Lua called the reply function with, all that is on the stack; returns the answer, and how
    /// many values it pushed for Lua. [lua-thread]
    ///
    /// Nothing in here may raise a Lua error, as in decode.
    ///
    /// # Errors
    /// Become a Lua error of that call, and [`Answer::Failed`] for the waiting thread.
    fn reply(&mut self, lua: LuaState) -> Result<(Self::Answer, usize), Failure>;
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<A> {
    /// Lua answered.
    Replied(A),
    /// Decode said that there is nothing to answer.
    Decoded,
    /// Lua dropped the reply function uncalled.
    Collected,
    /// The library was unregistered, or the state closed.
    Cancelled,
    /// Decode or reply failed, or panicked; the sentence of that.
    Failed(String),
}

/// What lies in the waiting thread's own frame while it waits. DSS uses it on one thread at a time, and not at all once
/// the thread is released.
struct Frame<R: Request> {
    request: R,
    answer: Option<R::Answer>,
    failure: Option<Failure>,
}

pub(crate) fn wait<R: Request>(
    request: R,
    deliver: impl FnOnce(RawDelivery) -> Result<u32, Code>,
) -> Result<Answer<R::Answer>, Refused<R>> {
    let mut frame = Frame { request, answer: None, failure: None };
    let data: *mut Frame<R> = &mut frame;
    let raw = RawDelivery {
        decode: DecodeFn(decode::<R>),
        reply: RSome(ReplyFn(reply::<R>)),
        finish: RNone,
        data: data.cast(),
    };
    let ended = match deliver(raw) {
        Ok(ended) => ended,
        Err(code) => return Err(Refused { reason: code.into(), delivery: frame.request }),
    };
    Ok(match (ended, frame.answer, frame.failure) {
        (ENDED_REPLIED, Some(answer), _) => Answer::Replied(answer),
        (ENDED_DECODED, ..) => Answer::Decoded,
        (ENDED_COLLECTED, ..) => Answer::Collected,
        (ENDED_CANCELLED, ..) => Answer::Cancelled,
        (_, _, Some(failure)) => Answer::Failed(failure.as_str().to_owned()),
        (ENDED_FAILED, ..) => {
            Answer::Failed("a Lua error was raised through the library's decode or reply".to_owned())
        }
        (other, ..) => Answer::Failed(format!(
            "the request ended in way {}, which this library is too old to know",
            other
        )),
    })
}

unsafe extern "C" fn decode<R: Request>(
    lua: *mut c_void,
    data: *mut c_void,
    _handle: usize,
    report: Report,
) -> i32 {
    if lua.is_null() {
        return 0; // cancelled: the waiting thread is about to hear of it
    }
    // SAFETY: `data` is the frame of a thread that waits until DSS is done with it.
    let frame = unsafe { &mut *data.cast::<Frame<R>>() };
    let Frame { request, failure, .. } = frame;
    let result = guard(|| request.decode(LuaState::new(lua)));
    *failure = result.as_ref().err().cloned();
    tell(report, &result)
}

unsafe extern "C" fn reply<R: Request>(
    lua: *mut c_void,
    data: *mut c_void,
    _handle: usize,
    collected: bool,
    report: Report,
) -> i32 {
    if lua.is_null() || collected {
        return 0;
    }
    // SAFETY: as in `decode`.
    let frame = unsafe { &mut *data.cast::<Frame<R>>() };
    let Frame { request, answer, failure } = frame;
    let result = guard(|| {
        let (value, results) = request.reply(LuaState::new(lua))?;
        *answer = Some(value);
        Ok(results)
    });
    *failure = result.as_ref().err().cloned();
    tell(report, &result)
}
