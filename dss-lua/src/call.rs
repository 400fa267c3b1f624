//! Calling a library's functions, and the methods of its objects.
//!
//! A call enters through a function that may raise and owns nothing. That function puts on the stack the functions that may raise, for
//! protected calls, and continues in [`run`], which owns the arguments and results, and raises nothing.

use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use dss_impl::dispatcher::Dispatcher;
use dss_impl::reserve;
use dss_impl::value::{Results, Value};
use mlua::ffi;

use crate::errors;
use crate::guard;
use crate::kept::{self, Kept};
use crate::kind::{Kind, Library};
use crate::raw::Stack;
use crate::read::{self, Reading};

/// What is called.
pub(crate) enum Callee {
    Function(Arc<Library>, usize),
    Method(Arc<Kind>, usize, *mut c_void),
    Close(Arc<Kind>, *mut c_void),
    Text(Arc<Kind>, *mut c_void),
}

/// What the call returned, until it is in Lua. It is in a frame below the protected call that pushes it.
enum Given {
    Results(Box<dyn Results>),
    Text(String),
    Nothing,
    /// An error message.
    Refusal(Cow<'static, str>),
}

struct Push {
    given: Given,
    /// The one value that was pushed is an error to raise.
    refused: bool,
}

impl Callee {
    fn library(&self) -> &Arc<Library> {
        match self {
            Callee::Function(library, _) => library,
            Callee::Method(kind, ..) | Callee::Close(kind, _) | Callee::Text(kind, _) => &kind.library,
        }
    }

    /// Its name, for error messages.
    fn name(&self) -> String {
        match self {
            Callee::Function(library, at) => {
                format!("'{}.{}'", library.module.name(), library.functions[*at])
            }
            Callee::Method(kind, at, _) => format!("'{}:{}'", kind.class.name(), kind.methods[*at]),
            Callee::Close(kind, _) => format!("'{}:close'", kind.class.name()),
            Callee::Text(kind, _) => format!("'{}:tostring'", kind.class.name()),
        }
    }

