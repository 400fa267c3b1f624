//! Functions and methods: from what Lua calls to what the author wrote.

use std::fmt;
use std::marker::PhantomData;

use abi_stable::std_types::vec::IntoIter;
use abi_stable::std_types::{RErr, ROk, RResult, RVec};

use crate::any::Value;
use crate::contract::{RawCall, ServiceObject};
use crate::error::{Error, ValueError};
use crate::from_value::FromValue;
use crate::guard::guard;
use crate::library::Library;
use crate::object::{Object, ObjectRef};
use crate::open::Opened;
use crate::value::RawValue;
use crate::values::{IntoValues, Rest, Values};

/// What a function or method is called, for the sentence of an error.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The library or the class.
    pub owner: &'static str,
    /// Between the two: a dot or a colon.
    pub mark: char,
    /// The function or method.
    pub name: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}{}{}'", self.owner, self.mark, self.name)
    }
}

/// The arguments of a call, taken one after the other.
pub struct Arguments<'a> {
    values: IntoIter<RawValue>,
    /// How many were taken.
    at: usize,
    place: Place,
    service: &'static ServiceObject,
    /// How long what is borrowed is good.
    call: PhantomData<&'a Library>,
}

impl<'a> Arguments<'a> {
    /// The next one as it crossed the boundary.
    fn next(&mut self) -> Option<RawValue> {
        self.at += 1;
        self.values.next()
    }

    /// How many there are yet.
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

    /// The next one as an object; none where it is nil or missing.
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

/// What can be a parameter of a function or method: what implements [`FromValue`], an [`ObjectRef`], also in an
/// `Option`, and at the end [`Rest`].
pub trait FromArgument<'a>: Sized {
    /// Takes it from the arguments.
    #[doc(hidden)]
    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error>;
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
}

impl<'a, T: Object> FromArgument<'a> for Option<ObjectRef<'a, T>> {
    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error> {
        arguments.next_object()
    }
}

impl<'a> FromArgument<'a> for Rest {
    fn from_argument(arguments: &mut Arguments<'a>) -> Result<Self, Error> {
        let mut rest = Vec::with_capacity(arguments.left());
        while arguments.left() > 0 {
            rest.push(arguments.next_as()?);
        }
        Ok(Rest(rest))
    }
}

/// What a function or method can return: what can be several values ([`IntoValues`]), an object that it was given
/// ([`ObjectRef`]), or a `Result` of these.
pub trait IntoResults {
    /// Pushes the results, or fails.
    #[doc(hidden)]
    fn into_results(self, values: &mut Values) -> Result<(), Error>;
}

impl<T: IntoValues> IntoResults for T {
    fn into_results(self, values: &mut Values) -> Result<(), Error> {
        self.into_values(values);
        Ok(())
    }
}

impl<T: IntoResults, E: Into<Error>> IntoResults for Result<T, E> {
    fn into_results(self, values: &mut Values) -> Result<(), Error> {
        self.map_err(E::into)?.into_results(values)
    }
}

/// A function of a library: `fn(&Library, A, B, ...) -> R`, with up to 8 [parameters](FromArgument) of its own, and
/// [results](IntoResults).
pub trait Function<'a, Args> {
    /// Takes the arguments, and calls it.
    #[doc(hidden)]
    fn call(
        &self,
        library: &'a Library,
        arguments: &mut Arguments<'a>,
        values: &mut Values,
    ) -> Result<(), Error>;
}

/// A method of an object: `fn(&T, &Library, A, B, ...) -> R`, as a [`Function`].
pub trait Method<'a, T, Args> {
    /// Takes the arguments, and calls it.
    #[doc(hidden)]
    fn call(
        &self,
        this: &'a T,
        library: &'a Library,
        arguments: &mut Arguments<'a>,
        values: &mut Values,
    ) -> Result<(), Error>;
}

macro_rules! functions {
    ($($name:ident)*) => {
        impl<'a, F, R, $($name,)*> Function<'a, ($($name,)*)> for F
        where
            F: Fn(&'a Library, $($name,)*) -> R,
            R: IntoResults,
            $($name: FromArgument<'a>,)*
        {
            #[allow(unused_variables, non_snake_case)]
            fn call(
                &self,
                library: &'a Library,
                arguments: &mut Arguments<'a>,
                values: &mut Values,
            ) -> Result<(), Error> {
                $(let $name = $name::from_argument(arguments)?;)*
                self(library, $($name,)*).into_results(values)
            }
        }

        impl<'a, T, F, R, $($name,)*> Method<'a, T, ($($name,)*)> for F
        where
            T: 'a,
            F: Fn(&'a T, &'a Library, $($name,)*) -> R,
            R: IntoResults,
            $($name: FromArgument<'a>,)*
        {
            #[allow(unused_variables, non_snake_case)]
            fn call(
                &self,
                this: &'a T,
                library: &'a Library,
                arguments: &mut Arguments<'a>,
                values: &mut Values,
            ) -> Result<(), Error> {
                $(let $name = $name::from_argument(arguments)?;)*
                self(this, library, $($name,)*).into_results(values)
            }
        }
    };
}

functions!();
functions!(A);
functions!(A B);
functions!(A B C);
functions!(A B C D);
functions!(A B C D E);
functions!(A B C D E G);
functions!(A B C D E G H);
functions!(A B C D E G H I);

impl<T: Object> IntoResults for ObjectRef<'_, T> {
    fn into_results(self, values: &mut Values) -> Result<(), Error> {
        values.lend(self.raw());
        Ok(())
    }
}

/// What a call gives back to DSS.
pub type Returned = RResult<RVec<RawValue>, RawValue>;

/// Calls a function.
///
/// `run` is for whatever lifetime, so that nothing borrowed outlives the call.
///
/// # Safety
/// DSS made the call, and this is what it was made with.
pub unsafe fn call_function<F>(place: Place, call: &RawCall, values: RVec<RawValue>, run: F) -> Returned
where
    F: for<'a> FnOnce(&'a Library, &mut Arguments<'a>, &mut Values) -> Result<(), Error>,
{
    // SAFETY: what the library registered with, which DSS releases after the last call.
    let service = unsafe { &*call.context.cast::<Opened>() }.service;
    let returned = guard(|| {
        let library = Library::new(service, call.handle);
        let mut arguments =
            Arguments { values: values.into_iter(), at: 0, place, service, call: PhantomData };
        let mut results = Values::new(service);
        run(&library, &mut arguments, &mut results)?;
        results
            .into_results()
            .map_err(|error| Error::new(format!("{} returned what Lua cannot have: {}", place, error)))
    });
    match returned {
        Ok(Ok(results)) => ROk(results),
        Ok(Err(error)) => RErr(error.into_raw(service)),
        Err(panic) => RErr(Error::new(format!("{} panicked: {}", place, panic)).into_raw(service)),
    }
}

/// Calls a method.
///
/// # Safety
/// As [`call_function`], and the object is one of the type `T`, good for the length of the call.
pub unsafe fn call_method<T, F>(place: Place, call: &RawCall, values: RVec<RawValue>, run: F) -> Returned
where
    T: Object,
    F: for<'a> FnOnce(&'a T, &'a Library, &mut Arguments<'a>, &mut Values) -> Result<(), Error>,
{
    // SAFETY: as the caller promises.
    let this = unsafe { &*call.object.cast::<T>() };
    // SAFETY: as the caller promises.
    unsafe {
        call_function(place, call, values, move |library, arguments, results| {
            run(this, library, arguments, results)
        })
    }
}
