//! Values in both directions: copied when a library hands them over, laid out when a library gets them. Also a library's limits.

use std::borrow::Cow;
use std::ffi::{CStr, c_void};
use std::time::Duration;

use dss_abi_c2v0::*;

use super::{C2v0, Frame, codes};
use crate::adapter::values::copied::{self, Allowance, Copied};
use crate::adapter::values::service::{Refused, Source};
use crate::adapter::values::wire::Plain;
use crate::adapter::values::{objects, waiting};
use crate::capacity::{DEFAULT_BYTES, DEFAULT_ITEMS, Limits, Policy};
use crate::memory::TryRoom;
use crate::outcome::Outcome;
use crate::value::{ObjectRef, Raised, Value};

/// Who hands values over: a library, and the call if the values are its results.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a>(pub(super) usize, pub(super) Option<&'a Frame>);

/// Values that a library hands over.
#[derive(Clone, Copy)]
pub(super) struct Handed<'a> {
    pub(super) values: &'a [dss_value],
    pub(super) of: Origin<'a>,
}

impl Source<C2v0> for Handed<'_> {
    #[inline]
    fn count(&self) -> usize {
        self.values.len()
    }

    #[inline]
    fn plain(&self, at: usize) -> Option<Plain> {
        // SAFETY: the library promises that the value is valid.
        match unsafe { self.values.get(at)?.read() }? {
            Read::Nil => Some(Plain::Nil),
            Read::Boolean(truth) => Some(Plain::Boolean(truth)),
            Read::Integer(integer) => Some(Plain::Integer(integer)),
            Read::Number(number) => Some(Plain::Float(number)),
            _ => None,
        }
    }

    #[inline]
    unsafe fn write(&self, to: *mut Copied<dss_class>) -> Result<(), Refused> {
        let mut allowance = Allowance::new();
        allowance.take(self.values.len(), 0)?;
        let each = |value: &dss_value, to| {
            // SAFETY: the library promises that the value is valid.
            unsafe { copy(value, self.of, &mut allowance, 0, to) }
        };
        // SAFETY: the caller provides the room.
        unsafe { copied::write(self.values, to, each) }
    }

    unsafe fn give_back(values: &mut [Copied<dss_class>]) {
        // SAFETY: as the caller promises.
        unsafe { copied::give_back(values) };
    }
}

/// Writes a copy of a value, or nothing if the value is refused.
///
/// # Safety
/// The value is valid for the length of the call, and there is room at `to` for its copy.
#[inline]
unsafe fn copy(
    value: &dss_value,
    of: Origin<'_>,
    allowance: &mut Allowance,
    depth: usize,
    to: *mut Copied<dss_class>,
) -> Result<(), Refused> {
    // SAFETY: as the caller promises.
    let copied = match unsafe { value.read() }.ok_or(Refused::Malformed)? {
        Read::Nil => Copied::Nil,
        Read::Boolean(truth) => Copied::Boolean(truth),
        Read::Integer(integer) => Copied::Integer(integer),
        Read::Number(number) => Copied::Float(number),
        // SAFETY: as the caller promises.
        other => unsafe { copy_more(other, of, allowance, depth) }?,
    };
    // SAFETY: as the caller promises.
    unsafe { to.write(copied) };
    Ok(())
}

/// The same, for values that need memory or a check.
///
/// # Safety
/// As [`copy`].
#[inline(never)]
unsafe fn copy_more(
    value: Read<'_>,
    of: Origin<'_>,
    allowance: &mut Allowance,
    depth: usize,
) -> Result<Copied<dss_class>, Refused> {
    let mut list = |items: &[dss_value]| {
        allowance.take(items.len(), depth + 1)?;
        // SAFETY: as the caller promises.
        copied::list(items, |item, to| unsafe { copy(item, of, allowance, depth + 1, to) })
    };
    Ok(match value {
        Read::Bytes(bytes) => allowance.string(bytes)?,
        Read::List(items) => Copied::List(list(items)?),
        Read::Map(pairs) => Copied::Map(copied::pairs(list(pairs)?)?),
        Read::Callback(callback) => Copied::Callback(copied::callback(callback)?),
        Read::Object(dss_object { cls, data }) => {
            let Origin(library, frame) = of;
            if data.is_null() {
                return Err(Refused::Malformed);
            }
            if frame.is_some_and(|frame| frame.has(data, cls)) {
                return Ok(Copied::Lent(ObjectRef { data, class: cls.addr() }));
            }
            // SAFETY: the library made the data and the class together.
            unsafe { objects::give::<C2v0, _>(library, data, |class| std::ptr::eq(class, cls)) }?
        }
        // `copy` handles the other kinds.
        _ => Copied::Nil,
    })
}

/// Lays values from Lua out for the library. None if out of memory. The result points into `values` and `arena`.
pub(super) fn lay_out(values: &mut [Value], arena: &mut Arena) -> Option<Vec<dss_value>> {
    lay_out_all(values.len(), values.iter_mut(), arena)
}

