//! How `wait` and `run` sleep: on the state's own descriptor and on those of the program, for as long as nothing arrives.
//!
//! On Ctrl-C, the signal handler of a Lua interpreter sets a debug hook that stops the program, and a hook runs only when Lua runs. A
//! signal to the process goes to its main thread, so it ends a sleep there. On other threads, and on systems without such a sleep, a
//! sleep lasts [`SLICE`], and then Lua runs.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use dss_impl::dispatcher::{Dispatcher, Waited};
use dss_impl::pair::{Found, MOST_OTHERS, Other};
use mlua::ffi;

use crate::guard::Guard;
use crate::idle;
use crate::raw::Stack;

/// How long a sleep lasts if no signal ends it, or while garbage is to be collected.
const SLICE: Duration = Duration::from_millis(100);

/// How long a sleep lasts at most. A signal may come between the last check for one and the sleep, and a program may close the
/// descriptor that the sleep waits on: neither may make it last forever.
const LONGEST: Duration = Duration::from_secs(10);

const NOT_LISTED: &str =
    "bad argument #2 to 'wait': wanted a list of descriptors, each an integer, or nothing";
const NOT_CALLED: &str =
    "bad argument #2 to 'run': wanted a table from descriptors (integers) to functions, or nothing";
const TOO_MANY: &str = "more than 64 descriptors to wait on: use an event loop";
const CLOSED: &str = "a descriptor to wait on is not open: remove it from the table before you close it";
#[cfg(unix)]
const NONE_LEFT: &str = "the process has no descriptor left to wait with: close some, or raise their limit";
#[cfg(not(unix))]
const NOT_HERE: &str = "`wait` and `run` cannot wait on other descriptors on this system: use an event loop";

/// The program's descriptors to wait on.
#[derive(Clone, Copy)]
pub(crate) struct Others {
    all: [Other; MOST_OTHERS],
    count: usize,
}

impl Others {
    const NONE: Self = Others { all: [Other { number: -1, found: Found::Nothing }; MOST_OTHERS], count: 0 };

    /// The descriptors in the list at `index`; none for nil.
    pub(crate) fn listed(stack: Stack, index: c_int) -> Result<Self, &'static str> {
        let mut others = Self::NONE;
        if !is_table(stack, index, NOT_LISTED)? {
            return Ok(others);
        }
        for at in 1..=stack.raw_length(index) {
            stack.raw_get_at(index, at);
            let number = descriptor(stack, -1);
            stack.pop(1);
            others.add(number.ok_or(NOT_LISTED)?)?;
        }
        Ok(others)
    }

    /// The descriptors that have functions in the table at `index`; none for nil.
    pub(crate) fn called(stack: Stack, index: c_int) -> Result<Self, &'static str> {
        let mut others = Self::NONE;
        if !is_table(stack, index, NOT_CALLED)? {
            return Ok(others);
        }
        stack.push_nil();
        while stack.next(index) {
            let number = descriptor(stack, -2).filter(|_| stack.type_at(-1) == ffi::LUA_TFUNCTION);
            stack.pop(1);
            if let Err(sentence) = number.ok_or(NOT_CALLED).and_then(|number| others.add(number)) {
                stack.pop(1);
                return Err(sentence);
            }
        }
        Ok(others)
    }

    fn add(&mut self, number: i32) -> Result<(), &'static str> {
        let other = self.all.get_mut(self.count).ok_or(TOO_MANY)?;
        *other = Other { number, found: Found::Nothing };
        self.count += 1;
        Ok(())
    }

    pub(crate) fn all(&self) -> &[Other] {
        &self.all[..self.count]
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.all().iter().any(|other| other.found == Found::Ready)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.all().iter().any(|other| other.found == Found::Closed) { Err(CLOSED) } else { Ok(()) }
    }
}

/// Whether the value at `index` is a table. Nil gives false; anything else is refused with `sentence`.
fn is_table(stack: Stack, index: c_int, sentence: &'static str) -> Result<bool, &'static str> {
    match stack.type_at(index) {
        ffi::LUA_TNIL => Ok(false),
        ffi::LUA_TTABLE => Ok(true),
        _ => Err(sentence),
    }
}

/// The number at `index`, if it can be a descriptor.
fn descriptor(stack: Stack, index: c_int) -> Option<i32> {
    if stack.type_at(index) != ffi::LUA_TNUMBER {
        return None;
    }
    let number = stack.number_at(index);
    let fits = number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&number);
    fits.then_some(number as i32)
}

/// The registry key of what [`push_functions`] stores: a list of the functions' table and of the previous list.
static FUNCTIONS: u8 = 17;

