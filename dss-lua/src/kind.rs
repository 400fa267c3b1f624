//! Libraries, their classes, and their objects as userdata.
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

use dss_impl::value::{Class, Module, ObjectRef};
use mlua::ffi;

use crate::identity::Identity;
use crate::kept::Kept;
use crate::raw::Stack;

/// A library that was loaded into the state.
pub(crate) struct Library {
    pub(crate) module: Arc<dyn Module>,
    pub(crate) functions: Vec<String>,
    /// What its file was when it was loaded.
    pub(crate) identity: Option<Identity>,
}

impl Library {
    /// As sentences name it.
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

/// What the userdata holds: a share of its kind, and the library's data. NULL both before the data came and once it was
/// dropped.
pub(crate) struct Object {
    pub(crate) kind: *const Kind,
    pub(crate) data: *mut c_void,
    pub(crate) closed: bool,
}

impl Stack {
    /// Pushes `registry[key]`, where the key is an address of some library's.
    pub(crate) fn push_foreign(self, key: usize) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawgetp(self.0, ffi::LUA_REGISTRYINDEX, key as *const c_void) };
    }

    /// Sets `registry[key]` to what it pops. *Raises* for want of memory.
    pub(crate) fn set_foreign(self, key: usize) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawsetp(self.0, ffi::LUA_REGISTRYINDEX, key as *const c_void) };
    }
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
