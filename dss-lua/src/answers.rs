//! Answers by return, for libraries that take what a Lua function returns, and give it no reply function.
//!
//! Lua calls the *answering function*, a closure around the library's function. It calls that function, whose results are the
//! answer. A callback can call `defer()` to answer later. A function given to `setrequesthandler` is called instead of the
//! library's function, which is its first argument.
//!
//! | a request is | ends by                                                                     | leaves to |
//! |--------------|-----------------------------------------------------------------------------|-----------|
//! | uncalled     | collection of its answering function                                         | running   |
//! | running      | the callback's return, unless it deferred; its error, deferred or not        | deferred  |
//! | deferred     | a call of its reply, or of the reply's `fail`; collection of the reply       | -         |
//!
//! Its library or its deadline may end a request in any state. An answer from Lua is then too late, and is dropped. The
//! dispatcher decides which came first: `begin_reply` succeeds once for each request.

use std::ffi::c_int;
use std::ptr::null_mut;

use dss_impl::dispatcher::{Dispatcher, PendingId, ReplyEnd, Taken};
use dss_impl::outcome::Failure;
use dss_impl::port::{Answers, RequestPort};
use dss_impl::value::{Raised, Value};
use mlua::ffi;

use crate::closing;
use crate::errors;
use crate::guard::{self, Frame, Guard, Request};
use crate::raw::Stack;
use crate::read::{self, Reading};

const NO_ROOM: &str = "a callback answered with more values than Lua's stack has room for";

const NO_ROOM_FOR_RESULTS: &str = "a function returned more values than Lua's stack has room for";

/// The registry key of the metatable of deferred replies. The request in an answering function's upvalue has it too.
static METATABLE: u8 = 8;

/// The registry key of the function given to `setrequesthandler`.
pub(crate) static HANDLER: u8 = 18;

/// Sets [`guard::Guard::answering`] while this lives. Dropping it restores the previous value, also when an exception of another
/// language leaves the frame.
pub(crate) struct Answering<'a> {
    guard: &'a Guard,
    outer: *mut Frame,
}

impl<'a> Answering<'a> {
    pub(crate) fn replace(guard: &'a Guard, frame: *mut Frame) -> Self {
        Answering { guard, outer: guard.answering.replace(frame) }
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.guard.answering.set(self.outer);
    }
}

/// Ends a request if an exception of another language leaves its callback.
struct Net(Request);

impl Drop for Net {
    fn drop(&mut self) {
        conclude(self.0, Err("an exception of another language ended the callback".into()));
    }
}

/// What became of an answer.
enum End {
    Taken,
    /// The request ended before.
    TooLate,
    /// It could not be read, or its library could not take it.
    Refused,
}

/// Makes the metatable. `guard` is the index of the guard, an upvalue of its functions. Raises.
pub(crate) fn prepare(stack: Stack, guard: c_int) {
    stack.new_table(0);
    stack.push_value(guard);
    stack.push_function(called, 1);
    stack.set_field(-2, c"__call");
    stack.push_function(collected, 0);
    stack.set_field(-2, c"__gc");
    stack.new_table(0);
    stack.push_value(guard);
    stack.push_function(failed, 1);
    stack.set_field(-2, c"fail");
    stack.set_field(-2, c"__index");
    stack.seal_metatable(b"DarkSideSync deferred reply");
    stack.set_own(&METATABLE);
}

/// Pushes a request that is marked as over until the caller changes that, so that nothing ends a half-made request. Raises.
fn push_request(stack: Stack, request: Request) -> *mut Request {
    let request = stack.new_userdata(Request { over: true, ..request });
    stack.push_own(&METATABLE);
    stack.set_metatable(-2);
    request
}

/// Replaces the function at `index` by its answering function. Raises.
pub(crate) fn wrap(
    stack: Stack,
    dispatcher: &'static Dispatcher,
    pending: PendingId,
    port: &dyn RequestPort,
    index: c_int,
) {
    guard::push_guard(stack);
    let request = Request { dispatcher, pending, over: true, identifies: port.identifies_callbacks() };
    let request = push_request(stack, request);
    stack.push_value(index);
    stack.push_function(answering, 3);
    stack.replace(index);
    // SAFETY: the function that was just made keeps it.
    unsafe { (*request).over = false };
}

