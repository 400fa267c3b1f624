//! Calls of the author's functions: converts Lua's arguments to parameters, and what the function returns to results.
//!
//! [`Callable`] fixes only the number of parameters, and not their types. So the compiler first finds the
//! implementation for a function, and then checks each type. Its error names the type that does not fit, and not the
//! whole function.

use std::fmt;
use std::marker::PhantomData;

use abi_stable::std_types::{RErr, ROk, RStr, RVec};

use crate::contract::{CallFn, RawCall, RawClass, RawFunction};
use crate::error::Error;
use crate::function::{Arguments, FromArgument, IntoResults, Place, Returned};
use crate::guard::guard;
use crate::library::Library;
use crate::object::Object;
use crate::open::Opened;
use crate::value::RawValue;
use crate::values::Values;

/// What a function shall do: be called, or say which objects it takes and returns.
///
/// It is one type for both, so that the macros name a function once and the compiler reports a mistake once.
pub enum Wanted<'a, 'c, T> {
    /// A call. For a method, the first field is the object.
    Call(&'a T, &'a Library, &'c mut Arguments<'a>, &'c mut Values),
    /// The classes of the objects.
    Classes(&'c mut Uses),
}

impl<T> fmt::Debug for Wanted<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wanted::Call(..) => "Wanted::Call",
            Wanted::Classes(_) => "Wanted::Classes",
        })
    }
}

/// The classes of the objects that functions take or return, if their types name them.
#[derive(Default)]
pub struct Uses {
    found: Vec<(&'static RawClass, Place)>,
    /// The function whose classes are being collected.
    place: Option<Place>,
}

impl fmt::Debug for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uses").field("count", &self.found.len()).finish_non_exhaustive()
    }
}

impl Uses {
    /// Collects the classes of some functions or methods.
    pub fn ask<T>(&mut self, functions: &[Entry<T>]) {
        for function in functions {
            self.place = Some(function.place);
            // It does not run, and has nothing to fail with.
            let _ = (function.run)(Wanted::Classes(self));
        }
    }

    /// Adds the class of an object that the function takes or returns.
    pub fn add(&mut self, class: &'static RawClass) {
        self.found.extend(self.place.map(|place| (class, place)));
    }

    /// The first class that is not in `listed`, and the function that uses it.
    pub(crate) fn not_among(&self, listed: &[&'static RawClass]) -> Option<(&'static RawClass, Place)> {
        let is_listed = |class: &RawClass| listed.iter().any(|listed| std::ptr::eq(*listed, class));
        self.found.iter().copied().find(|(class, _)| !is_listed(class))
    }
}

/// A function, or a method of an object `T`.
pub struct Entry<T: 'static> {
    /// The function as DSS knows it.
    pub raw: RawFunction,
    /// Its full name.
    pub place: Place,
    /// Calls it, or collects its classes.
    pub run: fn(Wanted<'_, '_, T>) -> Result<(), Error>,
}

impl<T> fmt::Debug for Entry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({})", self.place)
    }
}

/// Some functions as DSS knows them.
#[must_use]
pub const fn raw<T, const N: usize>(entries: &[Entry<T>; N]) -> [RawFunction; N] {
    // Each is overwritten.
    let nothing = RawFunction { name: RStr::from_str(""), call: CallFn(nothing), data: 0 };
    let mut raw = [nothing; N];
    let mut at = 0;
    while at < N {
        raw[at] = entries[at].raw;
        at += 1;
    }
    raw
}

unsafe extern "C" fn nothing(_: &RawCall, _: RVec<RawValue>) -> Returned {
    ROk(RVec::new())
}

/// The arguments of a function that takes its [`Library`] by value.
#[derive(Debug)]
pub struct ByValue<Args>(PhantomData<Args>);

/// Fixes the parameter types of a `close`, so that it may be a closure without types.
#[doc(hidden)]
pub fn closing<T, R, F: Fn(&T, &Library) -> R>(close: F) -> F {
    close
}

/// Anything that has the form of a library's function, with parameters and results of any types.
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "`{Self}` is not a function that Lua can call",
        label = "wanted `fn(&Library, ...) -> ...`",
        note = "its first parameter must be `&Library` or `Library`, even if unused; up to 8 parameters of its own follow",
        note = "it must not be `unsafe`, and a generic one needs a name and its types, as in `\"count\" => count::<u32>`"
    )
)]
pub trait Callable<'a, Args> {
    /// Its own parameters, in a tuple.
    type Parameters;
    /// What it returns.
    type Returned;

    /// Calls it.
    fn invoke(&self, library: &'a Library, parameters: Self::Parameters) -> Self::Returned;
}

