//! Several values: arguments, results and answers.

use std::fmt;
use std::mem::{forget, replace, take, ManuallyDrop, MaybeUninit};

use abi_stable::std_types::RVec;

use crate::any::{again, Value};
use crate::call::Uses;
use crate::contract::ServiceObject;
use crate::deep::Taken;
use crate::error::ValueError;
use crate::from_value::FromValue;
use crate::into_value::IntoValue;
use crate::value::{RawBorrowed, RawValue};

/// So many values need no memory of their own on their way to Lua.
const INLINE: usize = 8;

/// Values on their way to Lua, in the order in which they were pushed.
pub struct Values {
    service: &'static ServiceObject,
    /// The first `count` of them are there.
    inline: [MaybeUninit<RawValue>; INLINE],
    /// How many lie in `inline`; 0 once `spilled` has them all.
    count: usize,
    spilled: Vec<RawValue>,
    trouble: Option<Box<Trouble>>,
}

/// What went wrong; apart, for as a rule nothing does.
struct Trouble {
    /// The first that is no value of Lua's.
    error: Option<ValueError>,
    /// Those that could not be made ready, with their places, at which a nil lies.
    unready: Vec<(usize, Value)>,
}

impl Values {
    #[inline]
    pub(crate) fn new(service: &'static ServiceObject) -> Self {
        // SAFETY: an array of what need not be initialized need not be.
        let inline = unsafe { MaybeUninit::<[MaybeUninit<RawValue>; INLINE]>::uninit().assume_init() };
        Values { service, inline, count: 0, spilled: Vec::new(), trouble: None }
    }

    /// Adds one value. What is none of Lua's is remembered, and the whole refused in the end. [any-thread]
    #[inline]
    pub fn push(&mut self, value: impl IntoValue) {
        let raw = match value.into_value() {
            Ok(value) => match plain(&value) {
                Some(raw) => {
                    // It has nothing to drop, which the compiler would ask at run time.
                    forget(value);
                    raw
                }
                None => self.make_ready(value),
            },
            Err(error) => self.refuse(error, None),
        };
        self.push_raw(raw);
    }

    #[inline]
    fn push_raw(&mut self, raw: RawValue) {
        if self.spilled.is_empty() && self.count < INLINE {
            self.inline[self.count] = MaybeUninit::new(raw);
            self.count += 1;
        } else {
            self.spill(raw);
        }
    }

    /// Adds an object that Lua lent, which goes back to it.
    pub(crate) fn lend(&mut self, object: RawBorrowed) {
        self.push_raw(RawValue::Borrowed(object));
    }

    /// What has memory or a reference of its own.
    fn make_ready(&mut self, value: Value) -> RawValue {
        match value.into_raw(self.service) {
            Ok(raw) => raw,
            Err((error, value)) => self.refuse(error, Some(value)),
        }
    }

    #[cold]
    fn refuse(&mut self, error: ValueError, value: Option<Value>) -> RawValue {
        let at = self.len();
        let nothing = || Box::new(Trouble { error: None, unready: Vec::new() });
        let trouble = self.trouble.get_or_insert_with(nothing);
        trouble.error.get_or_insert_with(|| error.inside(format_args!("value {}", at + 1)));
        trouble.unready.extend(value.map(|value| (at, value)));
        RawValue::Nil
    }

    /// Adds one more than there is room for.
    #[cold]
    fn spill(&mut self, raw: RawValue) {
        if self.spilled.is_empty() {
            let mut all = Vec::with_capacity(2 * INLINE);
            self.move_inline(&mut all);
            self.spilled = all;
        }
        self.spilled.push(raw);
    }

    /// Moves what lies inline to the end of `all`.
    fn move_inline(&mut self, all: &mut Vec<RawValue>) {
        for value in &self.inline[..replace(&mut self.count, 0)] {
            // SAFETY: the first `count` were there, and the count is 0 by now: each is read once.
            all.push(unsafe { value.as_ptr().read() });
        }
    }