    fn call(&self, arguments: Vec<Value>) -> Given {
        let results = match self {
            Callee::Function(library, at) => library.module.call(*at, arguments),
            // SAFETY: the object is an argument, of this class, and was not dropped: see `objects`.
            Callee::Method(kind, at, data) => unsafe { kind.class.call(*at, *data, arguments) },
            // SAFETY: likewise.
            Callee::Close(kind, data) => match unsafe { kind.class.close(*data) }.transpose() {
                None => return Given::Nothing,
                Some(given) => given,
            },
            // SAFETY: likewise.
            Callee::Text(kind, data) => match unsafe { kind.class.text(*data) } {
                Some(text) => return Given::Text(text),
                None => return Given::Nothing,
            },
        };
        match results {
            Ok(results) => Given::Results(results),
            Err(sentence) => Given::Refusal(sentence.into()),
        }
    }
}

/// Inserts at `first`, below the arguments, the functions that [`run`] calls. *Raises* if out of memory.
pub(crate) fn prepare(stack: Stack, first: c_int) {
    stack.push_function(push_protected, 0);
    stack.insert(first);
    stack.push_function(read::protected, 0);
    stack.insert(first + 1);
    // Lua 5.1 raises if it has no memory for the room, and `run` must not raise. So the room is made here, if possible.
    let _ = stack.reserve(room(stack.top()));
}

/// The room that [`run`] needs above `last`, the index of the last argument: for as many values again.
fn room(last: c_int) -> c_int {
    last + 4
}

/// Calls with the arguments on top, from `first + 2` on, after [`prepare`]. Leaves the results above them, and returns their
/// number. Returns none if the value on top is an error to raise. The arguments, and the values below them, stay in place, so
/// Lua keeps the objects among them during the call. Raises nothing.
pub(crate) fn run(
    stack: Stack,
    dispatcher: &'static Dispatcher,
    callee: Callee,
    first: c_int,
) -> Option<c_int> {
    // A library's function may deliver something, and ask whether this is the Lua thread.
    dispatcher.enter_lua();
    let last = stack.top();
    let given = give(stack, dispatcher, &callee, first);
    let lent = matches!(&given, Given::Results(results) if results.has_lent());
    let mut push = Push { given, refused: false };
    stack.push_value(first);
    stack.push_pointer(&raw mut push);
    let mut count = 1;
    if lent {
        // The arguments have been read by now. There was room for as many values again, and for the two above.
        for index in (1..first).chain(first + 2..=last) {
            stack.push_value(index);
            count += 1;
        }
    }
    let pushed = stack.protected_call(count, ffi::LUA_MULTRET, 0);
    (pushed && !push.refused).then(|| stack.top() - last)
}

/// Reads the arguments from `first + 2` on, and calls the library. Raises nothing.
fn give(stack: Stack, dispatcher: &'static Dispatcher, callee: &Callee, first: c_int) -> Given {
    if reserve::is_low() {
        return Given::Refusal(errors::NO_MEMORY.into());
    }
    let (library, last) = (callee.library(), stack.top());
    if !stack.reserve(room(last)) {
        let name = callee.name();
        return Given::Refusal(format!("{name} was called with too many values for Lua's stack").into());
    }
    stack.push_value(first + 1);
    for index in first + 2..=last {
        stack.push_value(index);
    }
    let mut reading = Reading::of_arguments(dispatcher, Arc::clone(library));
    match reading.read(stack, last - first - 1) {
        Err((at, problem)) => {
            Given::Refusal(format!("bad argument #{at} to {}: {problem}", callee.name()).into())
        }
        Ok(()) if !library.module.is_registered() => {
            let (name, library) = (callee.name(), library.described());
            Given::Refusal(
                format!("{name}: {library} is no longer registered in this Lua state: load it again").into(),
            )
        }
        Ok(()) => callee.call(std::mem::take(&mut reading.values)),
    }
}

/// Pushes what the call returned.
unsafe extern "C-unwind" fn push_protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let push: *mut Push = stack.pointer_at(1);
    // SAFETY: `run` passes the address of a value in its frame, which is below this one.
    let push = unsafe { &mut *push };
    match &mut push.given {
        // SAFETY: on the Lua thread, protected, and nothing in between needs to be dropped.
        Given::Results(results) => match unsafe { results.push(stack.pointer()) } {
            Ok(count) => {
                push.refused = results.is_error();
                return count.clamp(0, stack.top() - 1);
            }
            Err(sentence) => {
                push.refused = true;
                stack.set_top(0);
                stack.push_bytes(sentence.as_bytes());
            }
        },
        Given::Text(text) => stack.push_bytes(text.as_bytes()),
        Given::Nothing => return 0,
        Given::Refusal(sentence) => {
            push.refused = true;
            stack.push_bytes(sentence.as_bytes());
        }
    }
    1
}

/// The error if Lua has collected the library of a function, because the state closes.
pub(crate) const GONE: &str = "the library is gone, because this Lua state is closing";

/// A library's function. Upvalues: the guard, the kept library, the function's index.
unsafe extern "C-unwind" fn function(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let dispatcher = match guard::served(stack) {
        Ok(guard) => guard.state().dispatcher,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    prepare(stack, 1);
    match call_function(stack, dispatcher) {
        Some(Some(count)) => count,
        Some(None) => stack.raise_top_placed(),
        None => stack.raise(GONE.as_bytes()),
    }
}

/// The part of [`function`] that owns values. Raises nothing. Returns none if the library is gone.
fn call_function(stack: Stack, dispatcher: &'static Dispatcher) -> Option<Option<c_int>> {
    let kept: *const Kept<Library> = stack.pointer_at(Stack::upvalue(2));
    // SAFETY: `push_functions` put it there, and the function keeps it.
    let library = unsafe { &*kept }.get()?;
    let at = stack.number_at(Stack::upvalue(3)) as usize;
    Some(run(stack, dispatcher, Callee::Function(library, at), 1))
}

/// Sets the functions of a library in the table at index 1. Raises.
pub(crate) fn set_functions(stack: Stack, library: &Arc<Library>) {
    kept::push(stack, library);
    let kept = stack.top();
    for (at, name) in library.functions.iter().enumerate() {
        stack.push_bytes(name.as_bytes());
        guard::push_guard(stack);
        stack.push_value(kept);
        stack.push_integer(at);
        stack.push_function(function, 3);
        stack.raw_set(1);
    }
    stack.set_top(kept);
}
