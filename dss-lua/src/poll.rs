//! `poll()`, as in 1.0.

use std::ffi::c_int;

use dss_impl::dispatcher::{DecodeEnd, Decoded, Dispatcher, PendingId, Taken};
use dss_impl::handle::Handle;
use dss_impl::outcome::Failure;
use dss_impl::port::{Adapter, Answers, FAILED};
use mlua::ffi;

use crate::answers;
use crate::callbacks;
use crate::closing;
use crate::errors;
use crate::guard::{self, Guard};
use crate::idle;
use crate::raw::Stack;
use crate::reply;

/// A delivery in hand. It is in the frame of `poll` or `dispatch`, below the protected call that works on it.
pub(crate) struct Call {
    pub(crate) dispatcher: &'static Dispatcher,
    /// Set when the delivery is taken, until all of it is done.
    pub(crate) taken: Option<Taken>,
    /// The dispatcher was told how the decode ended.
    ended: bool,
    failure: Failure,
}

/// The result of a decode.
pub(crate) struct Decode {
    /// How many values are on top, the function to call first. 0 if there is nothing to call.
    pub(crate) count: c_int,
    /// How many values are on the stack.
    pub(crate) top: c_int,
    /// Whether something waits for Lua's answer: see [`Call::awaited`].
    pub(crate) awaited: bool,
    /// Items that remain queued.
    pub(crate) remaining: usize,
}

impl Call {
    #[inline]
    pub(crate) fn new(dispatcher: &'static Dispatcher) -> Self {
        Call { dispatcher, taken: None, ended: false, failure: Failure::default() }
    }

