//! `wait([seconds [, fds]])` and `run([seconds [, fds]])`, for a Lua thread that sleeps nowhere else.

use std::ffi::c_int;
use std::time::Instant;

use dss_impl::dispatcher::Waited;
use dss_impl::pair::{Found, Other};
use mlua::ffi;

use crate::callbacks;
use crate::dispatch::{self, Budget};
use crate::errors;
use crate::guard::{self, Guard};
use crate::idle;
use crate::park::{self, Others};
use crate::raw::Stack;

/// How many items `run` handles before it looks at the clock, at `stop` and at the program's descriptors.
const ROUND: usize = 256;

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// `wait([seconds [, fds]])` → whether something is queued; with descriptors also a list of those that are ready.
pub(crate) unsafe extern "C-unwind" fn wait(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    stack.set_top(2);
    idle::enter(guard);
    callbacks::forget_released(stack, guard.state().dispatcher);
    let deadline = match dispatch::deadline(
        stack,
        1,
        "bad argument #1 to 'wait': wanted how many seconds to wait at most, a number of 0 or more, or nothing for no limit",
    ) {
        Ok(deadline) => deadline,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let mut others = match Others::listed(stack, 2) {
        Ok(others) => others,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let queued = match wait_until(stack, guard, deadline, &mut others) {
        Ok(Some(queued)) => queued,
        Ok(None) => return stack.raise_top(),
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    stack.push_boolean(queued);
    if stack.type_at(2) == ffi::LUA_TNIL {
        return 1;
    }
    stack.new_table(0);
    let (table, mut ready) = (stack.top(), 0);
    for other in others.all().iter().filter(|other| other.found == Found::Ready) {
        ready += 1;
        stack.push_integer(other.number as usize);
        stack.raw_set_at(table, ready);
    }
    2
}

/// The loop of `wait`. None, with the error on top, if a hook raised one.
fn wait_until(
    stack: Stack,
    guard: &Guard,
    deadline: Option<Instant>,
    others: &mut Others,
) -> Result<Option<bool>, &'static str> {
    // First a check, which does not sleep and lets no hook run.
    let mut waited = park::look(guard, others)?;
    while waited == Waited::Nothing && !others.has_ready() && !is_over(deadline) {
        waited = park::park(stack, guard, deadline, false, others)?;
        if !idle::breathe(stack) {
            return Ok(None);
        }
        // A hook, or a finalizer, may have closed the state.
        if guard.state().get().is_none() {
            return Ok(Some(false));
        }
    }
    Ok(Some(waited == Waited::Queued))
}

/// `run([seconds [, fds]])` → handled. Waits and dispatches until no library keeps it going and there is no descriptor to wait on,
/// `stop()` was called, or the time is over.
pub(crate) unsafe extern "C-unwind" fn run(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    stack.set_top(2);
    let deadline = match dispatch::deadline(
        stack,
        1,
        "bad argument #1 to 'run': wanted how many seconds to run at most, a number of 0 or more, or nothing for no limit",
    ) {
        Ok(deadline) => deadline,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    if let Err(sentence) = Others::called(stack, 2) {
        return stack.raise(sentence.as_bytes());
    }
    // Each `run` has its own descriptors and its own stop. A `run` in a callback of another one does not end that one, or take its stop.
    park::push_functions(stack, 2);
    let outer = guard.stop.replace(false);
    idle::enter(guard);
    let handled = run_until(stack, guard, deadline);
    guard.stop.set(outer);
    park::pop_functions(stack);
    match handled {
        Ok(Some(handled)) => {
            stack.set_top(0);
            stack.push_integer(handled);
            1
        }
        Ok(None) => stack.raise_top(),
        Err(sentence) => stack.raise(sentence.as_bytes()),
    }
}

/// The loop of `run`. Returns how many items it handled, or none, with the error on top, if an error ended it.
fn run_until(stack: Stack, guard: &Guard, deadline: Option<Instant>) -> Result<Option<usize>, &'static str> {
    let state = guard.state();
    let dispatcher = state.dispatcher;
    let mut handled = 0;
    // The items left to handle that were queued when no library kept this going any more. Later items do not count: a library that does
    // not keep it going may deliver more and more of them.
    let mut owed = None;
    while !guard.stop.get() && state.get().is_some() {
        let round = owed.map_or(ROUND, |owed| ROUND.min(owed));
        let budget = Budget { max: round, until: None, stops: true };
        let Some((now, _)) = dispatch::run(stack, guard, budget) else { return Ok(None) };
        handled += now;
        if state.get().is_none() {
            // A callback closed the state: the dispatcher may serve another by now.
            break;
        }
        if !idle::breathe(stack) {
            return Ok(None);
        }
        if state.get().is_none() {
            // A hook may have closed it, too.
            break;
        }
        let mut others = park::functions(stack)?;
        let kept = dispatcher.registered() > 0 || !others.all().is_empty();
        // Read after that, so that it includes what a library delivered before it ceased to keep `run` going.
        let remaining = dispatcher.queue_size();
        owed = (!kept).then(|| owed.map_or(remaining, |owed| remaining.min(owed - now)));
        if owed == Some(0) || guard.stop.get() {
            break;
        }
        let over = is_over(deadline);
        if others.all().is_empty() {
            if over {
                break;
            }
            if kept && now < round {
                park::park(stack, guard, deadline, true, &mut others)?;
            }
            continue;
        }
        // Also between items, and when the time is over: descriptors must not starve.
        if now < round && !over {
            park::park(stack, guard, deadline, false, &mut others)?;
        } else {
            park::look(guard, &mut others)?;
        }
        if !call_ready(stack, guard, &others) {
            return Ok(None);
        }
        if over {
            break;
        }
    }
    Ok(Some(handled))
}

/// Calls the functions of the descriptors that are ready. False, with the error on top, if a hook raised one.
fn call_ready(stack: Stack, guard: &Guard, others: &Others) -> bool {
    for Other { number, .. } in others.all().iter().filter(|other| other.found == Found::Ready) {
        if guard.stop.get() || guard.state().get().is_none() {
            break;
        }
        stack.set_top(0);
        stack.push_value(Stack::upvalue(3));
        // An earlier function may have removed it.
        if !park::push_function(stack, *number) {
            continue;
        }
        stack.push_integer(*number as usize);
        let status = stack.protected_status(1, 0, 1);
        if status == ffi::LUA_ERRMEM {
            errors::tell_unheard(stack, Stack::upvalue(3));
        }
        if status != ffi::LUA_OK && errors::is_interruption(stack) {
            return false;
        }
    }
    true
}

/// Pushes the upvalues that both functions need after the guard. Raises.
pub(crate) fn push_upvalues(stack: Stack) {
    dispatch::push_upvalues(stack);
    idle::push_upvalues(stack);
}
