//! Copies of Lua values, to pass them between states: nil, booleans, numbers and strings.

use crate::lua::{self, State};
use std::ffi::{CStr, c_int};

/// A copied Lua value.
#[derive(Clone)]
pub(crate) enum Value {
    Nil,
    Boolean(bool),
    Integer(lua::Integer),
    Number(f64),
    String(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl Value {
    /// An integer if this Lua has integers and the number fits, a float otherwise.
    pub(crate) fn count(value: u64) -> Self {
        match lua::Integer::try_from(value) {
            Ok(value) => Self::Integer(value),
            Err(_) => Self::Number(value as f64),
        }
    }

    /// Copies the value at `index`. Fails with the name of its type if values of that type cannot be copied.
    /// Never raises a Lua error, so the caller may own things.
    ///
    /// # Safety
    /// The index is valid in a state that this thread runs.
    pub(crate) unsafe fn read(l: *mut State, index: c_int) -> Result<Self, String> {
        // SAFETY: none of these raises; the string is copied while its value is still on the stack.
        unsafe {
            let kind = lua::kind(l, index);
            Ok(match kind {
                lua::TNONE | lua::TNIL => Self::Nil,
                lua::TBOOLEAN => Self::Boolean(lua::toboolean(l, index) != 0),
                lua::TNUMBER => match lua::tointeger(l, index) {
                    Some(value) => Self::Integer(value),
                    None => Self::Number(lua::tonumber(l, index)),
                },
                lua::TSTRING => {
                    let mut len = 0;
                    let start = lua::tolstring(l, index, &mut len);
                    Self::String(std::slice::from_raw_parts(start.cast(), len).to_vec())
                }
                _ => {
                    return Err(CStr::from_ptr(lua::typename(l, kind)).to_string_lossy().into_owned());
                }
            })
        }
    }

    /// Copies the values at `first..=last`. An error names the first value that cannot be copied, as `what` and its number.
    /// Never raises a Lua error.
    ///
    /// # Safety
    /// The indices are valid in a state that this thread runs.
    pub(crate) unsafe fn read_all(
        l: *mut State,
        first: c_int,
        last: c_int,
        what: &str,
    ) -> Result<Vec<Self>, String> {
        (first..=last)
            .map(|index| {
                // SAFETY: the index is in the range that the caller guarantees.
                unsafe { Self::read(l, index) }.map_err(|kind| {
                    format!(
                        "{what} {} is a {kind}, which can't be copied to another state",
                        index - first + 1
                    )
                })
            })
            .collect()
    }

    /// Pushes a copy of this value. May raise a Lua error if there is not enough memory.
    ///
    /// # Safety
    /// This thread runs the state, the state has a free slot, and no frame up to the next protected call owns anything.
    pub(crate) unsafe fn push(&self, l: *mut State) {
        // SAFETY: the caller guarantees it; Lua copies the string.
        unsafe {
            match self {
                Self::Nil => lua::pushnil(l),
                Self::Boolean(value) => lua::pushboolean(l, (*value).into()),
                Self::Integer(value) => lua::pushinteger(l, *value),
                Self::Number(value) => lua::pushnumber(l, *value),
                Self::String(value) => lua::pushlstring(l, value.as_ptr().cast(), value.len()),
            }
        }
    }
}
