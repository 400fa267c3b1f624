//! Requests: deliveries that a thread waits for.

use std::os::raw::c_void;

use abi_stable::std_types::{RNone, RSome};

use crate::contract::{
    Code, DecodeFn, RawDelivery, ReplyFn, Report, ENDED_CANCELLED, ENDED_COLLECTED, ENDED_DECODED,
    ENDED_FAILED, ENDED_REPLIED,
};
use crate::delivery::{guard, tell, LuaState, Refused};
use crate::error::Failure;

/// One item for which a thread waits for Lua's answer.
///
/// The Lua function gets a reply function as its first argument, before the arguments that decode pushes. Calling the
/// reply function resumes the waiting thread.
///
/// ```no_run
/// # use std::os::raw::c_void;
/// # extern "C" {
/// #     fn lua_rawgeti(lua: *mut c_void, index: i32, reference: i64) -> i32;
/// #     fn lua_pushinteger(lua: *mut c_void, value: i64);
/// #     fn lua_toboolean(lua: *mut c_void, index: i32) -> i32;
/// # }
/// # const LUA_REGISTRYINDEX: i32 = -1_001_000;
/// use dss_abi_v1::{Failure, LuaState, Request};
///
/// /// Asks whether a number is allowed.
/// struct IsAllowed {
///     callback: i64, // from `luaL_ref`
///     number: i64,
/// }
///
/// impl Request for IsAllowed {
///     type Answer = bool;
///
///     fn decode(&mut self, lua: LuaState) -> Result<usize, Failure> {
///         // SAFETY: the state is live, and neither call raises an error.
///         unsafe {
///             lua_rawgeti(lua.as_ptr(), LUA_REGISTRYINDEX, self.callback);
///             lua_pushinteger(lua.as_ptr(), self.number);
///         }
///         Ok(2) // the function, and one argument
///     }
///
///     fn reply(&mut self, lua: LuaState) -> Result<(bool, usize), Failure> {
///         // SAFETY: the state is live, and the call raises nothing.
///         let answer = unsafe { lua_toboolean(lua.as_ptr(), 1) };
///         Ok((answer != 0, 0)) // the answer, and no results for Lua
///     }
/// }
/// ```
pub trait Request: Send {
    /// The type of the answer.
    type Answer: Send;

    /// Pushes a Lua function and its arguments. Returns how many values it pushed, or 0 to end the request without an
    /// answer. [lua-thread]
    ///
    /// The stack is empty and has room for 20 values. This function must not raise a Lua error: see
    /// [`Delivery::decode`](crate::Delivery::decode).
    ///
    /// # Errors
    /// An error becomes a Lua error of `poll` or `dispatch`, and [`Answer::Failed`] for the waiting thread.
    fn decode(&mut self, lua: LuaState) -> Result<usize, Failure>;

    /// Reads the arguments with which Lua called the reply function. They are all that is on the stack. Returns the
    /// answer, and how many results it pushed for Lua. [lua-thread]
    ///
    /// This function must not raise a Lua error, like decode.
    ///
    /// # Errors
    /// An error becomes a Lua error of that call, and [`Answer::Failed`] for the waiting thread.
    fn reply(&mut self, lua: LuaState) -> Result<(Self::Answer, usize), Failure>;
}

/// How a request ended.
///
/// ```
/// use dss_abi_v1::Answer;
///
/// fn text(answer: Answer<String>) -> Result<String, String> {
///     match answer {
///         Answer::Replied(text) => Ok(text),
///         Answer::Collected => Err("Lua did not answer".to_owned()),
///         Answer::Cancelled => Err("the library has ended".to_owned()),
///         Answer::Failed(sentence) => Err(sentence),
///         _ => Err("there is nothing to answer".to_owned()),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer<A> {
    /// Lua answered.
    Replied(A),
    /// Decode returned 0, so there is nothing to answer.
    Decoded,
    /// The reply function was collected without being called.
    Collected,
    /// The library was unregistered, or the state closed.
    Cancelled,
    /// Decode or reply failed or panicked. Contains the sentence of the error.
    Failed(String),
}

/// The data of a request, in the frame of the waiting thread. DSS uses it on one thread at a time, and no longer when
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
