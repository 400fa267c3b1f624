//! Errors of callbacks: who is told, and the default.

use std::ffi::c_int;
use std::io::Write;

use dss_impl::value::Raised;
use mlua::ffi;

use crate::raw::Stack;

/// What every function of the module raises once DSS has stopped in its state.
pub(crate) const STOPPED: &str =
    "DSS has stopped in this Lua state, which is closing: nothing more can be polled or set";

/// The same of a state that was open when its process was forked, in the child.
pub(crate) const FORKED: &str = "this process was forked after this Lua state had begun to use DSS, and the libraries' threads stayed in \
                                 the parent: open libraries after the fork, or require DSS in a new Lua state";

/// What Lua raises itself where it has no memory.
pub(crate) const NO_MEMORY: &str = "not enough memory";

/// The registry key of the function given to `seterrorhandler`.
pub(crate) static HANDLER: u8 = 1;

/// The message handler of every callback that DSS runs: the error goes to the user's handler, at the place where it was
/// raised, or to stderr with a traceback.
pub(crate) unsafe extern "C-unwind" fn handle(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    if is_interruption(stack) {
        return 1;
    }
    stack.push_own(&HANDLER);
    if stack.type_at(-1) == ffi::LUA_TFUNCTION {
        stack.push_value(1);
        // Protected, for Lua would hand the handler's own error to the handler again, until its stack is full.
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

/// The registry keys of what [`trace`] left, and false elsewhere.
static MESSAGE: u8 = 7;
static TRACEBACK: u8 = 9;

/// The message handler of callbacks that answer a request: leaves the error's text and its traceback for [`take_trace`], and
/// the error itself as it is, for whom it may go on to.
pub(crate) unsafe extern "C-unwind" fn trace(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    // What an error before this one left is not this one's, should it not come to an end here.
    stack.push_boolean(false);
    stack.set_own(&TRACEBACK);
    stack.push_text_of(1);
    stack.set_own(&MESSAGE);
    stack.push_traceback(None, 1);
    stack.set_own(&TRACEBACK);
    stack.set_top(1);
    1
}

/// Leaves for [`take_trace`] what [`trace`] would of the error at `err`, with the traceback at `traceback` if there is a string. Raises for want
/// of memory.
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

/// What [`trace`] left of the error on top, or what can be said without it. Raises nothing.
pub(crate) fn take_trace(stack: Stack) -> Raised {
    let traceback = take_own(stack, &TRACEBACK).unwrap_or_default();
    let mut message = take_own(stack, &MESSAGE).unwrap_or_else(|| match stack.type_at(-1) {
        ffi::LUA_TSTRING => stack.bytes_at(-1).map(lossy).unwrap_or_default(),
        _ => "(an error object that is not a string)".to_owned(),
    });
    if CANNOT_YIELD.iter().any(|cannot| message.ends_with(cannot)) {
        message.push_str(HINT);
    }
    Raised { message, traceback, value: None }
}

/// What Luas say if a callback of DSS's yields. What goes on, tells what to do already.
const CANNOT_YIELD: [&str; 2] = ["C-call boundary", "attempt to yield from outside a coroutine"];
/// What can be done then.
const HINT: &str =
    " (DSS calls this function, so it cannot yield: make it a task with `require(\"dss.task\").handler(f)`)";

/// The string that lies under a key of the registry, where false lies from then on.
fn take_own(stack: Stack, key: &'static u8) -> Option<String> {
    stack.push_own(key);
    let text = (stack.type_at(-1) == ffi::LUA_TSTRING).then(|| stack.bytes_at(-1).map(lossy)).flatten();
    stack.pop(1);
    if text.is_some() {
        // The key is there, so this needs no memory.
        stack.push_boolean(false);
        stack.set_own(key);
    }
    text
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Tells of the error on top, as of a callback's. If the handler raises one on Ctrl-C, it is raised on.
pub(crate) fn report(stack: Stack) {
    stack.push_function(handle, 0);
    stack.insert(-2);
    stack.call(1, 0);
}

/// Tells of the error on top, which Lua gave to no handler: it has none run where it is out of memory. `handler` is the
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

/// How the message ends that the interpreters of all Luas raise on Ctrl-C.
pub(crate) const INTERRUPTED: &[u8] = b"interrupted!";

/// Whether a message is what the interpreters of all Luas raise on Ctrl-C, from a debug hook and so in the middle of whatever
/// runs: not an error of the callback that it hit, but the end of the program's patience.
pub(crate) fn interrupts(message: &[u8]) -> bool {
    message.ends_with(INTERRUPTED)
}

/// The same of the value on top.
pub(crate) fn is_interruption(stack: Stack) -> bool {
    stack.type_at(-1) == ffi::LUA_TSTRING && stack.bytes_at(-1).is_some_and(interrupts)
}

/// Writes the string on top to stderr, and what is not one as such.
pub(crate) fn print(stack: Stack, before: &[u8]) {
    let text = stack.bytes_at(-1).unwrap_or(b"(an error object that is not a string)");
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to tell of an error here.
    let _ =
        stderr.write_all(before).and_then(|()| stderr.write_all(text)).and_then(|()| stderr.write_all(b"\n"));
}