/// Anything that has the form of a method of the object `T`, like [`Callable`].
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "`{Self}` is not a method that Lua can call",
        label = "wanted `fn(&self, &Library, ...) -> ...`",
        note = "its first parameter must be `&self`, because Lua shares its objects; the second must be `&Library` or `Library`, even if unused; up to 8 of its own follow",
        note = "it must be neither `unsafe` nor generic"
    )
)]
pub trait CallableMethod<'a, T, Args> {
    /// Its own parameters, in a tuple.
    type Parameters;
    /// What it returns.
    type Returned;

    /// Calls it.
    fn invoke(&self, this: &'a T, library: &'a Library, parameters: Self::Parameters) -> Self::Returned;
}

/// The parameters of a function. They are made from the arguments one by one.
#[cfg_attr(
    dss_diagnostics,
    diagnostic::on_unimplemented(
        message = "a function that Lua calls has at most 8 parameters of its own",
        label = "this one has more",
        note = "combine several in one struct with `#[derive(FromValue)]`, which is a table in Lua, or take the last of them as `Rest`"
    )
)]
pub trait Parameters<'a>: Sized {
    /// Evaluating it does not compile if a parameter follows a [`Rest`](crate::Rest). It is read at a place where the
    /// compiler's error names the author's function.
    const IN_ORDER: ();

    /// Makes the parameters.
    ///
    /// # Errors
    /// An argument has the wrong type.
    fn from_arguments(arguments: &mut Arguments<'a>) -> Result<Self, Error>;

    /// Adds the classes of the objects among them.
    fn uses(found: &mut Uses);
}

macro_rules! callable {
    ($($name:ident)*) => {
        impl<'a, F, R, $($name,)*> Callable<'a, ($($name,)*)> for F
        where
            F: Fn(&'a Library, $($name,)*) -> R,
        {
            type Parameters = ($($name,)*);
            type Returned = R;

            #[allow(non_snake_case)]
            fn invoke(&self, library: &'a Library, ($($name,)*): Self::Parameters) -> R {
                self(library, $($name,)*)
            }
        }

        impl<'a, F, R, $($name,)*> Callable<'a, ByValue<($($name,)*)>> for F
        where
            F: Fn(Library, $($name,)*) -> R,
        {
            type Parameters = ($($name,)*);
            type Returned = R;

            #[allow(non_snake_case)]
            fn invoke(&self, library: &'a Library, ($($name,)*): Self::Parameters) -> R {
                self(*library, $($name,)*)
            }
        }

        impl<'a, T, F, R, $($name,)*> CallableMethod<'a, T, ($($name,)*)> for F
        where
            T: 'a,
            F: Fn(&'a T, &'a Library, $($name,)*) -> R,
        {
            type Parameters = ($($name,)*);
            type Returned = R;

            #[allow(non_snake_case)]
            fn invoke(&self, this: &'a T, library: &'a Library, ($($name,)*): Self::Parameters) -> R {
                self(this, library, $($name,)*)
            }
        }

        impl<'a, T, F, R, $($name,)*> CallableMethod<'a, T, ByValue<($($name,)*)>> for F
        where
            T: 'a,
            F: Fn(&'a T, Library, $($name,)*) -> R,
        {
            type Parameters = ($($name,)*);
            type Returned = R;

            #[allow(non_snake_case)]
            fn invoke(&self, this: &'a T, library: &'a Library, ($($name,)*): Self::Parameters) -> R {
                self(this, *library, $($name,)*)
            }
        }
    };
}

macro_rules! parameters {
    ($($name:ident)*) => {
        impl<'a, $($name: FromArgument<'a>,)*> Parameters<'a> for ($($name,)*) {
            const IN_ORDER: () = {
                let takes_rest: &[bool] = &[$($name::TAKES_REST),*];
                let mut at = 1;
                while at < takes_rest.len() {
                    assert!(
                        !takes_rest[at - 1],
                        "`Rest` takes all remaining arguments, so no parameter can follow it: make it the last parameter"
                    );
                    at += 1;
                }
            };

            #[allow(unused_variables, non_snake_case)]
            fn from_arguments(arguments: &mut Arguments<'a>) -> Result<Self, Error> {
                $(let $name = $name::from_argument(arguments)?;)*
                Ok(($($name,)*))
            }

            #[allow(unused_variables)]
            fn uses(found: &mut Uses) {
                $($name::uses(found);)*
            }
        }
    };
}