/// The answering function. A second call does nothing. Upvalues: guard, request, the callback.
unsafe extern "C-unwind" fn answering(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let request: *mut Request = stack.pointer_at(Stack::upvalue(2));
    // SAFETY: `wrap` put it there, and the function keeps it.
    if unsafe { (*request).over } {
        return 0;
    }
    let mut arguments = stack.top();
    stack.push_function(errors::trace, 0);
    stack.insert(1);
    stack.push_function(read::protected, 0);
    stack.insert(2);
    stack.push_value(Stack::upvalue(3));
    stack.insert(3);
    if guard.handles_requests.get() {
        stack.push_own(&HANDLER);
        stack.insert(3);
        arguments += 1;
    }
    // Set here, because every way out from here ends the request, or leaves it to its reply.
    // SAFETY: as above.
    unsafe { (*request).over = true };
    let mut frame = Frame { request, deferred: false };
    let returned = call(stack, guard, &mut frame, arguments);
    // SAFETY: as above.
    let request = unsafe { *request };
    if !returned {
        let (told, interrupted) = fail_with_value(stack, request);
        if interrupted {
            return stack.raise(errors::INTERRUPTED);
        }
        if told && !errors::is_interruption(stack) {
            // The requester has the error.
            return 0;
        }
        // No one has the error yet, or it is meant for the whole program.
        return stack.raise_top();
    }
    if frame.deferred {
        return 0;
    }
    if !stack.reserve(2) {
        stack.set_top(2);
        conclude(request, Err(NO_ROOM.into()));
        return stack.raise(NO_ROOM.as_bytes());
    }
    let mut failure = Failure::default();
    match finish(stack, request, stack.top() - 2, &mut failure) {
        End::Taken | End::TooLate => 0,
        End::Refused => stack.raise(failure.as_bytes()),
    }
}

/// Calls the callback. If it raises an error, returns false with the error on top.
fn call(stack: Stack, guard: &Guard, frame: &mut Frame, arguments: c_int) -> bool {
    // SAFETY: the running answering function keeps it.
    let net = Net(unsafe { *frame.request });
    let _answering = Answering::replace(guard, frame);
    let returned = stack.protected_call(arguments, ffi::LUA_MULTRET, 1);
    std::mem::forget(net);
    returned
}

/// Answers with the `count` values on top. [`read::protected`] is below them. If they are not an answer, `failure` says why.
/// Raises nothing.
fn finish(stack: Stack, request: Request, count: c_int, failure: &mut Failure) -> End {
    if !request.dispatcher.serves_state_of(request.pending) {
        return End::TooLate;
    }
    // Read first, because a deadline does not end a request whose reply has begun.
    let mut reading = Reading::of_answer(request.dispatcher, request.identifies);
    match reading.read(stack, count) {
        Ok(()) => match conclude(request, Ok(std::mem::take(&mut reading.values))) {
            Some(Ok(())) => End::Taken,
            Some(Err(sentence)) => {
                failure.set(&sentence);
                End::Refused
            }
            None => End::TooLate,
        },
        Err((at, problem)) => {
            let sentence = format!("bad answer #{at} to a request: {problem}");
            failure.set(&sentence);
            conclude(request, Err(sentence.as_str().into()));
            End::Refused
        }
    }
}

/// Like [`fail`], but also passes the error's value if it is not a string. Also returns whether Ctrl-C came while the value was
/// read. [`read::protected`] is below the error.
fn fail_with_value(stack: Stack, request: Request) -> (bool, bool) {
    let (mut raised, mut interrupted) = (errors::take_trace(stack), false);
    let served = request.dispatcher.serves_state_of(request.pending);
    if served && stack.type_at(-1) != ffi::LUA_TSTRING && stack.reserve(4) {
        stack.push_value(-2);
        stack.push_value(-2);
        let mut reading = Reading::of_answer(request.dispatcher, request.identifies);
        match reading.read(stack, 1) {
            Ok(()) => raised.value = reading.values.pop(),
            Err((_, problem)) => interrupted = errors::interrupts(problem.as_bytes()),
        }
    }
    (conclude(request, Err(raised)).is_some(), interrupted)
}

/// Ends the request with the error on top, which stays there. Returns false if it had ended before. Raises nothing.
fn fail(stack: Stack, request: Request) -> bool {
    conclude(request, Err(errors::take_trace(stack))).is_some()
}

/// Ends the request with what Lua answered or raised. Returns the library's response, or none if the request had ended before.
fn conclude(request: Request, answer: Result<Vec<Value>, Raised>) -> Option<Result<(), String>> {
    // SAFETY: on the Lua thread, in a call that Lua made.
    let replying = unsafe { request.dispatcher.begin_reply(request.pending) }?;
    let payload = &replying.payload;
    let Answers::Return(port) = replying.adapter.answers() else { return None };
    let mut failed = answer.is_err();
    // SAFETY: on the Lua thread, and the reply has begun.
    let taken = unsafe { port.answer(payload, answer) };
    if let Err(sentence) = &taken
        && !failed
    {
        failed = true;
        // SAFETY: as above. An error is never refused.
        let _ = unsafe { port.answer(payload, Err(sentence.as_str().into())) };
    }
    request.dispatcher.replied(&replying, if failed { ReplyEnd::Failed } else { ReplyEnd::Replied });
    Some(taken)
}

/// Ends the request of a callback that was never run, with the error on top.
#[cold]
pub(crate) fn abandon(stack: Stack, dispatcher: &'static Dispatcher, pending: PendingId) {
    fail(stack, Request { dispatcher, pending, over: true, identifies: false });
}

