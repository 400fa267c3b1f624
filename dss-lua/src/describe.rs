//! What lies on the stack, in words: for the sentences of errors.

use std::borrow::Cow;
use std::ffi::{CStr, c_int};

use mlua::ffi;

use crate::raw::Stack;

impl Stack {
    /// What the type at `index` is called.
    pub(crate) fn type_name_at(self, index: c_int) -> &'static str {
        // SAFETY: it is a type's number.
        unsafe { self.type_name(self.type_at(index)) }
    }

    /// What a type is called.
    ///
    /// # Safety
    /// This Lua has a name for that number.
    pub(crate) unsafe fn type_name(self, kind: c_int) -> &'static str {
        // SAFETY: see `new`, and as the caller promises.
        let name = unsafe { ffi::lua_typename(self.0, kind) };
        // SAFETY: Lua's names are C strings that it has as long as it is there.
        unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("value")
    }

    /// What is at `index`, with its article, in sentences.
    pub(crate) fn described(self, index: c_int) -> Cow<'static, str> {
        match self.type_at(index) {
            ffi::LUA_TNONE => "nothing".into(),
            ffi::LUA_TNIL => "nil".into(),
            _ => format!("a {}", self.type_name_at(index)).into(),
        }
    }

    /// The string at `index`, in a copy; none where there is something else, a number included.
    pub(crate) fn text_at(self, index: c_int) -> Option<String> {
        let text = (self.type_at(index) == ffi::LUA_TSTRING).then(|| self.bytes_at(index)).flatten()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }
}
