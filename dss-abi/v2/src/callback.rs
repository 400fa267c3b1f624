//! Lua functions that a library keeps.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::any::Value;
use crate::contract::ServiceObject;
use crate::error::ValueError;
use crate::value::{RawCallback, RawValue};

/// A Lua function that the library keeps. Take it as a parameter, and call it with
/// [`Library::deliver`](crate::Library::deliver) or [`Library::request`](crate::Library::request).
///
/// Any thread may keep, clone and drop it. When its Lua state closes, later deliveries to it are refused.
///
/// Two callbacks are equal if one is a clone of the other. If Lua passes the same function twice, the two callbacks
/// may differ.
///
/// ```
/// use dss_abi_v2::{Callback, Library, Result};
/// use std::sync::Mutex;
///
/// static LISTENERS: Mutex<Vec<(Library, Callback)>> = Mutex::new(Vec::new());
///
/// fn listen(library: Library, callback: Callback) {
///     LISTENERS.lock().unwrap().push((library, callback));
/// }
///
/// fn tell_all(text: &str) {
///     let listeners = LISTENERS.lock().unwrap().clone();
///     for (library, callback) in listeners {
///         let _ = library.deliver(&callback, text); // refused if that state has closed
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Callback(Arc<Held>);

struct Held {
    raw: RawCallback,
    service: &'static ServiceObject,
}

impl Callback {
    /// Makes a callback from a reference that DSS gave; for tests of this layer.
    #[doc(hidden)]
    #[must_use]
    pub fn new(raw: RawCallback, service: &'static ServiceObject) -> Self {
        Callback(Arc::new(Held { raw, service }))
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.raw.id()
    }

    /// How many clones of this callback there are, with this one.
    #[cfg(feature = "testing")]
    pub(crate) fn references(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The number of this callback for `service`. It is 0, which is no callback, if the callback belongs to another
    /// DSS: that DSS may have given the same number to another callback.
    #[inline]
    pub(crate) fn id_with(&self, service: &'static ServiceObject) -> u64 {
        if std::ptr::eq(self.0.service, service) {
            self.0.raw.id()
        } else {
            0
        }
    }

    /// A reference for Lua: this one if it is the last clone, otherwise a new one.
    pub(crate) fn into_raw(self, service: &'static ServiceObject) -> Result<RawValue, (ValueError, Value)> {
        if !std::ptr::eq(self.0.service, service) {
            return Err((
                ValueError::message("a callback belongs to another DSS module"),
                Value::Callback(self),
            ));
        }
        match Arc::try_unwrap(self.0) {
            Ok(held) => Ok(RawValue::Callback(held.raw)),
            Err(shared) => match shared.service.retain(shared.raw.id()).into_result() {
                Ok(raw) => Ok(RawValue::Callback(raw)),
                Err(_) => Err((
                    ValueError::message("a callback is dead, because its Lua state has closed"),
                    Value::Callback(Callback(shared)),
                )),
            },
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callback({:#x})", self.id())
    }
}

/// Whether both are clones of one reference. Two references to one Lua function may differ.
impl PartialEq for Callback {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && std::ptr::eq(self.0.service, other.0.service)
    }
}

impl Eq for Callback {}

impl Hash for Callback {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}