fn lay_out_all<'a>(
    count: usize,
    values: impl Iterator<Item = &'a mut Value>,
    arena: &mut Arena,
) -> Option<Vec<dss_value>> {
    let mut laid = Vec::new();
    laid.try_room_exact(count).ok()?;
    for value in values {
        laid.push(lay_out_one(value, arena)?);
    }
    Some(laid)
}

fn lay_out_one(value: &mut Value, arena: &mut Arena) -> Option<dss_value> {
    let plain = |kind, payload| Some(Arena::plain(kind, payload));
    match value {
        Value::Nil => plain(DSS_NIL, dss_payload { integer: 0 }),
        Value::Boolean(truth) => plain(DSS_BOOLEAN, dss_payload { integer: i64::from(*truth) }),
        Value::Integer(integer) => plain(DSS_INTEGER, dss_payload { integer: *integer }),
        Value::Float(number) => plain(DSS_NUMBER, dss_payload { number: *number }),
        Value::Bytes(bytes) => Arena::string(bytes),
        Value::List(items) => {
            let laid = lay_out(items, arena)?;
            arena.list(DSS_LIST, laid, items.len())
        }
        Value::Map(entries) => {
            let count = entries.len();
            let pairs = entries.iter_mut().flat_map(|(key, value)| [key, value]);
            let laid = lay_out_all(2 * count, pairs, arena)?;
            arena.list(DSS_MAP, laid, count)
        }
        Value::Callback(reference) => plain(DSS_CALLBACK, dss_payload { callback: reference.id().to_raw() }),
        Value::Object(ObjectRef { data, class }) => {
            arena.object(std::ptr::with_exposed_provenance(*class), *data)
        }
    }
}

/// Tells a library how its request ended. If there is no memory for the answer, the request failed, and the library is told why.
pub(super) fn tell(done: dss_done, context: *mut c_void, end: waiting::End) {
    let (mut values, error, traceback) = match end.answer {
        Some(Ok(values)) => (values, String::new(), String::new()),
        Some(Err(Raised { message, traceback, value })) => (value.into_iter().collect(), message, traceback),
        None => (Vec::new(), String::new(), String::new()),
    };
    let ended = match end.outcome {
        Outcome::Replied | Outcome::Decoded => DSS_ANSWERED,
        Outcome::Failed => DSS_FAILED,
        Outcome::Collected => DSS_COLLECTED,
        Outcome::Cancelled => DSS_CLOSED,
        Outcome::Withdrawn => DSS_CANCELLED,
        Outcome::TimedOut if end.not_started => DSS_NOT_STARTED,
        Outcome::TimedOut => DSS_LATE,
        Outcome::Dropped => DSS_DROPPED,
    };
    let mut arena = Arena::default();
    let (ended, why, values) = match lay_out(&mut values, &mut arena) {
        Some(values) => (ended, codes::why(ended), values),
        None => (DSS_FAILED, codes::sentence(DSS_OUT_OF_MEMORY), Vec::new()),
    };
    let (error, traceback) =
        (text(error, why, codes::sentence(DSS_OUT_OF_MEMORY)), text(traceback, c"", c""));
    let answer = dss_answer {
        size: size_of::<dss_answer>() as u32,
        ended,
        values: values.as_ptr(),
        count: values.len(),
        error: error.as_ptr().cast(),
        traceback: traceback.as_ptr().cast(),
    };
    if let Some(done) = done {
        // SAFETY: the contract of `dss_done`: once, with the library's own context.
        unsafe { done(context, &raw const answer) };
    }
}

/// A text as a C string: `empty` if it is empty, and `without` if there is no memory for it.
fn text(text: String, empty: &'static CStr, without: &'static CStr) -> Cow<'static, [u8]> {
    let mut bytes = text.into_bytes();
    if bytes.is_empty() {
        return Cow::Borrowed(empty.to_bytes_with_nul());
    }
    if bytes.try_room_exact(1).is_err() {
        return Cow::Borrowed(without.to_bytes_with_nul());
    }
    // A 0 inside would end it early.
    for byte in bytes.iter_mut().filter(|byte| **byte == 0) {
        *byte = b'?';
    }
    bytes.push(0);
    Cow::Owned(bytes)
}

/// A library's limits. None if they are malformed.
///
/// # Safety
/// `raw` is NULL, for the defaults, or points to limits.
pub(super) unsafe fn limits(raw: *const dss_limits) -> Option<Limits> {
    // SAFETY: as the caller promises.
    let Some(raw) = (unsafe { slice(raw, usize::from(!raw.is_null())) }?).first() else {
        return Some(Limits::default());
    };
    if (raw.size as usize) < size_of::<dss_limits>() {
        return None;
    }
    let policy = match raw.policy {
        0 | DSS_REFUSE => Policy::Refuse,
        DSS_WAIT => Policy::Wait(Duration::from_nanos(raw.wait_ns)),
        DSS_DROP_OLDEST => Policy::DropOldest,
        DSS_LATEST => Policy::Latest,
        _ => return None,
    };
    let or =
        |given: u64, default| if given == 0 { default } else { usize::try_from(given).unwrap_or(usize::MAX) };
    Some(Limits { items: or(raw.items, DEFAULT_ITEMS), bytes: or(raw.bytes, DEFAULT_BYTES), policy })
}
