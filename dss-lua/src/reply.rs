//! The reply: the userdata that Lua calls to answer a waiting thread.

use std::ffi::c_int;

use dss_impl::adapter::FAILED;
use dss_impl::delivery::Failure;
use dss_impl::dispatcher::{Dispatcher, ReplyEnd, Replying, Ticket};
use mlua::ffi;

use crate::raw::Stack;

/// The registry key of the metatable of replies.
static METATABLE: u8 = 2;

/// What the userdata holds: names, checked at each use.
#[derive(Clone, Copy)]
struct Reply {
    dispatcher: &'static Dispatcher,
    ticket: Ticket,
}

/// One call of a library's return function.
struct Call {
    replying: Replying,
    garbage: bool,
    failure: Failure,
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
    stack.push_bytes(b"DarkSideSync reply");
    stack.set_field(-2, c"__name");
    stack.push_boolean(false);
    stack.set_field(-2, c"__metatable");
    stack.set_own(&METATABLE);
}

/// Pushes the reply to what `ticket` names. Raises.
pub(crate) fn push(stack: Stack, dispatcher: &'static Dispatcher, ticket: Ticket) {
    stack.new_userdata(Reply { dispatcher, ticket });
    stack.push_own(&METATABLE);
    stack.set_metatable(-2);
}

/// Begins a reply to the userdata at index 1; none where it has ended.
fn begin(stack: Stack) -> Option<(&'static Dispatcher, Replying)> {
    let reply: *const Reply = stack.pointer_at(1);
    // SAFETY: the metatable is not to be had from Lua, so its functions see what `push` made.
    let Reply { dispatcher, ticket } = unsafe { *reply };
    dispatcher.begin_reply(ticket).map(|replying| (dispatcher, replying))
}

/// `reply(...)`.
unsafe extern "C-unwind" fn called(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    if !stack.reserve(3) {
        return 0;
    }
    let Some((dispatcher, replying)) = begin(stack) else { return 0 };
    let mut call = Call { replying, garbage: false, failure: Failure::default() };
    let arguments = stack.top() - 1;
    // [reply, arguments...] → [protected, call, arguments...]
    stack.push_value(Stack::upvalue(1));
    stack.push_pointer(&raw mut call);
    stack.insert(2);
    stack.insert(2);
    let ended = stack.protected_call(arguments + 1, ffi::LUA_MULTRET, 0);
    dispatcher.replied(&call.replying, if ended { ReplyEnd::Replied } else { ReplyEnd::Failed });
    if !ended {
        return stack.raise_top();
    }
    stack.top() - 1
}

/// The finalizer: nobody can reply any more.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let Some((dispatcher, replying)) = begin(stack) else { return 0 };
    end_uncalled(stack, Stack::upvalue(1), dispatcher, replying);
    0
}

/// Ends what nobody replied to; `function` is the index of [`protected`].
fn end_uncalled(stack: Stack, function: c_int, dispatcher: &'static Dispatcher, replying: Replying) {
    let mut call = Call { replying, garbage: true, failure: Failure::default() };
    stack.push_value(function);
    stack.push_pointer(&raw mut call);
    let ended = stack.protected_call(1, 0, 0);
    if !ended {
        // The library's error has nobody above it who asked for anything.
        stack.pop(1);
    }
    dispatcher.replied(&call.replying, if ended { ReplyEnd::Collected } else { ReplyEnd::Failed });
}

/// Ends the reply to a delivery whose callback raised an error, if it was not replied to: its thread is not made to wait
/// for the collector.
pub(crate) fn abandon(stack: Stack, function: c_int, dispatcher: &'static Dispatcher, ticket: Ticket) {
    if let Some(replying) = dispatcher.begin_reply(ticket) {
        end_uncalled(stack, function, dispatcher, replying);
    }
}

/// Calls the library's return function, with just Lua's arguments on the stack.
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let call: *mut Call = stack.pointer_at(1);
    // SAFETY: `called` and `end_uncalled` give the address of a frame that stands below this one.
    let call = unsafe { &mut *call };
    stack.remove(1);
    let Replying { handle, parcel, adapter, .. } = call.replying;
    // SAFETY: on the Lua thread, protected, with nothing droppable on the way.
    let count = unsafe { adapter.reply(stack.pointer(), handle, &parcel, call.garbage, &mut call.failure) };
    if count == FAILED {
        stack.set_top(0);
        stack.push_bytes(call.failure.as_bytes());
        return stack.raise_top();
    }
    count.clamp(0, stack.top())
}