callable!();
callable!(A);
callable!(A B);
callable!(A B C);
callable!(A B C D);
callable!(A B C D E);
callable!(A B C D E G);
callable!(A B C D E G H);
callable!(A B C D E G H I);
// These cannot be called, and are here for the sentence at `Parameters` alone.
callable!(A B C D E G H I J);
callable!(A B C D E G H I J K);
callable!(A B C D E G H I J K L);
callable!(A B C D E G H I J K L M);

parameters!();
parameters!(A);
parameters!(A B);
parameters!(A B C);
parameters!(A B C D);
parameters!(A B C D E);
parameters!(A B C D E G);
parameters!(A B C D E G H);
parameters!(A B C D E G H I);

/// Does with a function what `wanted` says.
///
/// # Errors
/// An argument has the wrong type, or the function fails.
pub fn function<'a, F, Args>(function: F, wanted: Wanted<'a, '_, ()>) -> Result<(), Error>
where
    F: Callable<'a, Args>,
    F::Parameters: Parameters<'a>,
    F::Returned: IntoResults,
{
    let () = F::Parameters::IN_ORDER;
    let _ = F::Returned::IS_NOTHING;
    serve(wanted, |_, library, parameters| function.invoke(library, parameters))
}

/// Does with a method what `wanted` says.
///
/// # Errors
/// As [`function`].
pub fn method<'a, T, F, Args>(method: F, wanted: Wanted<'a, '_, T>) -> Result<(), Error>
where
    F: CallableMethod<'a, T, Args>,
    F::Parameters: Parameters<'a>,
    F::Returned: IntoResults,
{
    let () = F::Parameters::IN_ORDER;
    let _ = F::Returned::IS_NOTHING;
    serve(wanted, |this, library, parameters| method.invoke(this, library, parameters))
}

fn serve<'a, T, P, R>(
    wanted: Wanted<'a, '_, T>,
    invoke: impl FnOnce(&'a T, &'a Library, P) -> R,
) -> Result<(), Error>
where
    P: Parameters<'a>,
    R: IntoResults,
{
    match wanted {
        Wanted::Call(this, library, arguments, values) => {
            let parameters = P::from_arguments(arguments)?;
            invoke(this, library, parameters).into_results(values)
        }
        Wanted::Classes(found) => {
            P::uses(found);
            R::uses(found);
            Ok(())
        }
    }
}

/// Calls a function.
///
/// `run` works for any lifetime, so that nothing borrowed outlives the call.
///
/// # Safety
/// DSS made the call, with this `call` and these values.
pub unsafe fn call_function<F>(place: Place, call: &RawCall, values: RVec<RawValue>, run: F) -> Returned
where
    F: for<'a, 'c> FnOnce(Wanted<'a, 'c, ()>) -> Result<(), Error>,
{
    // SAFETY: as the caller promises.
    unsafe {
        respond(place, call, values, move |library, arguments, results| {
            run(Wanted::Call(&(), library, arguments, results))
        })
    }
}

/// Calls a method.
///
/// # Safety
/// The conditions of [`call_function`] hold, and the object is a `T` that is valid during the call.
pub unsafe fn call_method<T, F>(place: Place, call: &RawCall, values: RVec<RawValue>, run: F) -> Returned
where
    T: Object,
    F: for<'a, 'c> FnOnce(Wanted<'a, 'c, T>) -> Result<(), Error>,
{
    // SAFETY: as the caller promises.
    let this = unsafe { &*call.object.cast::<T>() };
    // SAFETY: as the caller promises.
    unsafe {
        respond(place, call, values, move |library, arguments, results| {
            run(Wanted::Call(this, library, arguments, results))
        })
    }
}

/// Answers a call of DSS with the values that `run` pushes, with its error, or with the message of its panic.
///
/// # Safety
/// The conditions of [`call_function`] hold.
unsafe fn respond<F>(place: Place, call: &RawCall, values: RVec<RawValue>, run: F) -> Returned
where
    F: for<'a> FnOnce(&'a Library, &mut Arguments<'a>, &mut Values) -> Result<(), Error>,
{
    // SAFETY: what the library registered with, which DSS releases after the last call.
    let service = unsafe { &*call.context.cast::<Opened>() }.service;
    let returned = guard(|| {
        let library = Library::new(service, call.handle);
        let mut arguments = Arguments::new(values, place, service);
        let mut results = Values::new(service);
        run(&library, &mut arguments, &mut results)?;
        results.into_results().map_err(|error| {
            Error::new(format!("{} returned a value that cannot be passed to Lua: {}", place, error))
        })
    });
    match returned {
        Ok(Ok(results)) => ROk(results),
        Ok(Err(error)) => RErr(error.into_raw(service)),
        Err(panic) => RErr(Error::new(format!("{} panicked: {}", place, panic)).into_raw(service)),
    }
}
