//! What `wait` and `run` do while nothing comes: let hooks run, and collect garbage where somebody waits for a reply.
//!
//! A callback may drop its reply. Lua says so when it collects that, and a program that idles allocates nothing and so collects nothing:
//! the thread would wait for ever. So garbage is collected, in steps of a few milliseconds, from one end to the other, while replies
//! are out and nothing comes. Twice, for what one round finds dead may be what keeps a reply; then it is known that Lua has them.

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
/// After so much idling a small heap is collected in one go: it is over soon, and finds what steps do not (a generational
/// collector's young ones look at what is new).
const LONG: Duration = Duration::from_millis(500);
/// How long what was found, that Lua has the replies, is taken to hold while the program comes back again and again.
const PERIOD: Duration = Duration::from_secs(1);
/// What is small, in KiB.
const SMALL: c_int = 64 << 10;

/// `wait` or `run` is entered. The program ran since the last one, and may have dropped a reply.
pub(crate) fn enter(guard: &Guard) {
    let idle = guard.idle.get();
    if idle.rounds == ROUNDS && idle.time >= PERIOD {
        guard.idle.set(Idle { again: true, ..Idle::default() });
    }
}

/// An item was handled.
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

/// Lets hooks run; false, with the error on top, where one raised it.
pub(crate) fn breathe(stack: Stack) -> bool {
    stack.push_value(Stack::upvalue(BREATHER));
    stack.protected_call(0, 0, 0)
}

/// Whether nothing is left to do while nothing comes: no reply is out, or Lua has those that are.
pub(crate) fn is_settled(guard: &Guard) -> bool {
    guard.idle.get().rounds >= ROUNDS || guard.state().get().is_none_or(|dispatcher| pending(dispatcher) == 0)
}

/// Nothing came for `slept`.
pub(crate) fn note(stack: Stack, guard: &Guard, slept: Duration) {
    let Some(dispatcher) = guard.state().get() else { return };
    let mut idle = guard.idle.take();
    idle.time += slept;
    if idle.rounds < ROUNDS && pending(dispatcher) > 0 {
        collect(stack, &mut idle);
    }
    guard.idle.set(idle);
}

/// How many replies are out.
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

/// Calls one of the two functions below; says what that returned. A finalizer's error is told to the error handler, as a callback's is.
fn call(stack: Stack, function: c_int) -> bool {
    stack.push_value(Stack::upvalue(HANDLE));
    stack.push_value(Stack::upvalue(function));
    let done = stack.protected_call(0, 1, stack.top() - 1) && stack.boolean_at(-1);
    stack.pop(2);
    done
}

/// A step of the collector → whether a round is over. Raises what finalizers raise, in some Luas.
unsafe extern "C-unwind" fn step(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let over = stack.collect_step();
    stack.push_boolean(over);
    1
}

/// A whole round → true. Raises as [`step`].
unsafe extern "C-unwind" fn full(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    stack.collect_all();
    stack.push_boolean(true);
    1
}
