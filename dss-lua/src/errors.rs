//! Errors of callbacks: who receives them, and the default.

use std::ffi::c_int;
use std::io::Write;

use dss_impl::memory::{TryRoom, try_lossy};
use dss_impl::value::Raised;
use mlua::ffi;

use crate::raw::Stack;

/// The error of every function of the module once DSS has stopped in its state.
pub(crate) const STOPPED: &str =
    "DSS has stopped, because this Lua state is closing: its functions cannot be used any more";

/// The same in a forked child, for a state that was open when the process was forked.
pub(crate) const FORKED: &str = "this process was forked after this Lua state had begun to use DSS, and the libraries' threads stayed in \
                                 the parent: open libraries after the fork, or require DSS in a new Lua state";

/// What Lua itself raises if it has no memory.
pub(crate) const NO_MEMORY: &str = "not enough memory";

/// The registry key of the function given to `seterrorhandler`.
pub(crate) static HANDLER: u8 = 1;

/// The message handler of every callback that DSS runs. The error goes to the user's handler, at the point where it was raised,
/// or to stderr with a traceback.
pub(crate) unsafe extern "C-unwind" fn handle(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    if is_interruption(stack) {
        return 1;
    }
    stack.push_own(&HANDLER);
    if stack.type_at(-1) == ffi::LUA_TFUNCTION {
        stack.push_value(1);
        // Protected, because Lua would pass the handler's own error to the handler again, until the stack is full.
        if stack.protected_call(1, 0, 0) {
            return 1;
        }
        stack.push_text_of(-1);
        print(stack, b"darksidesync: the error handler failed: ");
    }
    stack.set_top(1);
    stack.push_text_of(1);
    stack.push_traceback(Some(2), 1);
    print(stack, b"darksidesync: ");
    stack.set_top(1);
    1
}

/// The registry keys of what [`trace`] stored. At other times there is false.
static MESSAGE: u8 = 7;
static TRACEBACK: u8 = 9;

/// The message handler of callbacks that answer a request. Stores the error's text and its traceback for [`take_trace`], and
/// leaves the error unchanged, because it may be passed on.
pub(crate) unsafe extern "C-unwind" fn trace(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    // If this function does not finish, the traceback of an earlier error must not remain.
    stack.push_boolean(false);
    stack.set_own(&TRACEBACK);
    stack.push_text_of(1);
    stack.set_own(&MESSAGE);
    stack.push_traceback(None, 1);
    stack.set_own(&TRACEBACK);
    stack.set_top(1);
    1
}

/// Stores for [`take_trace`] what [`trace`] would store for the error at `err`, with the traceback at `traceback` if that is a
/// string. Raises if out of memory.
pub(crate) fn note_trace(stack: Stack, err: c_int, traceback: c_int) {
    stack.push_function(trace, 0);
    stack.push_value(err);
    if !stack.protected_call(1, 0, 0) {
        // Its `__tostring` raised an error.
        stack.pop(1);
    }
    if stack.type_at(traceback) == ffi::LUA_TSTRING {
        stack.push_value(traceback);
        stack.set_own(&TRACEBACK);
    }
}

/// What [`trace`] stored for the error on top, or what can be said without it. Raises nothing.
pub(crate) fn take_trace(stack: Stack) -> Raised {
    let traceback = take_own(stack, &TRACEBACK).unwrap_or_default();
    let mut message = take_own(stack, &MESSAGE).unwrap_or_else(|| match stack.type_at(-1) {
        ffi::LUA_TSTRING => text_of(stack.bytes_at(-1).unwrap_or_default()),
        _ => "(an error object that is not a string)".to_owned(),
    });
    if CANNOT_YIELD.iter().any(|cannot| message.ends_with(cannot)) && message.try_room(HINT.len()).is_ok() {
        message.push_str(HINT);
    }
    Raised { message, traceback, value: None }
}

/// How a Lua's message ends if a callback of DSS yields. A message that goes on after this has its own hint.
const CANNOT_YIELD: [&str; 2] = ["C-call boundary", "attempt to yield from outside a coroutine"];
/// The hint that is added to them.
const HINT: &str =
    " (DSS calls this function, so it cannot yield: make it a task with `require(\"dss.task\").handler(f)`)";

/// Takes the string under a key of the registry, and leaves false there.
fn take_own(stack: Stack, key: &'static u8) -> Option<String> {
    stack.push_own(key);
    let text = (stack.type_at(-1) == ffi::LUA_TSTRING).then(|| stack.bytes_at(-1).map(text_of)).flatten();
    stack.pop(1);
    if text.is_some() {
        // The key exists, so this needs no memory.
        stack.push_boolean(false);
        stack.set_own(key);
    }
    text
}

/// The text of an error, or what Lua says without memory.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    try_lossy(bytes).unwrap_or_else(|_| NO_MEMORY.to_owned())
}

/// Reports the error on top like a callback's. If Ctrl-C interrupts the handler, that error is raised.
pub(crate) fn report(stack: Stack) {
    stack.push_function(handle, 0);
    stack.insert(-2);
    stack.call(1, 0);
}

/// Reports the error on top, which Lua passed to no handler, because it calls none when it is out of memory. `handler` is the
/// index of [`handle`].
#[cold]
pub(crate) fn tell_unheard(stack: Stack, handler: c_int) {
    stack.push_value(handler);
    stack.push_value(-2);
    if !stack.protected_call(1, 0, 0) {
        // There is no memory for the handler either.
        print(stack, b"darksidesync: ");
        stack.pop(1);
    }
}

/// The end of the message that the interpreter of every Lua raises on Ctrl-C.
pub(crate) const INTERRUPTED: &[u8] = b"interrupted!";

/// Whether a message is what the interpreter of every Lua raises on Ctrl-C. It is raised from a debug hook, in the middle of
/// whatever runs, and is meant for the program, not for the callback that it hit.
pub(crate) fn interrupts(message: &[u8]) -> bool {
    message.ends_with(INTERRUPTED)
}

/// The same for the value on top.
pub(crate) fn is_interruption(stack: Stack) -> bool {
    stack.type_at(-1) == ffi::LUA_TSTRING && stack.bytes_at(-1).is_some_and(interrupts)
}

/// Writes the string on top to stderr, or says that it is not a string.
pub(crate) fn print(stack: Stack, before: &[u8]) {
    let text = stack.bytes_at(-1).unwrap_or(b"(an error object that is not a string)");
    let mut stderr = std::io::stderr().lock();
    // There is no one left to report an error to.
    let _ =
        stderr.write_all(before).and_then(|()| stderr.write_all(text)).and_then(|()| stderr.write_all(b"\n"));
}
