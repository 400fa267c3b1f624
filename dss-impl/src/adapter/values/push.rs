//! Pushes values to Lua, and measures them for a library's limits.

use std::ffi::{c_int, c_void};

use super::objects;
use super::record::Record;
use super::service::Refused;
use super::wire::{Plain, Shape, Wire};
use crate::callbacks::CallbackId;
use crate::dispatcher::Dispatcher;
use crate::handle::Handle;
use crate::states;
use crate::value::{LuaValues, MAX_DEPTH};

pub(super) const NO_LUA: &str = "DSS is not loaded in Lua: call `require \"darksidesync\"` first";
const NO_MEMORY: &str = "there is not enough memory for a library's object";
const NO_ROOM: &str = "a library delivered too many values for Lua's stack";
const NO_INTEGER: &str = "a library passed an integer past 2^53, which this Lua cannot represent: pass a float or a string \
                          from the library, or use Lua 5.3 or later";
const NO_KEY: &str = "a library delivered a map with nil or NaN as a key, which Lua tables cannot have";
const NO_CLASS: &str = "a library passed an object of a class that it does not declare: add the class to the \
                        library's `objects`";
pub(super) const BORROWED: &str = "a library delivered an object that Lua owns: only a function that was given such an \
                                   object can return it";

/// The registry key of a callback's function, in the state of a library's handle.
#[inline]
pub(super) fn key(callback: CallbackId, handle: Handle) -> *const c_void {
    states::dispatcher_at(handle.dispatcher)
        .map_or(std::ptr::null(), |dispatcher| dispatcher.key_of(callback))
}

/// Pushes a delivery's function and its values. Returns how many values there are, or why it failed.
///
/// # Safety
/// As documented for `LuaValues`' methods.
#[inline]
pub(super) unsafe fn push_delivery<W: Wire>(
    lua: *mut c_void,
    handle: Handle,
    record: &mut Record<'_, W>,
) -> Result<c_int, &'static str> {
    let Some(to) = states::lua_values() else { return Err(NO_LUA) };
    let count = record.values.len();
    // SAFETY: the caller's promise, here and below.
    if count > 12 && !unsafe { to.reserve(lua, count as c_int + 8) } {
        return Err(NO_ROOM);
    }
    // SAFETY: as above.
    unsafe { to.push_callback(lua, key(record.callback(), handle)) };
    for value in &mut *record.values {
        if let Shape::Plain(value) = W::shape(value) {
            // SAFETY: as above. Most values are plain, and need no further call.
            unsafe { plain(to, lua, value) }?;
            continue;
        }
        // SAFETY: as above.
        unsafe { push::<W>(to, lua, value, handle) }?;
    }
    Ok(count as c_int + 1)
}

/// Pushes one plain value.
///
/// # Safety
/// As documented for `LuaValues`' methods.
#[inline]
pub(super) unsafe fn plain(to: &dyn LuaValues, lua: *mut c_void, value: Plain) -> Result<(), &'static str> {
    match value {
        // SAFETY: the caller's promise, here and below.
        Plain::Nil => unsafe { to.push_nil(lua) },
        // SAFETY: as above.
        Plain::Boolean(value) => unsafe { to.push_boolean(lua, value) },
        Plain::Integer(value) => {
            // SAFETY: as above.
            if !unsafe { to.push_integer(lua, value) } {
                return Err(NO_INTEGER);
            }
        }
        // SAFETY: as above.
        Plain::Float(value) => unsafe { to.push_float(lua, value) },
    }
    Ok(())
}

