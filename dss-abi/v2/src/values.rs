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

/// How many values need no allocation on their way to Lua.
const INLINE: usize = 8;

/// Values on their way to Lua, in the order in which they were pushed. [`IntoValues::into_values`] fills it.
///
/// ```
/// use dss_abi_v2::{IntoValues, Values};
///
/// /// A list of points, as coordinates: x, y, x, y.
/// struct Points(Vec<(f64, f64)>);
///
/// impl IntoValues for Points {
///     fn into_values(self, values: &mut Values) {
///         for (x, y) in self.0 {
///             values.push(x);
///             values.push(y);
///         }
///     }
/// }
/// ```
pub struct Values {
    service: &'static ServiceObject,
    /// The first `count` of them are initialized.
    inline: [MaybeUninit<RawValue>; INLINE],
    /// How many values are in `inline`. It is 0 when they have moved to `spilled`.
    count: usize,
    spilled: Vec<RawValue>,
    trouble: Option<Box<Trouble>>,
}

/// What went wrong. It is boxed, because it is rare.
struct Trouble {
    /// The first error.
    error: Option<ValueError>,
    /// The values that could not be converted, with their places. There is a nil at each of these places.
    unready: Vec<(usize, Value)>,
}

impl Values {
    #[inline]
    pub(crate) fn new(service: &'static ServiceObject) -> Self {
        // SAFETY: an array of what need not be initialized need not be.
        let inline = unsafe { MaybeUninit::<[MaybeUninit<RawValue>; INLINE]>::uninit().assume_init() };
        Values { service, inline, count: 0, spilled: Vec::new(), trouble: None }
    }

    /// Adds one value. If Lua cannot have it, the delivery or the call is refused later, with this error.
    /// [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::Values;
    /// fn push_both(values: &mut Values, name: &str, size: Option<u64>) {
    ///     values.push(name);
    ///     values.push(size); // nil if it is `None`
    /// }
    /// ```
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

    /// Adds a borrowed object, which goes back to Lua.
    pub(crate) fn lend(&mut self, object: RawBorrowed) {
        self.push_raw(RawValue::Borrowed(object));
    }

    /// Converts a value that has memory or a reference of its own.
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

    /// Adds a value for which `inline` has no room.
    #[cold]
    fn spill(&mut self, raw: RawValue) {
        if self.spilled.is_empty() {
            let mut all = Vec::with_capacity(2 * INLINE);
            self.move_inline(&mut all);
            self.spilled = all;
        }
        self.spilled.push(raw);
    }

    /// Moves the values in `inline` to the end of `all`.
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

    /// Why these values cannot go to Lua, if they cannot.
    #[inline]
    pub(crate) fn take_error(&mut self) -> Option<ValueError> {
        self.trouble.as_mut().and_then(|trouble| trouble.error.take())
    }

    /// The values as an array. `self` owns them until [`Self::taken`] is called.
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut ManuallyDrop<RawValue> {
        if self.spilled.is_empty() {
            self.inline.as_mut_ptr().cast()
        } else {
            self.spilled.as_mut_ptr().cast()
        }
    }

    /// Says that DSS owns the values now.
    #[inline]
    pub(crate) fn taken(mut self) {
        self.count = 0;
        if !self.spilled.is_empty() {
            // SAFETY: no more than there are; what is not dropped here is somebody else's.
            unsafe { self.spilled.set_len(0) };
        }
    }

    /// Takes all values out.
    fn take_all(&mut self) -> Vec<RawValue> {
        let mut all = take(&mut self.spilled);
        self.move_inline(&mut all);
        all
    }

    /// Converts the values back.
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
    /// Lua cannot have one of them.
    pub(crate) fn into_results(mut self) -> Result<RVec<RawValue>, ValueError> {
        match self.take_error() {
            Some(error) => Err(error),
            None => Ok(RVec::from(self.take_all())),
        }
    }
}

