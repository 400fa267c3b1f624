//! What `wait` and `run` do while nothing arrives: let hooks run, and collect garbage if a thread waits for a reply.
//!
//! A callback may drop its reply. Lua reports that when it collects the reply, but an idle program allocates nothing and so collects
//! nothing: the thread would wait forever. So while replies are pending and nothing arrives, garbage is collected, in steps of a few
//! milliseconds, through the whole heap. This is done twice, because what one round finds dead may keep a reply alive. After that, Lua
//! is known to hold the remaining replies.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use dss_impl::dispatcher::Dispatcher;
use mlua::ffi;

use crate::guard::{Guard, Idle};
use crate::raw::Stack;

/// The upvalues of `wait` and `run`: the empty Lua function that lets hooks run, [`step`] and [`full`].
const BREATHER: c_int = 6;
const STEP: c_int = 7;
const FULL: c_int = 8;
/// The upvalue with [`errors::handle`](crate::errors::handle).
const HANDLE: c_int = 3;

/// How long one call collects.
const SLICE: Duration = Duration::from_millis(5);
/// Rounds of the collector after which nothing is left to find.
const ROUNDS: u8 = 2;
/// After this much idling, a small heap is collected in one go. That is quick, and finds what steps do not (a generational collector's
/// young collections look only at new objects).
const LONG: Duration = Duration::from_millis(500);
/// How long Lua is taken to hold the replies once that was found, while the program calls `wait` or `run` again and again.
const PERIOD: Duration = Duration::from_secs(1);
/// The size below which a heap is small, in KiB.
const SMALL: c_int = 64 << 10;

/// Called when `wait` or `run` begins. The program ran since the last one, and may have dropped a reply.
pub(crate) fn enter(guard: &Guard) {
    let idle = guard.idle.get();
    if idle.rounds == ROUNDS && idle.time >= PERIOD {
        guard.idle.set(Idle { again: true, ..Idle::default() });
    }
}

/// Called when an item was handled.
#[inline]
pub(crate) fn handled(guard: &Guard) {
    if guard.idle.get().time > Duration::ZERO {
        guard.idle.take();
    }
}

/// Pushes the upvalues from [`BREATHER`] on. Raises.
pub(crate) fn push_upvalues(stack: Stack) {
    if !stack.load(c"return") {
        stack.raise_top();
    }
    stack.push_function(step, 0);
    stack.push_function(full, 0);
}

/// Lets hooks run. If one raises an error, returns false with the error on top.
pub(crate) fn breathe(stack: Stack) -> bool {
    stack.push_value(Stack::upvalue(BREATHER));
    stack.protected_call(0, 0, 0)
}

/// Whether there is nothing to do while nothing arrives: no reply is pending, or Lua holds all that are.
pub(crate) fn is_settled(guard: &Guard) -> bool {
    guard.idle.get().rounds >= ROUNDS || guard.state().get().is_none_or(|dispatcher| pending(dispatcher) == 0)
}

/// Called when nothing arrived for `slept`.
pub(crate) fn note(stack: Stack, guard: &Guard, slept: Duration) {
    let Some(dispatcher) = guard.state().get() else { return };
    let mut idle = guard.idle.take();
    idle.time += slept;
    if idle.rounds < ROUNDS && pending(dispatcher) > 0 {
        collect(stack, &mut idle);
    }
    guard.idle.set(idle);
}

/// How many replies are pending.
fn pending(dispatcher: &Dispatcher) -> usize {
    // SAFETY: Lua called `wait` or `run`, on its thread.
    unsafe { dispatcher.within_lua(|| dispatcher.pending()) }
}

fn collect(stack: Stack, idle: &mut Idle) {
    if !idle.again && idle.time >= LONG && stack.kilobytes() < SMALL {
        call(stack, FULL);
        call(stack, FULL);
        idle.rounds = ROUNDS;
        return;
    }
    let until = Instant::now() + SLICE;
    while idle.rounds < ROUNDS && Instant::now() < until {
        idle.rounds += u8::from(call(stack, STEP));
    }
}

/// Calls one of the two functions below, and returns its result. A finalizer's error goes to the error handler, like a callback's.
fn call(stack: Stack, function: c_int) -> bool {
    stack.push_value(Stack::upvalue(HANDLE));
    stack.push_value(Stack::upvalue(function));
    let done = stack.protected_call(0, 1, stack.top() - 1) && stack.boolean_at(-1);
    stack.pop(2);
    done
}

/// A step of the collector → whether a round is over. Raises what finalizers raise, in some Luas.
unsafe extern "C-unwind" fn step(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let over = stack.collect_step();
    stack.push_boolean(over);
    1
}

/// A whole round → true. Raises like [`step`].
unsafe extern "C-unwind" fn full(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    stack.collect_all();
    stack.push_boolean(true);
    1
}
