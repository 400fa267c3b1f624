//! What Lua calls on the objects of libraries: their methods, `close`, `tostring`, and the finalizer. See [`kind`](crate::kind).

use std::ffi::c_int;
use std::ptr::{null, null_mut};
use std::sync::Arc;

use dss_impl::dispatcher::Dispatcher;
use dss_impl::outcome::Failure;
use dss_impl::value::Class;
use mlua::ffi;

use crate::call::{self, Callee};
use crate::guard;
use crate::kept::{self, Kept};
use crate::kind::{KIND, Kind, Object, at};
use crate::raw::{CFunction, Stack};

/// Makes the metatable of a class, and its methods. Raises.
pub(crate) fn prepare(stack: Stack, kind: &Arc<Kind>) {
    stack.set_top(0);
    stack.new_table(0);
    kept::push(stack, kind);
    stack.push_value(-1);
    stack.raw_set_own(1, &KIND);
    let with_kind = |function: CFunction, at: usize| {
        guard::push_guard(stack);
        stack.push_value(2);
        stack.push_integer(at);
        stack.push_function(function, 3);
    };
    stack.new_table(0);
    for (at, name) in kind.methods.iter().enumerate() {
        stack.push_bytes(name.as_bytes());
        with_kind(method, at);
        stack.raw_set(3);
    }
    if kind.class.has_close() {
        with_kind(close, 0);
        stack.push_value(-1);
        stack.set_field(3, c"close");
        stack.set_field(1, c"__close");
    }
    stack.set_field(1, c"__index");
    with_kind(to_string, 0);
    stack.set_field(1, c"__tostring");
    stack.push_function(collected, 0);
    stack.set_field(1, c"__gc");
    stack.set_top(1);
    stack.seal_metatable(kind.class.name().as_bytes());
    stack.set_foreign(kind.class.key());
}

/// The kind in the second upvalue of a running method, and the object that it is called on. None, with a message in `failure`, if
/// it is called on something else.
fn own<'a>(
    stack: Stack,
    failure: &mut Failure,
    name: impl Fn(&Kind) -> &str,
) -> Option<(Arc<Kind>, &'a mut Object)> {
    let kept: *const Kept<Kind> = stack.pointer_at(Stack::upvalue(2));
    // SAFETY: `prepare` put it there, and the method keeps it.
    let Some(kind) = unsafe { &*kept }.get() else {
        failure.set(call::GONE);
        return None;
    };
    let found = match at(stack, 1) {
        Some(object) if object.kind == Arc::as_ptr(&kind) => return Some((kind, object)),
        // SAFETY: an object holds a reference to its kind.
        Some(object) => match unsafe { object.kind.as_ref() } {
            Some(other) if other.library.module.name() == kind.library.module.name() => {
                if Arc::ptr_eq(&other.library, &kind.library) {
                    format!("an object '{}'", other.class.name())
                } else {
                    format!("{} from an earlier or later load", other.described())
                }
            }
            Some(other) => other.described(),
            None => "an object that was collected".to_owned(),
        },
        None => match stack.type_name_at(1) {
            "nil" => "nil".to_owned(),
            name => format!("a {name}"),
        },
    };
    failure.set(&format!(
        "bad self of '{}:{}': wanted {}; found {found}",
        kind.class.name(),
        name(&kind),
        kind.described()
    ));
    None
}

/// A method. Upvalues: guard, kind, index.
unsafe extern "C-unwind" fn method(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let dispatcher = match guard::served(stack) {
        Ok(guard) => guard.state().dispatcher,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    if stack.top() == 0 {
        // Called with a dot and no arguments: the object still needs its place.
        stack.push_nil();
    }
    call::prepare(stack, 2);
    let mut failure = Failure::default();
    let called = call_method(stack, dispatcher, &mut failure);
    end(stack, called, &failure)
}

fn call_method(stack: Stack, dispatcher: &'static Dispatcher, failure: &mut Failure) -> Option<c_int> {
    let place = stack.number_at(Stack::upvalue(3)) as usize;
    let (kind, object) = own(stack, failure, |kind| &kind.methods[place])?;
    call::run(stack, dispatcher, Callee::Method(kind, place, object.data), 2)
}

/// Ends a call with its results or its error. The error is on top if `failure` is empty.
fn end(stack: Stack, called: Option<c_int>, failure: &Failure) -> c_int {
    match (called, failure.as_bytes()) {
        (Some(count), _) => count,
        (None, []) => stack.raise_top_placed(),
        (None, sentence) => stack.raise(sentence),
    }
}

/// `object:close()`, and the end of the scope of a to-be-closed variable. If the library has left or the state closes, nothing is
/// left to close, and the call succeeds. Upvalues: guard, kind.
unsafe extern "C-unwind" fn close(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let Ok(guard) = guard::served(stack) else { return 0 };
    stack.set_top(1);
    call::prepare(stack, 2);
    let mut failure = Failure::default();
    let called = call_close(stack, guard.state().dispatcher, &mut failure);
    end(stack, called, &failure)
}

fn call_close(stack: Stack, dispatcher: &'static Dispatcher, failure: &mut Failure) -> Option<c_int> {
    let (kind, object) = own(stack, failure, |_| "close")?;
    if std::mem::replace(&mut object.closed, true) || !kind.library.module.is_registered() {
        return Some(0);
    }
    call::run(stack, dispatcher, Callee::Close(kind, object.data), 2)
}

/// `tostring(object)`: the class's own text, or its name and the address. Upvalues: guard, kind.
unsafe extern "C-unwind" fn to_string(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    stack.set_top(1);
    let dispatcher = guard::served(stack).ok().map(|guard| guard.state().dispatcher);
    call::prepare(stack, 2);
    let mut failure = Failure::default();
    match call_text(stack, dispatcher, &mut failure) {
        Some(0) => {
            let text = default_text(stack);
            stack.push_bytes(text.as_bytes());
            1
        }
        called => end(stack, called, &failure),
    }
}

fn call_text(stack: Stack, dispatcher: Option<&'static Dispatcher>, failure: &mut Failure) -> Option<c_int> {
    let Some(dispatcher) = dispatcher else { return Some(0) };
    let Some((kind, object)) = own(stack, failure, |_| "tostring") else {
        // A collected object still has a text. Anything else comes here only through `debug`.
        return Some(0);
    };
    if !kind.library.module.is_registered() {
        return Some(0);
    }
    call::run(stack, dispatcher, Callee::Text(kind, object.data), 2)
}

/// The text of an object whose class has none, or whose library is gone.
fn default_text(stack: Stack) -> Failure {
    let Some(object) = at(stack, 1) else { return Failure::from("an object of a library") };
    // SAFETY: an object holds a reference to its kind.
    let name = unsafe { object.kind.as_ref() }.map_or("object", |kind| kind.class.name());
    Failure::from(format!("{name}: {:p}", object.data).as_str())
}

/// The finalizer: drops the library's data once, even if DSS has stopped. The library's image stays mapped.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let object: *mut Object = stack.pointer_at(1);
    let gone = Object { kind: null(), data: null_mut(), closed: true };
    // SAFETY: Lua finalizes what `push` made.
    let Object { kind, data, .. } = unsafe { object.replace(gone) };
    if kind.is_null() {
        return 0;
    }
    // SAFETY: the reference that `push` stored, which was just taken out.
    let kind = unsafe { Arc::from_raw(kind) };
    // SAFETY: the data was not dropped, because the kind was there, and nothing else has it any more.
    unsafe { Class::drop(&*kind.class, data) };
    0
}