/// The raw value of a value that has neither memory nor a reference of its own.
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

/// Any number of values of any kind. As the last parameter of a function it is all remaining arguments. As a result
/// or in a delivery it is as many values as it contains. As the answer of a request it is all values of the answer.
///
/// A `Vec<Value>` is different: it is one value, a list.
///
/// ```
/// use dss_abi_v2::{Callback, Library, Rest, Result};
///
/// fn call_later(library: Library, callback: Callback, arguments: Rest) -> Result<()> {
///     std::thread::Builder::new().spawn(move || library.deliver(&callback, arguments))?;
///     Ok(())
/// }
/// ```
#[derive(Debug, Default, PartialEq)]
pub struct Rest(
    /// The values.
    pub Vec<Value>,
);

/// A type that converts to several values for Lua: one value, a tuple of up to 8 values, `()` for no value, or
/// [`Rest`].
///
/// ```
/// # #[cfg(feature = "testing")] {
/// # use dss_abi_v2::{testing::TestState, Nil, Value};
/// # let state = TestState::new();
/// # let (library, callback) = (state.library(), state.callback());
/// library.deliver(&callback, ()).unwrap();
/// library.deliver(&callback, "one").unwrap();
/// library.deliver(&callback, (Nil, "two")).unwrap();
/// let counts: Vec<usize> = state.take().iter().map(|call| call.values.len()).collect();
/// assert_eq!(counts, [0, 1, 2]);
/// # }
/// ```
///
/// **`()` is no value; it is not `nil`.** For a nil before other values use [`Nil`](crate::Nil), or an `Option` that
/// is `None`: `(Nil, "no such file")` is `nil, "no such file"` in Lua. `((), "no such file")` would be the text
/// alone, as the first value. It does not compile:
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
        message = "`{Self}` cannot be passed to Lua",
        note = "give Lua one value that implements `IntoValue`, a tuple of up to 8 of these, `()` for none, or `Rest`"
    )
)]
pub trait IntoValues {
    /// Whether the type is always no value. Evaluating it does not compile if such a type stands before a value. It
    /// is read at places where the compiler's error names a line of the author.
    #[doc(hidden)]
    const IS_NOTHING: bool = false;

    /// Pushes each value. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{IntoValues, Values};
    ///
    /// struct Range(i64, i64);
    ///
    /// impl IntoValues for Range {
    ///     fn into_values(self, values: &mut Values) {
    ///         (self.0, self.1).into_values(values);
    ///     }
    /// }
    /// ```
    fn into_values(self, values: &mut Values);

    /// Adds the classes of the objects among the values.
    #[doc(hidden)]
    fn uses(_: &mut Uses) {}
}

/// Evaluates [`IntoValues::IS_NOTHING`], which does not compile if a `()` stands before a value.
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

/// A type that several Lua values convert to: one value, a tuple of up to 8 values, `()` for any values, or [`Rest`].
/// A missing value is nil, and extra values are ignored.
///
/// ```
/// use dss_abi_v2::{Callback, Deadline, Library, RequestError};
///
/// fn ask(library: &Library, callback: &Callback) -> Result<(), RequestError> {
///     let (name, age): (String, Option<u8>) = library.request(callback, "who?", Deadline::none())?;
///     let text: String = library.request(callback, (name, age), Deadline::none())?;
///     library.request(callback, text, Deadline::none()) // any answer will do
/// }
/// ```
pub trait FromValues: Sized {
    /// Converts the values. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{FromValues, Value};
    ///
    /// let values = vec![Value::from("Ada"), Value::from(36)];
    /// let (name, age, city) = <(String, u8, Option<String>)>::from_values(values).unwrap();
    /// assert_eq!((&name[..], age, city), ("Ada", 36, None));
    /// ```
    ///
    /// # Errors
    /// A value has the wrong type.
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
                        "`()` before another value is not nil, but nothing at all: write `Nil` instead, or an `Option` that \
                         is `None`"
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
