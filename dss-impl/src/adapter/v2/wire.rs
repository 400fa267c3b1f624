//! The wire of v2: values in `abi_stable`'s types, owned by the side that holds them.

use std::ffi::c_void;

use abi_stable::std_types::{RBox, RResult, RString, RVec};
use dss_abi_v2::contract::{
    CallFn, ClosingFn, CompleteFn, DropFn, ENDED_ANSWERED, ENDED_CANCELLED, ENDED_CLOSED, ENDED_COLLECTED,
    ENDED_DROPPED, ENDED_FAILED, ENDED_TIMED_OUT, RawAnswer, RawCall, RawClass, RawFunction,
};
use dss_abi_v2::value::{MAX_DEPTH, RawBorrowed, RawCallback, RawEntry, RawValue, ReleaseFn};

use super::REVISION;
use crate::adapter::values::wire::{On, Plain, Returned, Shape, Wire};
use crate::callbacks::{CallbackId, Reference};
use crate::handle::Handle;
use crate::memory::{OutOfMemory, TryRoom, try_box};
use crate::outcome::Outcome;
use crate::states;
use crate::value::{ObjectRef, Raised, Value};

const _: () = assert!(MAX_DEPTH == crate::value::MAX_DEPTH);

/// Raised if there is no memory for the arguments of a call.
const NO_MEMORY: &str = "not enough memory for the arguments";

/// How a request fails if there is no memory for its answer.
const NO_MEMORY_FOR_ANSWER: &str = "there is not enough memory for the answer";

pub(super) struct V2;

/// How a request is completed.
pub(super) struct Completion {
    pub(super) complete: CompleteFn,
    pub(super) context: usize,
}

/// How a registration ends.
pub(super) struct Own {
    pub(super) closing: Option<ClosingFn>,
    pub(super) release: Option<DropFn>,
    pub(super) context: usize,
}

impl Wire for V2 {
    const NAME: &'static str = REVISION.name;
    const NUMBER: u32 = REVISION.number;
    const MAY_THROW: bool = false;
    // v2 promises that two callbacks are unrelated, even if they come from the same Lua function.
    const IDENTIFIES_CALLBACKS: bool = false;

    type Value = RawValue;
    type Entry = RawEntry;
    type Values = RVec<RawValue>;
    type Function = RawFunction;
    type Class = RawClass;
    type Completion = Completion;
    type Own = Own;

