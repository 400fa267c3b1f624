//! `wait([seconds])` and `run([seconds])`: a Lua thread that has nothing else to sleep in.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use dss_impl::dispatcher::Waited;
use mlua::ffi;

use crate::callbacks;
use crate::dispatch;
use crate::guard::{self, Guard};
use crate::idle;
use crate::raw::Stack;

/// How long a sleep lasts before Lua is let in: that is when its debug hooks run, by which a Lua interpreter breaks off
/// on Ctrl-C.
const SLICE: Duration = Duration::from_millis(100);

/// Items that `run` handles before it looks at the clock and at `stop`.
const ROUND: usize = 256;

/// Until when to sleep; none for ever.
fn deadline(stack: Stack, sentence: &'static str) -> Result<Option<Instant>, &'static str> {
    match stack.type_at(1) {
        ffi::LUA_TNONE | ffi::LUA_TNIL => Ok(None),
        ffi::LUA_TNUMBER if stack.number_at(1) >= 0.0 => {
            let duration = Duration::try_from_secs_f64(stack.number_at(1)).ok();
            // What no clock reaches is for ever.
            Ok(duration.and_then(|duration| Instant::now().checked_add(duration)))
        }
        _ => Err(sentence),
    }
}

/// The next slice until `deadline`; none where that is over.
fn slice(deadline: Option<Instant>) -> Option<Duration> {
    let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
    (!left.is_zero()).then(|| left.min(SLICE))
}

/// `wait([seconds])` → whether something is queued.
pub(crate) unsafe extern "C-unwind" fn wait(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let dispatcher = guard.state.dispatcher;
    idle::enter(guard);
    callbacks::forget_released(stack, dispatcher);
    let deadline = match deadline(
        stack,
        "bad argument #1 to 'wait': wanted how many seconds to wait at most, a number of 0 or more, or nothing for no limit",
    ) {
        Ok(deadline) => deadline,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let mut queued = dispatcher.wait(Duration::ZERO) == Waited::Queued;
    while !queued {
        let Some(slice) = slice(deadline) else { break };
        queued = dispatcher.wait(slice) == Waited::Queued;
        if !queued {
            idle::note(stack, guard, slice);
        }
        if !idle::breathe(stack) {
            return stack.raise_top();
        }
        // A hook, or a finalizer, may have closed the state.
        if guard.state.get().is_none() {
            break;
        }
    }
    stack.push_boolean(queued);
    1
}

/// `run([seconds])` → handled. Waits and dispatches until nothing that is registered keeps it going, `stop()` was called, or
/// the time is over.
pub(crate) unsafe extern "C-unwind" fn run(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let guard = match guard::served(stack) {
        Ok(guard) => guard,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    let deadline = match deadline(
        stack,
        "bad argument #1 to 'run': wanted how many seconds to run at most, a number of 0 or more, or nothing for no limit",
    ) {
        Ok(deadline) => deadline,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    // Each `run` has a stop of its own: one that runs within a callback of another does not end that, nor take its stop away.
    let outer = guard.stop.replace(false);
    idle::enter(guard);
    let handled = run_until(stack, guard, deadline);
    guard.stop.set(outer);
    let Some(handled) = handled else { return stack.raise_top() };
    stack.set_top(0);
    stack.push_integer(handled);
    1
}

/// The loop of `run`; how many items were handled, or none, with the error on top, where one broke it off.
fn run_until(stack: Stack, guard: &Guard, deadline: Option<Instant>) -> Option<usize> {
    let state = guard.state;
    let dispatcher = state.dispatcher;
    let mut handled = 0;
    // Items yet to be handled that were queued when the last library went that keeps it going. Those that come after them
    // do not count: a library that does not keep it going may have more and more of them.
    let mut owed = None;
    while !guard.stop.get() && state.get().is_some() {
        let round = owed.map_or(ROUND, |owed| ROUND.min(owed));
        let (now, _) = dispatch::run(stack, guard, round, true)?;
        handled += now;
        if state.get().is_none() {
            // A callback closed the state: the dispatcher may serve another by now.
            break;
        }
        if !idle::breathe(stack) {
            return None;
        }
        if state.get().is_none() {
            // So may a hook.
            break;
        }
        let kept = dispatcher.registered() > 0;
        // After that: what a library delivered before it let go is seen here.
        let remaining = dispatcher.queue_size();
        owed = (!kept).then(|| owed.map_or(remaining, |owed| remaining.min(owed - now)));
        if owed == Some(0) {
            break;
        }
        let Some(slice) = slice(deadline) else { break };
        if kept && now < round && !guard.stop.get() && dispatcher.wait_registered(slice) == Waited::Nothing {
            idle::note(stack, guard, slice);
        }
    }
    Some(handled)
}

/// Pushes the upvalues that both functions want after the guard. Raises.
pub(crate) fn push_upvalues(stack: Stack) {
    dispatch::push_upvalues(stack);
    idle::push_upvalues(stack);
}