    pub(crate) fn len(&self) -> usize {
        if self.spilled.is_empty() {
            self.count
        } else {
            self.spilled.len()
        }
    }

    /// Why these values cannot go to Lua, where they cannot.
    #[inline]
    pub(crate) fn take_error(&mut self) -> Option<ValueError> {
        self.trouble.as_mut().and_then(|trouble| trouble.error.take())
    }

    /// The values, in a row; owned by `self` until [`Self::taken`] says otherwise.
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut ManuallyDrop<RawValue> {
        if self.spilled.is_empty() {
            self.inline.as_mut_ptr().cast()
        } else {
            self.spilled.as_mut_ptr().cast()
        }
    }

    /// Says that somebody else owns the values now.
    #[inline]
    pub(crate) fn taken(mut self) {
        self.count = 0;
        if !self.spilled.is_empty() {
            // SAFETY: no more than there are; what is not dropped here is somebody else's.
            unsafe { self.spilled.set_len(0) };
        }
    }

    /// All values, out of here.
    fn take_all(&mut self) -> Vec<RawValue> {
        let mut all = take(&mut self.spilled);
        self.move_inline(&mut all);
        all
    }

    /// The values as they were.
    pub(crate) fn into_again(mut self) -> Vec<Value> {
        let service = self.service;
        let mut values: Vec<Value> = self.take_all().into_iter().map(|value| again(value, service)).collect();
        for (at, value) in self.trouble.take().map_or_else(Vec::new, |trouble| trouble.unready) {
            values[at] = value;
        }
        values
    }

    /// The values for a batch.
    pub(crate) fn append_to(&mut self, batch: &mut Vec<ManuallyDrop<RawValue>>) {
        batch.extend(self.take_all().into_iter().map(ManuallyDrop::new));
    }

    /// The values as results.
    ///
    /// # Errors
    /// One of them is none of Lua's.
    pub(crate) fn into_results(mut self) -> Result<RVec<RawValue>, ValueError> {
        match self.take_error() {
            Some(error) => Err(error),
            None => Ok(RVec::from(self.take_all())),
        }
    }
}

/// What has neither memory nor a reference of its own.
#[inline]
fn plain(value: &Value) -> Option<RawValue> {
    match value {
        Value::Nil => Some(RawValue::Nil),
        Value::Boolean(value) => Some(RawValue::Boolean(*value)),
        Value::Integer(value) => Some(RawValue::Integer(*value)),
        Value::Float(value) => Some(RawValue::Float(*value)),
        _ => None,
    }
}

impl Drop for Values {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            drop(self.take_all());
        }
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("count", &self.len()).finish_non_exhaustive()
    }
}

/// Values of any number and kind: all that is left of a function's arguments, or all of Lua's answer, or results whose
/// number is known at run time alone.
///
/// (A `Vec<Value>` is something else: one value, a list.)
#[derive(Debug, Default, PartialEq)]
pub struct Rest(
    /// The values.
    pub Vec<Value>,
);

/// What can be several values for Lua: one value, a tuple of up to 8, `()` for none, or [`Rest`].
///
/// **`()` is no value, and not `nil`.** A nil before other values is [`Nil`](crate::Nil), or an `Option` that is `None`:
/// `(Nil, "no such file")` is `nil, "no such file"` in Lua. `((), "no such file")` would be the text alone, as the first
/// value, and does not compile:
///
/// ```compile_fail
/// # fn example(library: dss_abi_v2::Library, callback: dss_abi_v2::Callback) {
/// library.deliver(&callback, ((), "no such file")).unwrap();
/// # }
/// # fn main() {
/// #     let _: fn(dss_abi_v2::Library, dss_abi_v2::Callback) = example;
/// # }
/// ```
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be given to Lua",
        note = "it is given one value that implements `IntoValue`, a tuple of up to 8 of these, `()` for none, or `Rest`"
    )
)]
pub trait IntoValues {
    /// Whether it is no value at all, whatever it holds. Does not compile if such a one stands before a value. It is read where the
    /// compiler, which says what it compiled, names the author's own line.
    #[doc(hidden)]
    const IS_NOTHING: bool = false;