/// Pushes one value of the library of `handle`, in a call into that library. Objects are moved to Lua, and become nil in the
/// value. Its depth was checked when the library handed the value over.
///
/// # Safety
/// As documented for `LuaValues`' methods.
pub(super) unsafe fn push<W: Wire>(
    to: &dyn LuaValues,
    lua: *mut c_void,
    value: &mut W::Value,
    handle: Handle,
) -> Result<(), &'static str> {
    match W::shape(value) {
        // SAFETY: the caller's promise, here and below.
        Shape::Plain(value) => unsafe { plain(to, lua, value) }?,
        // SAFETY: as above.
        Shape::Bytes(bytes) => unsafe { to.push_bytes(lua, bytes) },
        Shape::List(list) => {
            // SAFETY: as above.
            if !unsafe { to.reserve(lua, 4) } {
                return Err(NO_ROOM);
            }
            // SAFETY: as above.
            unsafe { to.push_table(lua, list.len(), 0) };
            for (at, item) in list.iter_mut().enumerate() {
                // SAFETY: as above.
                unsafe { push::<W>(to, lua, item, handle) }?;
                // SAFETY: as above; the table is below the item.
                unsafe { to.set_item(lua, at + 1) };
            }
        }
        Shape::Map(map) => {
            // SAFETY: as above.
            if !unsafe { to.reserve(lua, 5) } {
                return Err(NO_ROOM);
            }
            // SAFETY: as above.
            unsafe { to.push_table(lua, 0, map.len()) };
            for entry in map.iter_mut() {
                let (key, value) = W::entry(entry);
                // SAFETY: as above.
                unsafe { push::<W>(to, lua, key, handle) }?;
                // SAFETY: as above.
                unsafe { push::<W>(to, lua, value, handle) }?;
                // SAFETY: as above; the table is below the two.
                if !unsafe { to.set_entry(lua) } {
                    return Err(NO_KEY);
                }
            }
        }
        // SAFETY: as above.
        Shape::Callback(callback) => unsafe { to.push_callback(lua, key(callback, handle)) },
        Shape::Object(data, class) => {
            if !objects::make_room::<W>(handle) {
                return Err(NO_MEMORY);
            }
            // SAFETY: as above; the library made the data and the class together.
            if !unsafe { to.push_object(lua, std::ptr::from_ref(class).addr(), data) } {
                return Err(NO_CLASS);
            }
            // From here on Lua owns it; nothing below raises.
            W::forget_object(value);
            objects::given::<W>(handle, data, class);
        }
        Shape::Lent(_) => return Err(BORROWED),
    }
    Ok(())
}

/// How many bytes the values count for their library's limits, or why they cannot go to the state of that dispatcher.
#[inline]
pub(super) fn measure<W: Wire>(values: &mut [W::Value], dispatcher: &Dispatcher) -> Result<u32, Refused> {
    let mut bytes = 0_usize;
    for value in values {
        let size = match W::shape(value) {
            // Most values are plain, and need no call.
            Shape::Plain(_) => size_of::<W::Value>(),
            _ => size::<W>(value, dispatcher, 0)?,
        };
        bytes = bytes.saturating_add(size);
    }
    u32::try_from(bytes).map_err(|_| Refused::TOO_LARGE)
}

fn size<W: Wire>(value: &mut W::Value, dispatcher: &Dispatcher, depth: usize) -> Result<usize, Refused> {
    if depth > MAX_DEPTH {
        return Err(Refused::TooDeep);
    }
    let mut within = 0_usize;
    match W::shape(value) {
        Shape::Bytes(bytes) => within = bytes.len(),
        Shape::List(list) => {
            for item in list {
                within = within.saturating_add(size::<W>(item, dispatcher, depth + 1)?);
            }
        }
        Shape::Map(map) => {
            for entry in map {
                let (key, value) = W::entry(entry);
                for either in [key, value] {
                    within = within.saturating_add(size::<W>(either, dispatcher, depth + 1)?);
                }
            }
        }
        Shape::Callback(callback) if !dispatcher.has_callback(callback) => {
            return Err(Refused::InvalidCallback);
        }
        Shape::Lent(_) => return Err(Refused::Malformed),
        _ => {}
    }
    Ok(size_of::<W::Value>().saturating_add(within))
}
