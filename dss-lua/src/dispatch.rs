//! `dispatch([max])`: takes items and runs their callbacks itself. No table is made an item.

use std::ffi::c_int;

use dss_impl::dispatcher::Dispatcher;
use mlua::ffi;

use crate::errors;
use crate::guard;
use crate::poll::Call;
use crate::raw::Stack;
use crate::reply;

/// `dispatch([max])` → handled, remaining.
pub(crate) unsafe extern "C-unwind" fn dispatch(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let state = match guard::served(stack) {
        Ok(guard) => guard.state,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let max = match limit(stack) {
        Ok(max) => max,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let handled = run(stack, state.dispatcher, max, || state.get().is_some());
    let remaining = state.dispatcher.end_dispatch();
    stack.set_top(0);
    stack.push_integer(handled);
    stack.push_integer(remaining);
    2
}

/// The first argument as a number of items.
fn limit(stack: Stack) -> Result<usize, &'static str> {
    match stack.type_at(1) {
        ffi::LUA_TNONE | ffi::LUA_TNIL => return Ok(usize::MAX),
        ffi::LUA_TNUMBER => {
            let max = stack.number_at(1);
            if max >= 0.0 && (max.fract() == 0.0 || max.is_infinite()) {
                return Ok(max as usize);
            }
        }
        _ => {}
    }
    Err(
        "bad argument #1 to 'dispatch': wanted how many items to handle at most, an integer of 0 or more, or nothing for \
         all of them",
    )
}

/// Handles up to `max` items, while `go_on` says so; returns how many. The running function's upvalues 2 to 4 are
/// [`protected`], [`errors::handle`] and [`reply::protected`].
pub(crate) fn run(
    stack: Stack,
    dispatcher: &'static Dispatcher,
    max: usize,
    go_on: impl Fn() -> bool,
) -> usize {
    dispatcher.begin_dispatch();
    stack.set_top(0);
    stack.push_value(Stack::upvalue(3));
    let mut handled = 0;
    while handled < max && go_on() {
        let Some(taken) = dispatcher.take_next() else { break };
        let mut call = Call::new(dispatcher, taken);
        stack.push_value(Stack::upvalue(2));
        stack.push_pointer(&raw mut call);
        let ended = stack.protected_call(1, 0, 1);
        call.close();
        if !ended {
            failed(stack, &call);
        }
        handled += 1;
    }
    handled
}

/// After an error in decode or callback, which the handler has been told of.
#[cold]
fn failed(stack: Stack, call: &Call) {
    stack.set_top(1);
    if let Some(ticket) = call.taken.ticket {
        reply::abandon(stack, Stack::upvalue(4), call.dispatcher, ticket);
    }
}

/// The protected part: decodes, and calls.
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let call: *mut Call = stack.pointer_at(1);
    // SAFETY: `run` gives the address of its own frame, which stands below this one.
    let call = unsafe { &mut *call };
    stack.set_top(0);
    let (count, decoded) = call.decode(stack);
    if count == 0 || (call.taken.ticket.is_some() && !decoded.reply) {
        return 0;
    }
    let mut arguments = count - 1;
    if let Some(ticket) = call.taken.ticket {
        let function = stack.top() - arguments;
        reply::push(stack, call.dispatcher, ticket);
        stack.insert(function + 1);
        arguments += 1;
    }
    stack.call(arguments, 0);
    0
}

/// Pushes the upvalues that [`run`] wants after the guard. Raises.
pub(crate) fn push_upvalues(stack: Stack) {
    stack.push_function(protected, 0);
    stack.push_function(errors::handle, 0);
    stack.push_function(reply::protected, 0);
}
