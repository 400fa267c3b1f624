//! Values, from the revision's to Lua's and back.

use std::ffi::{c_int, c_void};

use abi_stable::std_types::{RBox, RVec};
use dss_abi_v2::contract::{Code, RawClass};
use dss_abi_v2::value::{MAX_DEPTH, RawBorrowed, RawCallback, RawEntry, RawValue, ReleaseFn};

use super::module;
use super::record::Record;
use crate::callbacks::{self, CallbackId, Reference};
use crate::dispatcher::Dispatcher;
use crate::handle::Handle;
use crate::states;
use crate::value::{LuaValues, ObjectRef, Value};

const _: () = assert!(MAX_DEPTH == crate::value::MAX_DEPTH);

const NO_LUA: &str = "DSS has no Lua yet: `darksidesync` was not required";
const NO_ROOM: &str = "a library's values are more than Lua's stack has room for";
const NO_INTEGER: &str = "an integer of a library's is past 2^53, and this Lua has no integers: have the library deliver a \
                          float or a string, or use Lua 5.3 or later";
const NO_KEY: &str = "a map of a library's has nil or NaN as a key, which no Lua table can have";
const NO_CLASS: &str = "an object of a library's is of a class that the library does not declare: add it to the library's \
                        `objects`";
pub(super) const BORROWED: &str =
    "a library handed on an object that Lua lent it: objects that Lua owns come back through Lua alone";

unsafe extern "C" fn release(callback: u64) {
    callbacks::release(CallbackId::from_raw(callback));
}

/// What the state of a library's handle keeps a callback's function by.
#[inline]
fn kept(callback: CallbackId, handle: Handle) -> Option<c_int> {
    states::dispatcher_at(handle.dispatcher).and_then(|dispatcher| dispatcher.kept(callback))
}

/// A reference as a library holds it.
pub(super) fn reference(reference: Reference) -> RawCallback {
    // SAFETY: a reference of its own, which `release` gives back on any thread.
    unsafe { RawCallback::new(reference.into_raw(), ReleaseFn(release)) }
}

/// Pushes a delivery's function and its values; returns how many that are, or why not.
///
/// # Safety
/// As `LuaValues` says of its methods.
pub(super) unsafe fn push_delivery(
    lua: *mut c_void,
    handle: Handle,
    record: &mut Record<'_>,
) -> Result<c_int, &'static str> {
    let Some(to) = states::lua_values() else { return Err(NO_LUA) };
    let count = record.values.len();
    // SAFETY: the caller's promise, here and below.
    if count > 12 && !unsafe { to.reserve(lua, count as c_int + 8) } {
        return Err(NO_ROOM);
    }
    // SAFETY: as above.
    unsafe { to.push_callback(lua, kept(record.callback(), handle)) };
    for value in &mut *record.values {
        if let RawValue::Integer(integer) = value {
            // SAFETY: as above. Many are, and want no call between.
            if !unsafe { to.push_integer(lua, *integer) } {
                return Err(NO_INTEGER);
            }
            continue;
        }
        // SAFETY: as above.
        unsafe { push(to, lua, value, handle) }?;
    }
    Ok(count as c_int + 1)
}

