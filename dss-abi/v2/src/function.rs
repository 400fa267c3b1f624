//! Functions and methods: from Lua's arguments to the author's parameters, and from results back to Lua.

use std::fmt;
use std::marker::PhantomData;

use abi_stable::std_types::vec::IntoIter;
use abi_stable::std_types::{RResult, RVec};

use crate::any::Value;
use crate::call::{Callable, CallableMethod, Parameters, Uses};
use crate::contract::ServiceObject;
use crate::error::{Error, ValueError};
use crate::from_value::FromValue;
use crate::library::Library;
use crate::object::{Object, ObjectRef};
use crate::value::RawValue;
use crate::values::{IntoValues, Rest, Values};

/// The full name of a function or method, for the sentence of an error.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The library or the class.
    pub owner: &'static str,
    /// The character between the two: a dot or a colon.
    pub mark: char,
    /// The function or method.
    pub name: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}{}{}'", self.owner, self.mark, self.name)
    }
}

/// The arguments of a call. [`FromArgument`] takes them one by one; authors do not use this type.
pub struct Arguments<'a> {
    values: IntoIter<RawValue>,
    /// How many were taken.
    at: usize,
    place: Place,
    service: &'static ServiceObject,
    /// The lifetime of borrowed objects.
    call: PhantomData<&'a Library>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn new(values: RVec<RawValue>, place: Place, service: &'static ServiceObject) -> Self {
        Arguments { values: values.into_iter(), at: 0, place, service, call: PhantomData }
    }

    /// The next argument as it crossed the boundary.
    fn next(&mut self) -> Option<RawValue> {
        self.at += 1;
        self.values.next()
    }

    /// How many arguments are left.
    fn left(&self) -> usize {
        self.values.as_slice().len()
    }

    /// The error of the argument taken last.
    fn bad(&self, error: &ValueError) -> Error {
        Error::new(format!("bad argument #{} to {}: {}", self.at, self.place, error))
    }

    fn next_as<T: FromValue>(&mut self) -> Result<T, Error> {
        let made = match self.next() {
            Some(raw) => Value::from_raw(raw, self.service).and_then(T::from_value),
            None => T::from_value(Value::Nil).map_err(ValueError::of_nothing),
        };
        made.map_err(|error| self.bad(&error))
    }

    /// The next argument as an object. `None` if it is nil or missing.
    fn next_object<T: Object>(&mut self) -> Result<Option<ObjectRef<'a, T>>, Error> {
        let found = match self.next() {
            None | Some(RawValue::Nil) => return Ok(None),
            // SAFETY: DSS keeps the object for the length of the call, and `'a` is no longer than that.
            Some(RawValue::Borrowed(raw)) => match unsafe { ObjectRef::new(raw) } {
                Some(object) => return Ok(Some(object)),
                None if raw.class.name == T::class().name => {
                    format!("another library's '{}' object", raw.class.name)
                }
                None => format!("a '{}' object", raw.class.name),
            },
            Some(other) => match Value::from_raw(other, self.service) {
                Ok(value) => value.kind().to_owned(),
                Err(_) => "a table".to_owned(),
            },
        };
        Err(self.bad(&ValueError::new(wanted::<T>(), found)))
    }
}

impl fmt::Debug for Arguments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arguments").field("place", &self.place).field("at", &self.at).finish_non_exhaustive()
    }
}

fn wanted<T: Object>() -> String {
    format!("a '{}' object", T::class().name)
}

/// A type that a parameter of a function or method can have.
///
/// These are the types with [`FromValue`], [`ObjectRef`], `Option<ObjectRef>`, and, for the last parameter, [`Rest`].
/// To add a type of your own, implement [`FromValue`].
///
/// ```
/// use dss_abi_v2::{object, Callback, Library, ObjectRef, Rest};
///
/// struct Door;
/// object! { Door as "door" }
///
/// fn open(_: &Library, door: ObjectRef<'_, Door>, by: Option<String>, then: Callback, others: Rest) {
///     // ...
/// #   let _ = (door, by, then, others);
/// }
/// ```
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be a parameter of a function that Lua calls",
        note = "a parameter must implement `FromValue`, or be an `ObjectRef<T>` of a type with `object!`, an `Option` of that, or `Rest` as the last one"
    )
)]
pub trait FromArgument<'a>: Sized {
    /// Whether it takes all remaining arguments.
    #[doc(hidden)]
    const TAKES_REST: bool = false;

    /// Takes the parameter from the arguments.
    #[doc(hidden)]
    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error>;

    /// Adds the class of the object, if the parameter is one.
    #[doc(hidden)]
    fn uses(_: &mut Uses) {}
}

impl<'a, T: FromValue> FromArgument<'a> for T {
    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error> {
        arguments.next_as()
    }
}

impl<'a, T: Object> FromArgument<'a> for ObjectRef<'a, T> {
    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error> {
        let missing = arguments.left() == 0;
        arguments.next_object()?.ok_or_else(|| {
            let found = if missing { "nothing" } else { "nil" };
            arguments.bad(&ValueError::new(wanted::<T>(), found))
        })
    }

    fn uses(found: &mut Uses) {
        found.add(T::class());
    }
}

impl<'a, T: Object> FromArgument<'a> for Option<ObjectRef<'a, T>> {
    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error> {
        arguments.next_object()
    }

    fn uses(found: &mut Uses) {
        found.add(T::class());
    }
}

