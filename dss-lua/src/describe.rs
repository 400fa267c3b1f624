//! Describes values on the stack, for error messages.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};

use dss_impl::memory::{OutOfMemory, try_lossy};
use mlua::ffi;

use crate::raw::Stack;

impl Stack {
    /// The name of the type at `index`.
    pub(crate) fn type_name_at(self, index: c_int) -> &'static str {
        // SAFETY: it is a type's number.
        unsafe { self.type_name(self.type_at(index)) }
    }

    /// The name of a type.
    ///
    /// # Safety
    /// This Lua has a name for that number.
    pub(crate) unsafe fn type_name(self, kind: c_int) -> &'static str {
        // SAFETY: see `new`, and as the caller promises.
        let name = unsafe { ffi::lua_typename(self.0, kind) };
        // SAFETY: Lua's names are C strings that live as long as Lua is loaded.
        unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("value")
    }

    /// The value at `index` with its article, for error messages.
    pub(crate) fn described(self, index: c_int) -> Cow<'static, str> {
        match self.type_at(index) {
            ffi::LUA_TNONE => "nothing".into(),
            ffi::LUA_TNIL => "nil".into(),
            _ => format!("a {}", self.type_name_at(index)).into(),
        }
    }

    /// A copy of the string at `index`. None for anything else, including a number.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(crate) fn text_at(self, index: c_int) -> Result<Option<String>, OutOfMemory> {
        let text = (self.type_at(index) == ffi::LUA_TSTRING).then(|| self.bytes_at(index)).flatten();
        text.map(try_lossy).transpose()
    }
}
