//! Libraries, their classes, and their objects as userdata.
//!
//! Each class of a loaded library has a metatable in the state's registry, under the class's own address. A library that is
//! loaded again gets new metatables, so that no object is taken for one of another registration. A program cannot get a
//! metatable without `debug`, so every userdata that has one was made by [`push`].
//!
//! | an object is | its `data` | leaves to                                              |
//! |--------------|------------|--------------------------------------------------------|
//! | open         | usable while its library is registered | closed, by `close`; gone   |
//! | closed       | the same; `close` does nothing         | gone                       |
//! | gone         | dropped    | -                                                      |

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::Arc;

use dss_impl::value::{Class, Module, ObjectRef};
use mlua::ffi;

use crate::identity::Identity;
use crate::kept::Kept;
use crate::raw::Stack;

/// A library that was loaded into the state.
pub(crate) struct Library {
    pub(crate) module: Arc<dyn Module>,
    pub(crate) functions: Vec<String>,
    /// The identity of its file when it was loaded.
    pub(crate) identity: Option<Identity>,
}

impl Library {
    /// How error messages name it.
    pub(crate) fn described(&self) -> String {
        format!("the library {}", self.module.name())
    }
}

/// The key of the class in its metatable.
pub(crate) static KIND: u8 = 4;

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

/// The content of the userdata: a reference to its kind, and the library's data. Both are NULL before the data is stored, and
/// after it is dropped.
pub(crate) struct Object {
    pub(crate) kind: *const Kind,
    pub(crate) data: *mut c_void,
    pub(crate) closed: bool,
}

impl Stack {
    /// Pushes `registry[key]`. The key is an address in a library.
    pub(crate) fn push_foreign(self, key: usize) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawgetp(self.0, ffi::LUA_REGISTRYINDEX, key as *const c_void) };
    }

    /// Pops a value and sets `registry[key]` to it. *Raises* if out of memory.
    pub(crate) fn set_foreign(self, key: usize) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawsetp(self.0, ffi::LUA_REGISTRYINDEX, key as *const c_void) };
    }
}

/// Pushes a new object, which Lua then owns. Returns false, and pushes nothing, if the state has no such class. *Raises* if out
/// of memory; the caller then still owns the data.
pub(crate) fn push(stack: Stack, class: usize, data: *mut c_void) -> bool {
    stack.push_foreign(class);
    if stack.type_at(-1) != ffi::LUA_TTABLE {
        stack.pop(1);
        return false;
    }
    stack.raw_get_own(-1, &KIND);
    let kept: *const Kept<Kind> = stack.pointer_at(-1);
    stack.pop(1);
    // SAFETY: `prepare` put it there, and the metatable keeps it.
    let kind = unsafe { kept.as_ref() }.map_or(null(), Kept::pointer);
    if kind.is_null() {
        stack.pop(1);
        return false;
    }
    let object = stack.new_userdata(Object { kind: null(), data: null_mut(), closed: false });
    stack.insert(-2);
    stack.set_metatable(-2);
    // SAFETY: the kept value holds a reference. This one is the object's own.
    unsafe { Arc::increment_strong_count(kind) };
    // SAFETY: Lua allocated it, and it is on the stack. Nothing raises from here on.
    unsafe { object.write(Object { kind, data, closed: false }) };
    true
}

/// The object at `index`, of any library. Raises nothing.
pub(crate) fn at<'a>(stack: Stack, index: c_int) -> Option<&'a mut Object> {
    let object: *mut Object = stack.userdata_at(index)?;
    if !stack.push_metatable(index) {
        return None;
    }
    stack.raw_get_own(-1, &KIND);
    let own = stack.type_at(-1) == ffi::LUA_TUSERDATA;
    stack.pop(2);
    // SAFETY: a userdata with that metatable was made by `push`, and is on the stack. Lua runs one function at a time.
    own.then(|| unsafe { &mut *object })
}

/// Pushes the object `lent`, which is at one of the indices 2 to `last`. Returns false, and pushes nothing, if it is not there.
/// Needs room for two values. Raises nothing.
pub(crate) fn push_lent(stack: Stack, last: c_int, lent: ObjectRef) -> bool {
    let place = (2..=last).find(|index| {
        at(stack, *index).is_some_and(|object| {
            // SAFETY: an object holds a reference to its kind.
            let class = unsafe { object.kind.as_ref() }.map(|kind| kind.class.key());
            object.data == lent.data && class == Some(lent.class)
        })
    });
    if let Some(place) = place {
        stack.push_value(place);
    }
    place.is_some()
}
