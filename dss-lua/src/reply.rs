//! The reply: the userdata that Lua calls to answer a waiting thread.

use std::ffi::c_int;

use dss_impl::dispatcher::{Dispatcher, PendingId, ReplyEnd, Replying};
use dss_impl::outcome::Failure;
use dss_impl::port::{Answers, FAILED};
use mlua::ffi;

use crate::raw::Stack;

/// The registry key of the metatable of replies.
static METATABLE: u8 = 2;

/// The userdata's content: names, which are checked at each use.
#[derive(Clone, Copy)]
struct Reply {
    dispatcher: &'static Dispatcher,
    pending: PendingId,
}

/// One call of a library's return function. It is in a frame below the protected call that works on it.
struct Call {
    reply: Reply,
    /// Set once the reply has begun.
    replying: Option<Replying>,
    garbage: bool,
    failure: Failure,
}

impl Call {
    fn new(reply: Reply, garbage: bool) -> Self {
        Call { reply, replying: None, garbage, failure: Failure::default() }
    }
}

/// Ends the reply if its frame is left by an exception of another language; see `poll::Net`.
struct Net<'a>(&'a mut Call);

impl Net<'_> {
    /// Called after the protected call. If the reply had begun, tells the dispatcher how it ended, and returns true. If not, it had
    /// ended before, or there was no room for the call. A reply that is not garbage can then be called again.
    fn end(self, end: ReplyEnd) -> bool {
        let replying = self.0.replying.take();
        if let Some(replying) = &replying {
            self.0.reply.dispatcher.replied(replying, end);
        }
        replying.is_some()
    }
}

impl Drop for Net<'_> {
    fn drop(&mut self) {
        if let Some(replying) = self.0.replying.take() {
            self.0.reply.dispatcher.replied(&replying, ReplyEnd::Failed);
        }
    }
}

/// Makes the metatable. Raises.
pub(crate) fn prepare(stack: Stack) {
    stack.push_own(&METATABLE);
    if stack.type_at(-1) == ffi::LUA_TTABLE {
        stack.pop(1);
        return;
    }
    stack.pop(1);
    stack.new_table(0);
    stack.push_function(protected, 0);
    stack.push_function(called, 1);
    stack.set_field(-2, c"__call");
    stack.push_function(protected, 0);
    stack.push_function(collected, 1);
    stack.set_field(-2, c"__gc");
    stack.seal_metatable(b"DarkSideSync reply");
    stack.set_own(&METATABLE);
}

/// Pushes the reply for `pending`. Raises.
pub(crate) fn push(stack: Stack, dispatcher: &'static Dispatcher, pending: PendingId) {
    stack.new_userdata(Reply { dispatcher, pending });
    stack.push_own(&METATABLE);
    stack.set_metatable(-2);
}

/// The reply in the userdata at index 1.
fn at_first(stack: Stack) -> Reply {
    let reply: *const Reply = stack.pointer_at(1);
    // SAFETY: Lua code cannot get the metatable, so its functions only get what `push` made.
    unsafe { *reply }
}

/// `reply(...)`.
unsafe extern "C-unwind" fn called(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let arguments = stack.top() - 1;
    let mut call = Call::new(at_first(stack), false);
    if answer(stack, &mut call, arguments) { stack.top() - 1 } else { stack.raise_top() }
}

/// Calls the library's return function with the arguments. If it raises an error, returns false with the error on top.
fn answer(stack: Stack, call: &mut Call, arguments: c_int) -> bool {
    let net = Net(call);
    // [reply, arguments...] → [reply, protected, call, arguments...]
    stack.push_value(Stack::upvalue(1));
    stack.push_pointer(std::ptr::from_mut(net.0));
    stack.insert(2);
    stack.insert(2);
    let ended = stack.protected_call(arguments + 1, ffi::LUA_MULTRET, 0);
    net.end(if ended { ReplyEnd::Replied } else { ReplyEnd::Failed });
    ended
}

/// The finalizer: the reply can no longer be called.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    end_uncalled(stack, Stack::upvalue(1), at_first(stack));
    0
}

/// Ends a reply that was never called. `function` is the index of [`protected`].
fn end_uncalled(stack: Stack, function: c_int, reply: Reply) {
    let mut call = Call::new(reply, true);
    let net = Net(&mut call);
    stack.push_value(function);
    stack.push_pointer(std::ptr::from_mut(net.0));
    let ended = stack.protected_call(1, 0, 0);
    if !ended {
        // There is no caller who could get the library's error.
        stack.pop(1);
    }
    if !net.end(if ended { ReplyEnd::Collected } else { ReplyEnd::Failed }) {
        // Lua had no room for the call, and there will be no other call.
        // SAFETY: on the Lua thread, in a call that Lua made.
        unsafe { reply.dispatcher.cancel_reply(reply.pending) };
    }
}

/// Ends the reply to a delivery whose callback raised an error, if it did not reply, so that the thread does not wait for the
/// collector.
pub(crate) fn abandon(stack: Stack, function: c_int, dispatcher: &'static Dispatcher, pending: PendingId) {
    end_uncalled(stack, function, Reply { dispatcher, pending });
}

/// Calls the library's return function, with only Lua's arguments on the stack.
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let call: *mut Call = stack.pointer_at(1);
    // SAFETY: `answer` and `end_uncalled` pass an address in a frame below this one.
    let call = unsafe { &mut *call };
    stack.remove(1);
    // Begun here, where every way out goes through `Net`.
    // SAFETY: on the Lua thread, in a call that Lua made.
    call.replying = unsafe { call.reply.dispatcher.begin_reply(call.reply.pending) };
    let Some(Replying { handle, payload, adapter, .. }) = &call.replying else { return 0 };
    let Answers::Function(port) = adapter.answers() else { return 0 };
    // SAFETY: on the Lua thread, protected, and nothing in between needs to be dropped.
    let count = unsafe { port.reply(stack.pointer(), *handle, payload, call.garbage, &mut call.failure) };
    if count == FAILED {
        stack.set_top(0);
        stack.push_bytes(call.failure.as_bytes());
        return stack.raise_top();
    }
    count.clamp(0, stack.top())
}
