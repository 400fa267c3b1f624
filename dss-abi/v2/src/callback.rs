//! Lua functions that a library keeps.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::any::Value;
use crate::contract::ServiceObject;
use crate::error::ValueError;
use crate::value::{RawCallback, RawValue};

/// A Lua function. Any thread may keep, clone and drop it; once its Lua state has closed it is dead, and what is
/// delivered to it is refused.
#[derive(Clone)]
pub struct Callback(Arc<Held>);

struct Held {
    raw: RawCallback,
    service: &'static ServiceObject,
}

impl Callback {
    /// A reference as DSS gave it; for tests of this layer.
    #[doc(hidden)]
    #[must_use]
    pub fn new(raw: RawCallback, service: &'static ServiceObject) -> Self {
        Callback(Arc::new(Held { raw, service }))
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.raw.id()
    }

    /// How many of this there are.
    #[cfg(feature = "testing")]
    pub(crate) fn references(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// What `service` knows it by; 0, which names nothing, where it is another DSS's: that may have one of the same number.
    #[inline]
    pub(crate) fn id_with(&self, service: &'static ServiceObject) -> u64 {
        if std::ptr::eq(self.0.service, service) {
            self.0.raw.id()
        } else {
            0
        }
    }

    /// A reference for Lua: this one where it is the last, another otherwise.
    pub(crate) fn into_raw(self, service: &'static ServiceObject) -> Result<RawValue, (ValueError, Value)> {
        if !std::ptr::eq(self.0.service, service) {
            return Err((ValueError::message("a callback is another DSS module's"), Value::Callback(self)));
        }
        match Arc::try_unwrap(self.0) {
            Ok(held) => Ok(RawValue::Callback(held.raw)),
            Err(shared) => match shared.service.retain(shared.raw.id()).into_result() {
                Ok(raw) => Ok(RawValue::Callback(raw)),
                Err(_) => Err((
                    ValueError::message("a callback is dead, for its Lua state has closed"),
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

/// Whether both are the same reference's; two references to one Lua function may differ.
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