    /// Decodes what was taken from that library, on an empty stack. Leaves the results on top, and returns their number and what is to
    /// follow. None if nothing was taken. *Raises* what decode raises; [`Self::fail`] then ends the delivery.
    #[inline(always)]
    pub(crate) fn decode(
        &mut self,
        stack: Stack,
        from: Option<(Handle, &'static dyn Adapter)>,
    ) -> Option<Decode> {
        let ((handle, adapter), taken) = from.zip(self.taken.as_ref())?;
        // SAFETY: on the Lua thread, protected, and nothing in between needs to be dropped.
        let count = unsafe { adapter.decode(stack.pointer(), handle, &taken.payload, &mut self.failure) };
        if count == FAILED {
            stack.set_top(0);
            stack.push_bytes(self.failure.as_bytes());
            stack.raise_top();
        }
        let top = stack.top();
        let count = count.clamp(0, top);
        self.ended = true;
        let end = if count > 0 { DecodeEnd::Values } else { DecodeEnd::Over };
        let Decoded { reply, remaining } = self.dispatcher.decoded(taken, end);
        // A request that was cancelled meanwhile is not called, either.
        let count = if taken.pending.is_none() || reply { count } else { 0 };
        Some(Decode { count, top, awaited: reply, remaining })
    }

    /// Nothing is in hand any more.
    #[inline]
    pub(crate) fn over(&mut self) {
        self.taken = None;
        self.ended = false;
    }

    /// What waits for Lua's answer, if [`Decode`] says that something does, and how Lua gives it.
    #[cold]
    pub(crate) fn awaited(&self) -> Option<(PendingId, Answers<'static>)> {
        let taken = self.taken.as_ref()?;
        Some((taken.pending?, taken.adapter.answers()))
    }

    /// Called after the protected call ended with an error, which is on top. If decode had not ended, the delivery failed. If Lua's
    /// reply is awaited, a reply function ends as if Lua had dropped it, because nothing will call it, and an answer by return ends with
    /// the error. `reply` is the index of [`reply::protected`].
    #[cold]
    pub(crate) fn fail(&mut self, stack: Stack, reply: c_int) {
        let (Some(taken), ended) = (self.taken, self.ended) else { return };
        self.over();
        // The message was raised, and must not stay for the next item.
        self.failure.clear();
        if !ended {
            answers::say_why(stack, &taken);
            self.dispatcher.decoded(&taken, DecodeEnd::Failed);
        } else if let Some(pending) = taken.pending {
            match taken.adapter.answers() {
                Answers::Function(_) => reply::abandon(stack, reply, self.dispatcher, pending),
                Answers::Return(_) => answers::abandon(stack, self.dispatcher, pending),
            }
        }
    }
}

/// Ends the delivery in hand if its frame is left by an exception of another language, from a library's code or from a function that a
/// callback called. Lua errors do not leave it: they end in the protected call above this frame. In all other cases nothing is in hand
/// when this is dropped, and it does nothing.
pub(crate) struct Net(*mut Call);

impl Net {
    /// # Safety
    /// The call is in the caller's frame or below, and nothing has a reference to it when this is dropped.
    pub(crate) unsafe fn new(call: *mut Call) -> Self {
        Net(call)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // SAFETY: as `new` requires.
        let call = unsafe { &mut *self.0 };
        let Some(taken) = call.taken.take() else { return };
        if !call.ended {
            call.dispatcher.decoded(&taken, DecodeEnd::Failed);
        } else if let Some(pending) = taken.pending {
            // SAFETY: on the Lua thread, in the call that took it.
            unsafe { call.dispatcher.cancel_reply(pending) };
        }
    }
}

/// The error if a decode left so much on the stack that no more fits.
pub(crate) const NO_ROOM: &[u8] = b"a delivery left more values than Lua's stack has room for";

/// Whether some more values fit on the stack above `top`. Lua leaves room for 20 in each call, and most decodes use few of them.
#[inline]
pub(crate) fn has_room(stack: Stack, top: c_int) -> bool {
    top <= 12 || stack.reserve(8)
}

/// `poll()` → -1; or count; or count, function, table.
pub(crate) unsafe extern "C-unwind" fn poll(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let dispatcher = guard.state().dispatcher;
    stack.set_top(0);
    callbacks::forget_released(stack, dispatcher);
    // Nothing is in hand yet, so an error before the protected part loses no item.
    if take(stack, guard) { stack.top() } else { stack.raise_top() }
}

/// Calls the protected part. If it raises an error, returns false with the error on top.
#[inline(always)] // the body of `poll`, apart from what an error would skip
fn take(stack: Stack, guard: &'static Guard) -> bool {
    let mut call = Call::new(guard.state().dispatcher);
    let place = &raw mut call;
    // SAFETY: the call is in this frame, and nothing refers to it when this is dropped.
    let net = unsafe { Net::new(place) };
    stack.push_value(Stack::upvalue(2));
    stack.push_pointer(place);
    let done = stack.protected_call(1, ffi::LUA_MULTRET, 0);
    std::mem::forget(net);
    if call.taken.is_some() {
        idle::handled(guard);
    }
    if !done {
        call.fail(stack, Stack::upvalue(3));
    }
    done
}

/// The protected part of `poll`: decodes, and packs the results.
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let call: *mut Call = stack.pointer_at(1);
    // SAFETY: `take` passes the address of a value in its frame, which is below this one.
    let call = unsafe { &mut *call };
    stack.set_top(0);
    // SAFETY: Lua called `poll`, on its thread, and the state is served.
    let Ok(from) = (unsafe { call.dispatcher.take_one_into(&mut call.taken) }) else {
        return stack.raise(errors::NO_MEMORY.as_bytes());
    };
    let Some(Decode { count, top, awaited, remaining }) = call.decode(stack, from) else {
        stack.push_minus_one();
        return 1;
    };
    if count == 0 {
        stack.push_integer(remaining);
        return 1;
    }
    let function = top - count + 1;
    if !has_room(stack, top) {
        // `fail` then ends the awaited reply.
        return stack.raise(NO_ROOM);
    }
    let mut replies = 0;
    match if awaited { call.awaited() } else { None } {
        Some((pending, Answers::Return(port))) => {
            answers::wrap(stack, call.dispatcher, pending, port, function);
            closing::watch(stack);
            stack.new_table(count - 1);
        }
        Some((pending, Answers::Function(_))) => {
            replies = 1;
            stack.new_table(count);
            reply::push(stack, call.dispatcher, pending);
            closing::watch(stack);
            stack.raw_set_at(top + 1, 1);
        }
        None => stack.new_table(count - 1),
    }
    let table = top + 1;
    for at in 1..count {
        stack.push_value(function + at);
        stack.raw_set_at(table, at + replies);
    }
    stack.push_integer(remaining);
    stack.push_value(function);
    stack.push_value(table);
    3
}

/// Pushes the upvalues that [`poll`] needs after the guard. Raises.
pub(crate) fn push_upvalues(stack: Stack) {
    stack.push_function(protected, 0);
    stack.push_function(reply::protected, 0);
}
