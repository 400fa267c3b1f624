//! `dispatch([max [, seconds]])`: takes items and runs their callbacks, without a table for each item.

use std::ffi::c_int;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use dss_impl::dispatcher::Dispatching;
use dss_impl::port::Answers;
use mlua::ffi;

use crate::answers::{self, Answering};
use crate::callbacks;
use crate::closing;
use crate::errors;
use crate::guard::{self, Guard};
use crate::idle;
use crate::poll::{Call, Decode, NO_ROOM, Net, has_room};
use crate::raw::Stack;
use crate::reply;

/// `dispatch([max [, seconds]])` → handled, remaining.
pub(crate) unsafe extern "C-unwind" fn dispatch(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let max = match limit(stack) {
        Ok(max) => max,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let until = match deadline(
        stack,
        2,
        "bad argument #2 to 'dispatch': wanted how many seconds to handle items at most, a number of 0 or more, or nothing for no limit",
    ) {
        Ok(until) => until,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    // Items that arrive meanwhile are left for the next call, so that fast producers cannot keep this one from returning.
    let max = max.min(guard.state().dispatcher.queue_size());
    let Some((handled, remaining)) = run(stack, guard, Budget { max, until, stops: false }) else {
        return stack.raise_top();
    };
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

/// Now, plus the seconds in the argument at `index`. None if there is no argument. Anything else is refused with `sentence`.
pub(crate) fn deadline(
    stack: Stack,
    index: c_int,
    sentence: &'static str,
) -> Result<Option<Instant>, &'static str> {
    match stack.type_at(index) {
        ffi::LUA_TNONE | ffi::LUA_TNIL => Ok(None),
        ffi::LUA_TNUMBER if stack.number_at(index) >= 0.0 => {
            let duration = Duration::try_from_secs_f64(stack.number_at(index)).ok();
            // A time that no clock reaches is no deadline.
            Ok(duration.and_then(|duration| Instant::now().checked_add(duration)))
        }
        _ => Err(sentence),
    }
}

/// The limits of a dispatch.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    /// The most items.
    pub(crate) max: usize,
    /// No further item after this time, but at least one.
    pub(crate) until: Option<Instant>,
    /// Whether `stop()` ends it.
    pub(crate) stops: bool,
}

/// The upvalue with the text of an error, because later there may be no memory for it.
const NO_MEMORY: c_int = 5;

/// A dispatch in progress. It is in the frame of `run`, below the protected call that works on it.
struct Batch<'a> {
    guard: &'a Guard,
    budget: Budget,
    handled: usize,
    /// There was no memory to take the next item, which stays queued.
    out_of_memory: bool,
    dispatching: Dispatching,
    call: Call,
}

impl Batch<'_> {
    fn goes_on(&self) -> bool {
        let Budget { max, until, stops } = self.budget;
        self.handled < max
            && self.guard.state().get().is_some()
            && !(stops && self.guard.stop.get())
            && until.is_none_or(|until| self.handled == 0 || Instant::now() < until)
    }
}

/// A dispatch that has begun. Dropping this ends it: if an exception of another language leaves the dispatch, what remains is announced.
struct Begun<'a> {
    guard: &'a Guard,
    dispatching: Dispatching,
}

impl Begun<'_> {
    /// Ends the dispatch. Returns how many items remain.
    fn end(self) -> usize {
        let remaining = self.announce();
        std::mem::forget(self);
        remaining
    }

    fn announce(&self) -> usize {
        // If a callback closed the state, the dispatcher may serve another one by now.
        self.guard.state().get().map_or(0, |dispatcher| dispatcher.end_dispatch(self.dispatching))
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.announce();
    }
}

/// Handles items within `budget`, while the state is served. Returns how many it handled, and how many remain. Returns none, with
/// an error on top, if there is no memory to take an item, or if a debug hook raised the error. An interpreter stops on Ctrl-C in
/// that way, so the error does not belong to an item. The running function's upvalues 2 to 5 are [`protected`],
/// [`errors::handle`], [`reply::protected`] and [`errors::NO_MEMORY`].
pub(crate) fn run(stack: Stack, guard: &Guard, budget: Budget) -> Option<(usize, usize)> {
    let state = guard.state();
    stack.set_top(0);
    stack.push_value(Stack::upvalue(3));
    callbacks::forget_released(stack, state.dispatcher);
    // SAFETY: Lua called, on its thread, and the state is served.
    let dispatching = unsafe { state.dispatcher.begin_dispatch() };
    let begun = Begun { guard, dispatching };
    let call = Call::new(state.dispatcher);
    let mut batch = Batch { guard, budget, handled: 0, out_of_memory: false, dispatching, call };
    // If this runs in a callback that answers a request, the callbacks that it calls do not answer that request.
    let _answering = Answering::replace(guard, null_mut());
    // One protected call handles items until one of them raises an error.
    loop {
        stack.push_value(Stack::upvalue(2));
        stack.push_pointer(&raw mut batch);
        // SAFETY: the batch is in this frame, and nothing refers to it while an exception leaves the frame.
        let net = unsafe { Net::new(&raw mut batch.call) };
        let status = stack.protected_status(1, 0, 1);
        std::mem::forget(net);
        let done = status == ffi::LUA_OK;
        if status == ffi::LUA_ERRMEM {
            errors::tell_unheard(stack, Stack::upvalue(3));
        }
        let interrupted = !done && (batch.call.taken.is_none() || errors::is_interruption(stack));
        if !done && batch.call.taken.is_some() {
            // The handler already has the error.
            batch.call.fail(stack, Stack::upvalue(4));
            batch.handled += 1;
        }
        if done || interrupted {
            if batch.handled > 0 {
                idle::handled(guard);
            }
            let remaining = begun.end();
            if batch.out_of_memory {
                stack.push_value(Stack::upvalue(NO_MEMORY));
                return None;
            }
            return done.then_some((batch.handled, remaining));
        }
        stack.set_top(1);
    }
}

/// The protected part: takes, decodes and calls, one item after the other.
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let batch: *mut Batch<'_> = stack.pointer_at(1);
    // SAFETY: `run` passes the address of a value in its frame, which is below this one.
    let batch = unsafe { &mut *batch };
    let dispatcher = batch.guard.state().dispatcher;
    stack.set_top(0);
    while batch.goes_on() {
        let Ok(from) = dispatcher.take_next_into(batch.dispatching, &mut batch.call.taken) else {
            batch.out_of_memory = true;
            break;
        };
        let Some(Decode { count, top, awaited, .. }) = batch.call.decode(stack, from) else { break };
        if count > 0 {
            let mut arguments = count - 1;
            if awaited && let Some((pending, how)) = batch.call.awaited() {
                if !has_room(stack, top) {
                    return stack.raise(NO_ROOM);
                }
                match how {
                    Answers::Return(port) => answers::wrap(stack, dispatcher, pending, port, top - arguments),
                    Answers::Function(_) => {
                        reply::push(stack, dispatcher, pending);
                        closing::watch(stack);
                        stack.insert(top - arguments + 1);
                        arguments += 1;
                    }
                }
            }
            stack.call(arguments, 0);
        }
        // What the decode left, and has not returned.
        if top > count {
            stack.set_top(0);
        }
        batch.call.over();
        batch.handled += 1;
    }
    0
}

/// Pushes the upvalues that [`run`] needs after the guard. Raises.
pub(crate) fn push_upvalues(stack: Stack) {
    stack.push_function(protected, 0);
    stack.push_function(errors::handle, 0);
    stack.push_function(reply::protected, 0);
    stack.push_bytes(errors::NO_MEMORY.as_bytes());
}
