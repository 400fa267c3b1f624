//! Values on their way to Lua: the functions that the adapters use to push them.

use std::ffi::{c_int, c_void};

use dss_impl::value::{LuaValues, ObjectRef};
use mlua::ffi;

use crate::callbacks;
use crate::kind;
use crate::raw::Stack;

/// Whether this Lua has integers as well as floats.
pub(crate) const HAS_INTEGERS: bool = !cfg!(any(feature = "lua51", feature = "lua52", feature = "luajit"));

/// A float holds every integer from minus this to this.
pub(crate) const EXACT: i64 = 1 << 53;

/// This Lua's values.
pub(crate) struct Values;

impl Stack {
    /// Pushes an integer. Returns false, and pushes nothing, if this Lua cannot hold it exactly.
    #[inline]
    fn push_exact(self, value: i64) -> bool {
        if HAS_INTEGERS {
            // SAFETY: see `new`. `lua_Integer` is this type in every Lua that has integers.
            unsafe { ffi::lua_pushinteger(self.0, value as ffi::lua_Integer) };
            return true;
        }
        let exact = (-EXACT..=EXACT).contains(&value);
        if exact {
            self.push_number(value as f64);
        }
        exact
    }

    /// Pushes a table. *Raises* if out of memory.
    fn push_sized_table(self, items: usize, entries: usize) {
        // More than Lua can count is more than it has memory for, and Lua says so.
        let count = |wanted: usize| c_int::try_from(wanted).unwrap_or(c_int::MAX);
        // SAFETY: see `new`.
        unsafe { ffi::lua_createtable(self.0, count(items), count(entries)) };
    }

    /// Whether the value at `index` can be a key.
    fn is_key(self, index: c_int) -> bool {
        match self.type_at(index) {
            ffi::LUA_TNIL => false,
            ffi::LUA_TNUMBER => !self.number_at(index).is_nan(),
            _ => true,
        }
    }
}

/// The stack of a state that an adapter was given.
///
/// # Safety
/// As [`LuaValues`] says.
#[inline]
unsafe fn on(lua: *mut c_void) -> Stack {
    // SAFETY: as the caller promises.
    unsafe { Stack::new(lua.cast()) }
}

impl LuaValues for Values {
    #[inline]
    unsafe fn reserve(&self, lua: *mut c_void, count: c_int) -> bool {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.reserve(count)
    }

    unsafe fn top(&self, lua: *mut c_void) -> c_int {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.top()
    }

    #[inline]
    unsafe fn push_nil(&self, lua: *mut c_void) {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.push_nil();
    }

    #[inline]
    unsafe fn push_boolean(&self, lua: *mut c_void, value: bool) {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.push_boolean(value);
    }

    #[inline]
    unsafe fn push_integer(&self, lua: *mut c_void, value: i64) -> bool {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.push_exact(value)
    }

    #[inline]
    unsafe fn push_float(&self, lua: *mut c_void, value: f64) {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.push_number(value);
    }

    #[inline]
    unsafe fn push_bytes(&self, lua: *mut c_void, value: &[u8]) {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.push_bytes(value);
    }

    unsafe fn push_table(&self, lua: *mut c_void, items: usize, entries: usize) {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.push_sized_table(items, entries);
    }

    unsafe fn set_item(&self, lua: *mut c_void, at: usize) {
        // SAFETY: as the trait says.
        unsafe { on(lua) }.raw_set_at(-2, c_int::try_from(at).unwrap_or(c_int::MAX));
    }

    unsafe fn set_entry(&self, lua: *mut c_void) -> bool {
        // SAFETY: as the trait says.
        let stack = unsafe { on(lua) };
        let good = stack.is_key(-2);
        if good {
            stack.raw_set(-3);
        } else {
            stack.pop(2);
        }
        good
    }

    #[inline]
    unsafe fn push_callback(&self, lua: *mut c_void, key: *const c_void) {
        // SAFETY: as the trait says.
        callbacks::push(unsafe { on(lua) }, key);
    }

    unsafe fn push_object(&self, lua: *mut c_void, class: usize, data: *mut c_void) -> bool {
        // SAFETY: as the trait says.
        kind::push(unsafe { on(lua) }, class, data)
    }

    unsafe fn push_lent(&self, lua: *mut c_void, last: c_int, object: ObjectRef) -> bool {
        // SAFETY: as the trait says.
        kind::push_lent(unsafe { on(lua) }, last, object)
    }
}