impl<'a> FromArgument<'a> for Rest {
    const TAKES_REST: bool = true;

    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error> {
        let mut rest = Vec::with_capacity(arguments.left());
        while arguments.left() > 0 {
            rest.push(arguments.next_as()?);
        }
        Ok(Rest(rest))
    }
}

/// A type that a function or method can return.
///
/// These are the types with [`IntoValues`], [`ObjectRef`] for an object of the same call, and `Result<T, E>` of
/// these. `E` is [`Error`] or any type with `Display`. An `Err` becomes a Lua error.
///
/// ```
/// use dss_abi_v2::{Library, Nil, Rest, Result};
///
/// fn nothing(_: &Library) {}
///
/// fn size(_: &Library) -> (u32, u32) {
///     (640, 480)
/// }
///
/// fn parse(_: &Library, text: String) -> Result<i64, std::num::ParseIntError> {
///     text.parse()
/// }
///
/// fn words(_: &Library, text: String) -> Rest {
///     Rest(text.split(' ').map(Into::into).collect())
/// }
///
/// dss_abi_v2::library! {
///     name: "results",
///     version: "1.0.0",
///     requires: "^2.1",
///     functions: { nothing, size, parse, words },
/// }
/// # fn main() {}
/// ```
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "`{Self}` cannot be returned to Lua",
        note = "a function returns `()`, one value, a tuple of up to 8, `Rest`, or a `Result<T, E>` of these whose `E` is `dss_abi_v2::Error` or implements `Display`",
        note = "a value is a `bool`, a number, `String`, `&str`, `Bytes` for any bytes, `PathBuf`, `Duration`, `Callback`, `Nil` or `Value`; or an `Option`, `Vec`, array or map of these",
        note = "a struct becomes a table with `#[derive(IntoValue)]`, and an object with methods with `object!`",
        note = "an `async fn` returns a future, which Lua cannot await: start a thread, or a task of a runtime, and `deliver` its result"
    )
)]
pub trait IntoResults {
    /// As [`IntoValues::IS_NOTHING`].
    #[doc(hidden)]
    const IS_NOTHING: bool = false;

    /// Pushes the results, or fails.
    #[doc(hidden)]
    fn into_results(self, values: &mut Values) -> Result<(), Error>;

    /// Adds the classes of the objects among them.
    #[doc(hidden)]
    fn uses(_: &mut Uses) {}
}

impl<T: IntoValues> IntoResults for T {
    const IS_NOTHING: bool = T::IS_NOTHING;

    fn into_results(self, values: &mut Values) -> Result<(), Error> {
        self.into_values(values);
        Ok(())
    }

    fn uses(found: &mut Uses) {
        T::uses(found);
    }
}

impl<T: IntoResults, E: Into<Error>> IntoResults for Result<T, E> {
    const IS_NOTHING: bool = T::IS_NOTHING;

    fn into_results(self, values: &mut Values) -> Result<(), Error> {
        self.map_err(E::into)?.into_results(values)
    }

    fn uses(found: &mut Uses) {
        T::uses(found);
    }
}

impl<T: Object> IntoResults for ObjectRef<'_, T> {
    fn into_results(self, values: &mut Values) -> Result<(), Error> {
        values.lend(self.raw());
        Ok(())
    }

    fn uses(found: &mut Uses) {
        found.add(T::class());
    }
}

/// A function that [`library!`](crate::library!) accepts: `fn(&Library, A, B, ...) -> R` or
/// `fn(Library, A, B, ...) -> R`. After the library it has up to 8 parameters. Their types implement
/// [`FromArgument`], and `R` implements [`IntoResults`].
///
/// The function is not `unsafe` and not `async`. Name the types of a generic function, as in
/// `"count" => count::<u32>`.
///
/// ```
/// use dss_abi_v2::{library, Library};
///
/// library! {
///     name: "sums",
///     version: "1.0.0",
///     requires: "^2.1",
///     functions: { add, "on-lua-thread" => is_here },
/// }
///
/// fn add(_: &Library, left: i64, right: i64) -> i64 {
///     left + right
/// }
///
/// fn is_here(library: Library) -> bool {
///     library.on_lua_thread()
/// }
/// # fn main() {}
/// ```
pub trait Function<'a, Args> {}

/// A method that [`object!`](crate::object!) accepts: `fn(&self, &Library, A, B, ...) -> R`. The rest is as for a
/// [`Function`].
///
/// Lua shares its objects, so the method takes `&self`. Use a `Mutex` or an atomic for a field that changes.
///
/// ```
/// use dss_abi_v2::{object, Library};
/// use std::sync::Mutex;
///
/// struct Names(Mutex<Vec<String>>);
/// object! { Names as "names", methods: { add } }
///
/// impl Names {
///     fn add(&self, _: &Library, name: String) -> usize {
///         let mut names = self.0.lock().unwrap();
///         names.push(name);
///         names.len()
///     }
/// }
/// ```
pub trait Method<'a, T, Args> {}

impl<'a, F, Args> Function<'a, Args> for F
where
    F: Callable<'a, Args>,
    F::Parameters: Parameters<'a>,
    F::Returned: IntoResults,
{
}

impl<'a, T, F, Args> Method<'a, T, Args> for F
where
    T: 'a,
    F: CallableMethod<'a, T, Args>,
    F::Parameters: Parameters<'a>,
    F::Returned: IntoResults,
{
}

/// The results of a call, as they cross the boundary.
pub type Returned = RResult<RVec<RawValue>, RawValue>;