/// Tells a request why its decode failed: the error on top, which stays there.
#[cold]
pub(crate) fn say_why(stack: Stack, taken: &Taken) {
    if let (Answers::Return(port), Some(_)) = (taken.adapter.answers(), taken.pending) {
        // SAFETY: on the Lua thread, and this call owns the delivery until its decode has ended.
        let _ = unsafe { port.answer(&taken.payload, Err(errors::take_trace(stack))) };
    }
}

/// `defer()` → the reply, which is called with the answers. Upvalue: guard.
pub(crate) unsafe extern "C-unwind" fn defer(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    // SAFETY: `answering` put it there. Its frame is below this one, and it removes it before it returns.
    let Some(frame) = (unsafe { guard.answering.get().as_mut() }) else {
        return stack.raise(
            b"'defer' was called outside the callback of a request: call it there, before the callback returns",
        );
    };
    if frame.deferred {
        return stack
            .raise(b"'defer' was called twice in one callback: use the reply that the first call returned");
    }
    // SAFETY: the running answering function keeps it.
    let request = push_request(stack, unsafe { *frame.request });
    closing::watch(stack);
    // Nothing raises from here on.
    // SAFETY: it is on the stack.
    unsafe { (*request).over = false };
    frame.deferred = true;
    1
}

/// `outside(f, ...)`: like `pcall`, but as if no callback of a request were running. Upvalue: guard.
pub(crate) unsafe extern "C-unwind" fn outside(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    if stack.top() == 0 {
        return stack.raise(b"bad argument #1 to 'outside': wanted a function, found nothing");
    }
    let succeeded = {
        let _answering = Answering::replace(guard, null_mut());
        stack.protected_call(stack.top() - 1, ffi::LUA_MULTRET, 0)
    };
    if !stack.reserve(1) {
        return stack.raise(NO_ROOM_FOR_RESULTS.as_bytes());
    }
    stack.push_boolean(succeeded);
    stack.insert(1);
    stack.top()
}

/// `reply(...)` → whether the answer was in time. Upvalue: guard.
unsafe extern "C-unwind" fn called(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    if let Err(sentence) = guard::served(stack) {
        return stack.raise(sentence.as_bytes());
    }
    let request: *mut Request = stack.pointer_at(1);
    // SAFETY: Lua code cannot get the metatable, so its functions only get what `push_request` made.
    let answered = unsafe { *request };
    if answered.over {
        stack.push_boolean(false);
        return 1;
    }
    let arguments = stack.top() - 1;
    stack.push_function(read::protected, 0);
    stack.insert(2);
    // SAFETY: as above.
    unsafe { (*request).over = true };
    let mut failure = Failure::default();
    match finish(stack, answered, arguments, &mut failure) {
        End::Refused => stack.raise(failure.as_bytes()),
        end => {
            stack.push_boolean(matches!(end, End::Taken));
            1
        }
    }
}

/// `reply:fail(err [, traceback])` → whether it was in time. The request fails as if its callback had raised the error. Upvalue: guard.
unsafe extern "C-unwind" fn failed(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    if let Err(sentence) = guard::served(stack) {
        return stack.raise(sentence.as_bytes());
    }
    stack.set_top(3);
    if !is_deferred(stack, 1) {
        return stack
            .raise(b"bad argument #1 to 'fail': wanted a deferred reply, call it as reply:fail(err)");
    }
    let request: *mut Request = stack.pointer_at(1);
    // SAFETY: `push_request` made every userdata with that metatable.
    let answered = unsafe { *request };
    if answered.over {
        stack.push_boolean(false);
        return 1;
    }
    errors::note_trace(stack, 2, 3);
    stack.push_function(read::protected, 0);
    stack.push_value(2);
    // SAFETY: as above.
    unsafe { (*request).over = true };
    let (told, interrupted) = fail_with_value(stack, answered);
    if interrupted {
        return stack.raise(errors::INTERRUPTED);
    }
    stack.push_boolean(told);
    1
}

/// Whether the value at `index` is a deferred reply.
fn is_deferred(stack: Stack, index: c_int) -> bool {
    if stack.type_at(index) != ffi::LUA_TUSERDATA || !stack.push_metatable(index) {
        return false;
    }
    stack.push_own(&METATABLE);
    let same = stack.raw_equal(-1, -2);
    stack.pop(2);
    same
}

/// The finalizer: the request can no longer be answered.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let request: *mut Request = stack.pointer_at(1);
    // SAFETY: Lua finalizes what `push_request` made.
    let Request { dispatcher, pending, over, .. } = unsafe { *request };
    // Once DSS has stopped, the dispatcher may serve another state. The id is invalid there.
    if over {
        return 0;
    }
    // SAFETY: on the Lua thread, in a call that Lua made.
    if let Some(replying) = unsafe { dispatcher.begin_reply(pending) } {
        dispatcher.replied(&replying, ReplyEnd::Collected);
    }
    0
}