    #[inline]
    fn shape(value: &mut RawValue) -> Shape<'_, Self> {
        match value {
            RawValue::Nil => Shape::Plain(Plain::Nil),
            RawValue::Boolean(value) => Shape::Plain(Plain::Boolean(*value)),
            RawValue::Integer(value) => Shape::Plain(Plain::Integer(*value)),
            RawValue::Float(value) => Shape::Plain(Plain::Float(*value)),
            RawValue::Bytes(bytes) => Shape::Bytes(bytes),
            RawValue::List(list) => Shape::List(list),
            RawValue::Map(map) => Shape::Map(map),
            RawValue::Callback(callback) => Shape::Callback(CallbackId::from_raw(callback.id())),
            RawValue::Object(object) => Shape::Object(object.data(), object.class()),
            RawValue::Borrowed(RawBorrowed { data, class }) => {
                Shape::Lent(ObjectRef { data: *data, class: std::ptr::from_ref::<RawClass>(class).addr() })
            }
        }
    }

    fn entry(entry: &mut RawEntry) -> (&mut RawValue, &mut RawValue) {
        (&mut entry.key, &mut entry.value)
    }

    fn forget_object(value: &mut RawValue) {
        std::mem::forget(std::mem::replace(value, RawValue::Nil));
    }

    fn slice(values: &mut RVec<RawValue>) -> &mut [RawValue] {
        values
    }

    fn function_name(function: &'static RawFunction) -> &'static str {
        function.name.as_str()
    }

    fn class_name(class: &'static RawClass) -> &'static str {
        class.name.as_str()
    }

    fn methods(class: &'static RawClass) -> &'static [RawFunction] {
        class.methods.as_slice()
    }

    fn has_close(class: &'static RawClass) -> bool {
        class.close.is_some()
    }

    unsafe fn call(
        function: &'static RawFunction,
        on: On,
        arguments: Vec<Value>,
        classes: &[&'static RawClass],
    ) -> Returned<Self> {
        let Ok(arguments) = from_lua(arguments, classes) else {
            return Returned::Raised(RVec::from(vec![RawValue::Bytes(RBox::new(RVec::from(
                NO_MEMORY.as_bytes(),
            )))]));
        };
        // SAFETY: as the caller promises.
        unsafe { call(function.call, &raw_call(on, function.data), arguments) }
    }

    unsafe fn close(class: &'static RawClass, on: On) -> Returned<Self> {
        match class.close.into_option() {
            // SAFETY: as the caller promises.
            Some(close) => unsafe { call(close, &raw_call(on, 0), RVec::new()) },
            None => Returned::Values(RVec::new()),
        }
    }

    unsafe fn text(class: &'static RawClass, on: On) -> Option<String> {
        let text = class.to_string.into_option()?;
        // SAFETY: the contract of `TextFn`, as the caller promises.
        let text: RString = unsafe { (text.0)(&raw_call(on, 0)) };
        Some(text.into_string())
    }

    unsafe fn drop_object(class: &'static RawClass, data: *mut c_void) {
        // SAFETY: the contract of `DropFn`, as the caller promises.
        unsafe { (class.drop.0)(data) };
    }

    unsafe fn complete(completion: Completion, outcome: Outcome, answer: Option<Result<Vec<Value>, Raised>>) {
        let (values, message, traceback) = match answer {
            Some(Ok(values)) => (from_lua(values, &[]), RString::new(), RString::new()),
            Some(Err(Raised { message, traceback, value })) => {
                // Without memory, the message has to do.
                let value = from_lua(value.into_iter().collect(), &[]).unwrap_or_default();
                (Ok(value), RString::from(message), RString::from(traceback))
            }
            None => (Ok(RVec::new()), RString::new(), RString::new()),
        };
        let ended = match outcome {
            Outcome::Replied | Outcome::Decoded => ENDED_ANSWERED,
            Outcome::Failed => ENDED_FAILED,
            Outcome::Collected => ENDED_COLLECTED,
            Outcome::Cancelled => ENDED_CLOSED,
            Outcome::Withdrawn => ENDED_CANCELLED,
            Outcome::TimedOut => ENDED_TIMED_OUT,
            Outcome::Dropped => ENDED_DROPPED,
        };
        let (ended, values, message) = match values {
            Ok(values) => (ended, values, message),
            Err(OutOfMemory) => (ENDED_FAILED, RVec::new(), RString::from(NO_MEMORY_FOR_ANSWER)),
        };
        let Completion { complete, context } = completion;
        let answer = RawAnswer { ended, values, message, traceback };
        // SAFETY: the contract of `CompleteFn`: called once, with the library's own context.
        unsafe { (complete.0)(context as *mut c_void, answer) };
    }

    unsafe fn closing(own: &Own, handle: Handle) {
        if let Some(ClosingFn(closing)) = own.closing {
            // SAFETY: the contract of `ClosingFn`.
            unsafe { closing(own.context as *mut c_void, handle.to_raw()) };
        }
    }

    unsafe fn release(own: Own) {
        if let Some(DropFn(release)) = own.release {
            // SAFETY: the contract of `RawRegistration`: called once, as the last call with that context.
            unsafe { release(own.context as *mut c_void) };
        }
    }
}

fn raw_call(on: On, function: usize) -> RawCall {
    let On { context, handle, object } = on;
    let context = std::ptr::with_exposed_provenance_mut(context);
    RawCall { context, handle: handle.to_raw(), function, object }
}

/// # Safety
/// As [`Wire::call`].
unsafe fn call(function: CallFn, call: &RawCall, arguments: RVec<RawValue>) -> Returned<V2> {
    // SAFETY: the contract of `CallFn`, as the caller promises.
    match unsafe { (function.0)(call, arguments) } {
        RResult::ROk(values) => Returned::Values(values),
        RResult::RErr(value) => Returned::Raised(RVec::from(vec![value])),
    }
}

unsafe extern "C" fn release(callback: u64) {
    states::release_callback(CallbackId::from_raw(callback));
}

/// A reference, in the form that a library holds.
pub(super) fn reference(reference: Reference) -> RawCallback {
    // SAFETY: the library owns the reference. `release` gives it back on any thread.
    unsafe { RawCallback::new(reference.into_raw(), ReleaseFn(release)) }
}

/// Values from Lua, in the form that the library takes.
fn from_lua(values: Vec<Value>, classes: &[&'static RawClass]) -> Result<RVec<RawValue>, OutOfMemory> {
    each_from_lua(values, |value| one_from_lua(value, classes))
}

fn each_from_lua<T, R>(
    values: Vec<T>,
    each: impl Fn(T) -> Result<R, OutOfMemory>,
) -> Result<RVec<R>, OutOfMemory> {
    let mut raw = Vec::new();
    raw.try_room_exact(values.len())?;
    for value in values {
        raw.push(each(value)?);
    }
    Ok(RVec::from(raw))
}

fn boxed<T>(value: T) -> Result<RBox<T>, OutOfMemory> {
    try_box(value).map(RBox::from_box)
}

fn one_from_lua(value: Value, classes: &[&'static RawClass]) -> Result<RawValue, OutOfMemory> {
    Ok(match value {
        Value::Nil => RawValue::Nil,
        Value::Boolean(value) => RawValue::Boolean(value),
        Value::Integer(value) => RawValue::Integer(value),
        Value::Float(value) => RawValue::Float(value),
        Value::Bytes(bytes) => RawValue::Bytes(boxed(RVec::from(bytes))?),
        Value::List(list) => RawValue::List(boxed(from_lua(list, classes)?)?),
        Value::Map(map) => {
            let entry = |(key, value)| {
                let (key, value) = (one_from_lua(key, classes)?, one_from_lua(value, classes)?);
                Ok(RawEntry { key, value })
            };
            RawValue::Map(boxed(each_from_lua(map, entry)?)?)
        }
        Value::Callback(callback) => RawValue::Callback(reference(callback)),
        // The class is looked up among the library's own by its address. A number is never used as a pointer to a class.
        Value::Object(ObjectRef { data, class }) => {
            match classes.iter().find(|own| std::ptr::from_ref::<RawClass>(own).addr() == class) {
                Some(class) => RawValue::Borrowed(RawBorrowed { data, class }),
                None => RawValue::Nil,
            }
        }
    })
}
