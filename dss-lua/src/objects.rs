//! Objects of libraries, as userdata.
//!
//! Each class of a library that was loaded has a metatable in the state's registry, by the class's own address; one that is
//! loaded again has others, so that no object is taken for one of a registration that it does not belong to. A program can't
//! come by a metatable without `debug`, and so what has one is what [`push`] made.
//!
//! | an object is | its `data` | leaves to                                              |
//! |--------------|------------|--------------------------------------------------------|
//! | open         | usable while its library is registered | closed, by `close`; gone   |
//! | closed       | likewise; `close` does nothing         | gone                       |
//! | gone         | dropped    | -                                                      |

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use dss_impl::dispatcher::Dispatcher;
use dss_impl::outcome::Failure;
use dss_impl::value::{Class, ObjectRef};
use mlua::ffi;

use crate::call::{self, Callee, Library};
use crate::guard;
use crate::kept::{self, Kept};
use crate::raw::{CFunction, Stack};

/// The key of the class in its metatable.
static KIND: u8 = 4;

/// A class of a library that was loaded.
pub(crate) struct Kind {
    pub(crate) library: Arc<Library>,
    pub(crate) class: Arc<dyn Class>,
    pub(crate) methods: Vec<String>,
}

impl Kind {
    pub(crate) fn described(&self) -> String {
        format!("an object '{}' of {}", self.class.name(), self.library.described())
    }
}

/// What the userdata holds: a share of its kind, and the library's data. NULL both before the data came and once it was
/// dropped.
pub(crate) struct Object {
    pub(crate) kind: *const Kind,
    pub(crate) data: *mut c_void,
    closed: bool,
}

impl Stack {
    /// Pushes `registry[key]`, where the key is an address of some library's.
    fn push_foreign(self, key: usize) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawgetp(self.0, ffi::LUA_REGISTRYINDEX, key as *const c_void) };
    }

    /// Sets `registry[key]` to what it pops. *Raises* for want of memory.
    fn set_foreign(self, key: usize) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawsetp(self.0, ffi::LUA_REGISTRYINDEX, key as *const c_void) };
    }
}

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
    stack.push_bytes(kind.class.name().as_bytes());
    stack.set_field(1, c"__name");
    stack.push_boolean(false);
    stack.set_field(1, c"__metatable");
    stack.set_top(1);
    stack.set_foreign(kind.class.key());
}

/// Pushes a new object, which Lua then owns; false, with nothing pushed, where the state has no such class. *Raises* for want
/// of memory; then the data is still its caller's.
pub(crate) fn push(stack: Stack, class: usize, data: *mut c_void) -> bool {
    stack.push_foreign(class);
    if stack.type_at(-1) != ffi::LUA_TTABLE {
        stack.pop(1);
        return false;
    }
    stack.raw_get_own(-1, &KIND);
    let kept: *const Kept<Kind> = stack.pointer_at(-1);
    stack.pop(1);
    // SAFETY: `prepare` put it there, and the metatable has it.
    let kind = unsafe { kept.as_ref() }.map_or(null(), Kept::pointer);
    if kind.is_null() {
        stack.pop(1);
        return false;
    }
    let object = stack.new_userdata(Object { kind: null(), data: null_mut(), closed: false });
    stack.insert(-2);
    stack.set_metatable(-2);
    // SAFETY: what is kept has a share. This is the object's own.
    unsafe { Arc::increment_strong_count(kind) };
    // SAFETY: Lua made room for it, and it is on the stack. Nothing raises any more.
    unsafe { object.write(Object { kind, data, closed: false }) };
    true
}

/// The object at `index`, any library's. Raises nothing.
pub(crate) fn at<'a>(stack: Stack, index: c_int) -> Option<&'a mut Object> {
    let object: *mut Object = stack.userdata_at(index)?;
    if !stack.push_metatable(index) {
        return None;
    }
    stack.raw_get_own(-1, &KIND);
    let own = stack.type_at(-1) == ffi::LUA_TUSERDATA;
    stack.pop(2);
    // SAFETY: what has that metatable was made by `push`, and lies on the stack. Lua runs one function at a time.
    own.then(|| unsafe { &mut *object })
}