/// Keeps the table at `index`, or nil, for the `run` that begins. Raises.
pub(crate) fn push_functions(stack: Stack, index: c_int) {
    stack.new_table(2);
    stack.push_value(index);
    stack.raw_set_at(-2, 1);
    stack.push_own(&FUNCTIONS);
    stack.raw_set_at(-2, 2);
    stack.set_own(&FUNCTIONS);
}

/// Forgets it when that `run` ends. Leaves the stack unchanged. Raises nothing, because the key exists.
pub(crate) fn pop_functions(stack: Stack) {
    stack.push_own(&FUNCTIONS);
    if stack.type_at(-1) == ffi::LUA_TTABLE {
        stack.raw_get_at(-1, 2);
        stack.set_own(&FUNCTIONS);
    }
    stack.pop(1);
}

/// The descriptors of the `run` that is running, as they are in its table now.
pub(crate) fn functions(stack: Stack) -> Result<Others, &'static str> {
    push_table(stack);
    let others = Others::called(stack, stack.top());
    stack.pop(1);
    others
}

/// Pushes the function for a descriptor. Returns false, and pushes nothing, if there is none any more.
pub(crate) fn push_function(stack: Stack, number: i32) -> bool {
    push_table(stack);
    stack.raw_get_at(-1, number);
    stack.remove(-2);
    let there = stack.type_at(-1) == ffi::LUA_TFUNCTION;
    if !there {
        stack.pop(1);
    }
    there
}

fn push_table(stack: Stack) {
    stack.push_own(&FUNCTIONS);
    stack.raw_get_at(-1, 1);
    stack.remove(-2);
}

/// Checks whether something is queued or ready, without a sleep.
pub(crate) fn look(guard: &Guard, others: &mut Others) -> Result<Waited, &'static str> {
    let dispatcher = guard.state().dispatcher;
    if others.count == 0 {
        return Ok(dispatcher.wait(Duration::ZERO));
    }
    sleep(dispatcher, others, Duration::ZERO, false)
}

/// Sleeps until something is queued or ready, the deadline is over, or a hook may have to run. With `for_a_library`, it also ends when
/// no library keeps `run` going.
pub(crate) fn park(
    stack: Stack,
    guard: &Guard,
    deadline: Option<Instant>,
    for_a_library: bool,
    others: &mut Others,
) -> Result<Waited, &'static str> {
    let begun = Instant::now();
    let left = deadline.map(|deadline| deadline.saturating_duration_since(begun));
    let longest = if idle::is_settled(guard) && signals_end_sleeps() { LONGEST } else { SLICE };
    let limit = left.map_or(longest, |left| left.min(longest));
    let waited = sleep(guard.state().dispatcher, others, limit, for_a_library)?;
    if waited == Waited::Nothing && !others.has_ready() {
        idle::note(stack, guard, begun.elapsed());
    }
    Ok(waited)
}

#[cfg(unix)]
fn sleep(
    dispatcher: &Dispatcher,
    others: &mut Others,
    limit: Duration,
    for_a_library: bool,
) -> Result<Waited, &'static str> {
    // SAFETY: `wait` and `run` are called by Lua, on its thread, and their state is served.
    let waited = unsafe { dispatcher.wait_on(&mut others.all[..others.count], limit, for_a_library) };
    let Ok(waited) = waited else {
        // If DSS gets no descriptor, it sleeps without one.
        return if others.count > 0 {
            Err(NONE_LEFT)
        } else {
            Ok(sleep_in_slices(dispatcher, limit, for_a_library))
        };
    };
    others.check()?;
    Ok(waited)
}

#[cfg(not(unix))]
fn sleep(
    dispatcher: &Dispatcher,
    others: &mut Others,
    limit: Duration,
    for_a_library: bool,
) -> Result<Waited, &'static str> {
    others.check()?;
    if others.count > 0 {
        return Err(NOT_HERE);
    }
    Ok(sleep_in_slices(dispatcher, limit, for_a_library))
}

/// A sleep without a descriptor, which no signal ends.
fn sleep_in_slices(dispatcher: &Dispatcher, limit: Duration, for_a_library: bool) -> Waited {
    let limit = limit.min(SLICE);
    if for_a_library { dispatcher.wait_registered(limit) } else { dispatcher.wait(limit) }
}

/// Whether a signal to the process ends a sleep of this thread, which is so on the main thread.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn signals_end_sleeps() -> bool {
    // SAFETY: it has no preconditions.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(thread).is_ok_and(|thread| thread == std::process::id())
}

#[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "openbsd"))]
fn signals_end_sleeps() -> bool {
    // SAFETY: it has no preconditions.
    unsafe { libc::pthread_main_np() == 1 }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "openbsd"
)))]
fn signals_end_sleeps() -> bool {
    false
}