    /// Pushes each of them. [any-thread]
    fn into_values(self, values: &mut Values);

    /// Adds the classes of the objects among them.
    #[doc(hidden)]
    fn uses(_: &mut Uses) {}
}

/// Reads whether some values are none, which does not compile where one is out of place.
pub(crate) fn check<V: IntoValues>(_: &V) {
    let _ = V::IS_NOTHING;
}

impl<T: IntoValue> IntoValues for T {
    #[inline]
    fn into_values(self, values: &mut Values) {
        values.push(self);
    }

    fn uses(found: &mut Uses) {
        T::uses(found);
    }
}

impl IntoValues for Rest {
    fn into_values(self, values: &mut Values) {
        for value in self.0 {
            values.push(value);
        }
    }
}

/// What can be made of several values of Lua's: one value, a tuple of up to 8, `()` for whatever there is, or [`Rest`].
/// What is missing is nil, and what is too much is ignored.
pub trait FromValues: Sized {
    /// Makes it of `values`. [any-thread]
    ///
    /// # Errors
    /// A value is not what is wanted.
    fn from_values(values: Vec<Value>) -> Result<Self, ValueError>;
}

/// The value at a place, counted from 1.
fn value_at<T: FromValue>(values: &mut Taken<Value>, at: usize) -> Result<T, ValueError> {
    let (value, missing) = match values.next() {
        Some(value) => (value, false),
        None => (Value::Nil, true),
    };
    T::from_value(value).map_err(|error| {
        let error = if missing { error.of_nothing() } else { error };
        error.inside(format_args!("value {}", at))
    })
}

impl<T: FromValue> FromValues for T {
    fn from_values(values: Vec<Value>) -> Result<Self, ValueError> {
        value_at(&mut Taken::new(values), 1)
    }
}

impl FromValues for Rest {
    fn from_values(values: Vec<Value>) -> Result<Self, ValueError> {
        Ok(Rest(values))
    }
}

impl IntoValues for () {
    const IS_NOTHING: bool = true;

    fn into_values(self, _: &mut Values) {}
}

impl FromValues for () {
    fn from_values(values: Vec<Value>) -> Result<Self, ValueError> {
        drop(Taken::new(values));
        Ok(())
    }
}

macro_rules! tuples {
    ($($name:ident $at:literal),+) => {
        impl<$($name: IntoValues),+> IntoValues for ($($name,)+) {
            const IS_NOTHING: bool = {
                let are_nothing: &[bool] = &[$($name::IS_NOTHING),+];
                let mut at = 1;
                while at < are_nothing.len() {
                    assert!(
                        !are_nothing[at - 1] || are_nothing[at],
                        "`()` before another value is no value, and not nil: write `Nil` in its place, or an `Option` that is `None`"
                    );
                    at += 1;
                }
                are_nothing[0]
            };

            #[inline]
            fn into_values(self, values: &mut Values) {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                $($name.into_values(values);)+
            }

            fn uses(found: &mut Uses) {
                $($name::uses(found);)+
            }
        }

        impl<$($name: FromValue),+> FromValues for ($($name,)+) {
            fn from_values(values: Vec<Value>) -> Result<Self, ValueError> {
                let mut values = Taken::new(values);
                Ok(($(value_at::<$name>(&mut values, $at)?,)+))
            }
        }
    };
}

tuples!(A 1);
tuples!(A 1, B 2);
tuples!(A 1, B 2, C 3);
tuples!(A 1, B 2, C 3, D 4);
tuples!(A 1, B 2, C 3, D 4, E 5);
tuples!(A 1, B 2, C 3, D 4, E 5, F 6);
tuples!(A 1, B 2, C 3, D 4, E 5, F 6, G 7);
tuples!(A 1, B 2, C 3, D 4, E 5, F 6, G 7, H 8);