/// Pushes the object that lies at one of the places 2 to `last`; false, with nothing pushed, where it does not. Wants room for
/// two values; raises nothing.
pub(crate) fn push_lent(stack: Stack, last: c_int, lent: ObjectRef) -> bool {
    let place = (2..=last).find(|index| {
        at(stack, *index).is_some_and(|object| {
            // SAFETY: an object has a share of its kind.
            let class = unsafe { object.kind.as_ref() }.map(|kind| kind.class.key());
            object.data == lent.data && class == Some(lent.class)
        })
    });
    if let Some(place) = place {
        stack.push_value(place);
    }
    place.is_some()
}

/// The kind in the second upvalue of a running method, and the object that it is called on; none, with a sentence in
/// `failure`, where something else is in its place.
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
        // SAFETY: an object has a share of its kind.
        Some(object) => match unsafe { object.kind.as_ref() } {
            Some(other) if other.library.module.name() == kind.library.module.name() => {
                if Arc::ptr_eq(&other.library, &kind.library) {
                    format!("an object '{}'", other.class.name())
                } else {
                    format!("{} as it was loaded at another time", other.described())
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

/// A method. Upvalues: guard, kind, place.
unsafe extern "C-unwind" fn method(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let dispatcher = match guard::served(stack) {
        Ok(guard) => guard.state.dispatcher,
        Err(sentence) => return stack.raise(sentence.as_bytes()),
    };
    if stack.top() == 0 {
        // Called with a dot, and with nothing: what is to be the object has a place all the same.
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

/// Ends a call: with its results, or with its error, which is on top where `failure` has none.
fn end(stack: Stack, called: Option<c_int>, failure: &Failure) -> c_int {
    match (called, failure.as_bytes()) {
        (Some(count), _) => count,
        (None, []) => stack.raise_top_placed(),
        (None, sentence) => stack.raise(sentence),
    }
}

/// `object:close()`, and the end of the scope of a variable that is to be closed. Where there is nothing left to close, for
/// the library left or the state closes, it is closed. Upvalues: guard, kind.
unsafe extern "C-unwind" fn close(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let Ok(guard) = guard::served(stack) else { return 0 };
    stack.set_top(1);
    call::prepare(stack, 2);
    let mut failure = Failure::default();
    let called = call_close(stack, guard.state.dispatcher, &mut failure);
    end(stack, called, &failure)
}

fn call_close(stack: Stack, dispatcher: &'static Dispatcher, failure: &mut Failure) -> Option<c_int> {
    let (kind, object) = own(stack, failure, |_| "close")?;
    if std::mem::replace(&mut object.closed, true) || !kind.library.module.is_registered() {
        return Some(0);
    }
    call::run(stack, dispatcher, Callee::Close(kind, object.data), 2)
}

/// `tostring(object)`: the class's own text, or name and address. Upvalues: guard, kind.
unsafe extern "C-unwind" fn to_string(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    stack.set_top(1);
    let dispatcher = guard::served(stack).ok().map(|guard| guard.state.dispatcher);
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
        // One that was collected has a text all the same, and everything else comes here by `debug` alone.
        return Some(0);
    };
    if !kind.library.module.is_registered() {
        return Some(0);
    }
    call::run(stack, dispatcher, Callee::Text(kind, object.data), 2)
}

/// What is said of an object that does not say it itself, its library being gone even.
fn default_text(stack: Stack) -> Failure {
    let Some(object) = at(stack, 1) else { return Failure::from("an object of a library") };
    // SAFETY: an object has a share of its kind.
    let name = unsafe { object.kind.as_ref() }.map_or("object", |kind| kind.class.name());
    Failure::from(format!("{name}: {:p}", object.data).as_str())
}

/// The finalizer: drops the library's data, once, whether DSS has stopped before or not. Its image stays mapped.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let object: *mut Object = stack.pointer_at(1);
    let gone = Object { kind: null(), data: null_mut(), closed: true };
    // SAFETY: Lua finalizes what `push` made.
    let Object { kind, data, .. } = unsafe { object.replace(gone) };
    if kind.is_null() {
        return 0;
    }
    // SAFETY: the share that `push` gave it, taken out of it just now.
    let kind = unsafe { Arc::from_raw(kind) };
    // SAFETY: the data was not dropped, for the kind was there, and nobody has it any more.
    unsafe { Class::drop(&*kind.class, data) };
    0
}