/// Pushes one value of the library of `handle`, in a call into that library. Objects are moved to Lua: what is left of them is
/// nil. How deep it goes was looked at when the library handed the value over.
///
/// # Safety
/// As `LuaValues` says of its methods.
pub(super) unsafe fn push(
    to: &dyn LuaValues,
    lua: *mut c_void,
    value: &mut RawValue,
    handle: Handle,
) -> Result<(), &'static str> {
    match value {
        // SAFETY: the caller's promise, here and below.
        RawValue::Nil => unsafe { to.push_nil(lua) },
        // SAFETY: as above.
        RawValue::Boolean(value) => unsafe { to.push_boolean(lua, *value) },
        RawValue::Integer(value) => {
            // SAFETY: as above.
            if !unsafe { to.push_integer(lua, *value) } {
                return Err(NO_INTEGER);
            }
        }
        // SAFETY: as above.
        RawValue::Float(value) => unsafe { to.push_float(lua, *value) },
        // SAFETY: as above.
        RawValue::Bytes(bytes) => unsafe { to.push_bytes(lua, bytes) },
        RawValue::List(list) => {
            // SAFETY: as above.
            if !unsafe { to.reserve(lua, 4) } {
                return Err(NO_ROOM);
            }
            // SAFETY: as above.
            unsafe { to.push_table(lua, list.len(), 0) };
            for (at, item) in list.iter_mut().enumerate() {
                // SAFETY: as above.
                unsafe { push(to, lua, item, handle) }?;
                // SAFETY: as above; the table lies below the item.
                unsafe { to.set_item(lua, at + 1) };
            }
        }
        RawValue::Map(map) => {
            // SAFETY: as above.
            if !unsafe { to.reserve(lua, 5) } {
                return Err(NO_ROOM);
            }
            // SAFETY: as above.
            unsafe { to.push_table(lua, 0, map.len()) };
            for RawEntry { key, value } in map.iter_mut() {
                // SAFETY: as above.
                unsafe { push(to, lua, key, handle) }?;
                // SAFETY: as above.
                unsafe { push(to, lua, value, handle) }?;
                // SAFETY: as above; the table lies below the two.
                if !unsafe { to.set_entry(lua) } {
                    return Err(NO_KEY);
                }
            }
        }
        // SAFETY: as above.
        RawValue::Callback(callback) => unsafe {
            to.push_callback(lua, kept(CallbackId::from_raw(callback.id()), handle));
        },
        RawValue::Object(object) => {
            let (data, class) = (object.data(), object.class());
            let key = std::ptr::from_ref::<RawClass>(class).addr();
            // SAFETY: as above; the library made the two together.
            if !unsafe { to.push_object(lua, key, data) } {
                return Err(NO_CLASS);
            }
            // It is Lua's from here on; nothing below raises.
            std::mem::forget(std::mem::replace(value, RawValue::Nil));
            module::given(handle, data, class);
        }
        RawValue::Borrowed(_) => return Err(BORROWED),
    }
    Ok(())
}

/// Values from Lua, as the library takes them.
pub(super) fn from_lua(values: Vec<Value>) -> RVec<RawValue> {
    values.into_iter().map(one_from_lua).collect()
}

fn one_from_lua(value: Value) -> RawValue {
    match value {
        Value::Nil => RawValue::Nil,
        Value::Boolean(value) => RawValue::Boolean(value),
        Value::Integer(value) => RawValue::Integer(value),
        Value::Float(value) => RawValue::Float(value),
        Value::Bytes(bytes) => RawValue::Bytes(RBox::new(RVec::from(bytes))),
        Value::List(list) => RawValue::List(RBox::new(from_lua(list))),
        Value::Map(map) => {
            let entry = |(key, value)| RawEntry { key: one_from_lua(key), value: one_from_lua(value) };
            RawValue::Map(RBox::new(map.into_iter().map(entry).collect()))
        }
        Value::Callback(callback) => RawValue::Callback(reference(callback)),
        Value::Object(ObjectRef { data, class }) => {
            let class: *const RawClass = std::ptr::with_exposed_provenance(class);
            // SAFETY: the key of a class of v2 is its address in an image that stays mapped; no other revision has classes.
            let class = unsafe { &*class };
            RawValue::Borrowed(RawBorrowed { data, class })
        }
    }
}

/// What some values count for their library's bound, in bytes, or why they cannot go to the state of that dispatcher.
pub(super) fn measure(values: &[RawValue], dispatcher: &Dispatcher) -> Result<u32, Code> {
    let mut bytes = 0_usize;
    for value in values {
        let size = match value {
            // Most are, and want no call.
            RawValue::Nil | RawValue::Boolean(_) | RawValue::Integer(_) | RawValue::Float(_) => {
                size_of::<RawValue>()
            }
            other => size(other, dispatcher, 0)?,
        };
        bytes = bytes.saturating_add(size);
    }
    u32::try_from(bytes).map_err(|_| Code::TOO_LARGE)
}

fn size(value: &RawValue, dispatcher: &Dispatcher, depth: usize) -> Result<usize, Code> {
    if depth > MAX_DEPTH {
        return Err(Code::TOO_DEEP);
    }
    let within = match value {
        RawValue::Bytes(bytes) => bytes.len(),
        RawValue::List(list) => {
            let each = list.iter().map(|item| size(item, dispatcher, depth + 1));
            each.sum::<Result<usize, Code>>()?
        }
        RawValue::Map(map) => {
            let both = map.iter().flat_map(|entry| [&entry.key, &entry.value]);
            both.map(|item| size(item, dispatcher, depth + 1)).sum::<Result<usize, Code>>()?
        }
        RawValue::Callback(callback) if !dispatcher.has_callback(CallbackId::from_raw(callback.id())) => {
            return Err(Code::INVALID_CALLBACK);
        }
        RawValue::Borrowed(_) => return Err(Code::MALFORMED),
        _ => 0,
    };
    Ok(size_of::<RawValue>().saturating_add(within))
}
