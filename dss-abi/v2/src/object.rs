//! A library's own things, as Lua has them.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::raw::c_void;

use abi_stable::std_types::RString;

use crate::call::Uses;
use crate::contract::RawClass;
use crate::guard::{drop_quietly, guard};
use crate::value::{RawBorrowed, RawObject};

/// A type whose values Lua can have, as userdata with methods. Implemented by [`object!`](crate::object!).
///
/// Lua shares an object: a method has `&self`, and while it runs, Lua can come back and call another. An object is used
/// on the Lua thread alone, though that can be another thread later. It is dropped there when Lua collects it. Where its library
/// unregisters or its state closes, it is dropped on the thread that ends the last call into the library, a thread of the
/// library's that is in a `deliver` for one; where it never came to Lua, on any. So its destructor waits for no lock that is
/// held over a call of DSS's.
///
/// # Safety
/// `class` is the same `static` each time, no other type's, and its functions are for this type.
pub unsafe trait Object: Send + Sized + 'static {
    /// Its name in Lua, for `library!` to compare; empty if it was not made by `object!`.
    #[doc(hidden)]
    const NAME: &'static str = "";

    /// What the type is in Lua.
    #[doc(hidden)]
    fn class() -> &'static RawClass;

    /// Adds the classes of the objects that its methods take and give.
    #[doc(hidden)]
    fn uses(_: &mut Uses) {}
}

/// An object on its way to Lua.
pub struct AnyObject(RawObject);

// SAFETY: through a shared reference nothing of the object itself can be reached; so that errors that carry values can
// be shared.
unsafe impl Sync for AnyObject {}

impl AnyObject {
    /// Makes a value of Lua's into one. [any-thread]
    #[must_use]
    pub fn new<T: Object>(object: T) -> Self {
        let data = Box::into_raw(Box::new(object)).cast();
        // SAFETY: a box of a `T`, which is `Send`, and the class is that of `T`.
        AnyObject(unsafe { RawObject::new(data, T::class()) })
    }

    /// The name of its class. [any-thread]
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        self.0.class().name.as_str()
    }

    /// Takes the object out again. [any-thread]
    ///
    /// # Errors
    /// It is of another type.
    pub fn downcast<T: Object>(self) -> Result<T, AnyObject> {
        if !std::ptr::eq(self.0.class(), T::class()) {
            return Err(self);
        }
        let raw = ManuallyDrop::new(self.0);
        // SAFETY: the class says that the data is a box of a `T`, and its owner is forgotten.
        Ok(*unsafe { Box::from_raw(raw.data().cast::<T>()) })
    }

    pub(crate) fn into_raw(self) -> RawObject {
        self.0
    }

    pub(crate) fn from_raw(raw: RawObject) -> Self {
        AnyObject(raw)
    }
}

impl fmt::Debug for AnyObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyObject({})", self.class_name())
    }
}

/// Whether both are the same object.
impl PartialEq for AnyObject {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.class(), other.0.class()) && self.0.data() == other.0.data()
    }
}

/// An object that Lua has, as an argument: a function's parameter of this type borrows it for the length of the call.
///
/// To keep it for longer does not compile:
///
/// ```compile_fail
/// use dss_abi_v2::{library, object, Library, ObjectRef};
///
/// struct Thing;
/// object! { Thing as "thing" }
///
/// library! {
///     name: "keeper",
///     version: "1.0.0",
///     requires: "*",
///     functions: { keep },
/// }
///
/// fn keep(_: &Library, thing: ObjectRef<'static, Thing>) {
///     std::mem::forget(thing);
/// }
/// ```
pub struct ObjectRef<'a, T>(&'a T);

impl<'a, T: Object> ObjectRef<'a, T> {
    /// The object itself, for a function or method to return: a method that returns its own object can be called in a chain.
    /// [lua-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{object, Library, ObjectRef};
    /// struct Server;
    /// object! { Server as "server", methods: { on } }
    ///
    /// impl Server {
    ///     fn on(&self, _: &Library, event: String) -> ObjectRef<'_, Self> {
    ///         ObjectRef::of(self) // server:on("open"):on("close")
    ///     }
    /// }
    /// ```
    ///
    /// One that is neither an argument of the call nor what it is called on is a Lua error.
    #[must_use]
    pub const fn of(object: &'a T) -> Self {
        ObjectRef(object)
    }

    /// The object, as Lua lent it.
    pub(crate) fn raw(&self) -> RawBorrowed {
        let data: *const T = self.0;
        RawBorrowed { data: data as *mut c_void, class: T::class() }
    }

    /// The object, where it is a `T`.
    ///
    /// # Safety
    /// `raw` is good for as long as `'a`.
    pub(crate) unsafe fn new(raw: RawBorrowed) -> Option<Self> {
        if !std::ptr::eq(raw.class, T::class()) {
            return None;
        }
        // SAFETY: the class says that it is a `T`, of which there are shared references alone; the caller says how long.
        Some(ObjectRef(unsafe { &*raw.data.cast::<T>() }))
    }
}

impl<T> Deref for ObjectRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0
    }
}

impl<T> Clone for ObjectRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ObjectRef<'_, T> {}

impl<T: fmt::Debug> fmt::Debug for ObjectRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Drops an object's data.
///
/// # Safety
/// `data` is a box of a `T`, and this is the last call with it.
pub unsafe extern "C" fn drop_object<T: Object>(data: *mut c_void) {
    // SAFETY: as the caller promises.
    drop_quietly(unsafe { Box::from_raw(data.cast::<T>()) });
}

/// The text of an object.
///
/// # Safety
/// `data` is an object of the type `T`, good for the length of the call.
pub unsafe fn text<T: Object>(data: *mut c_void, text: fn(&T) -> String) -> RString {
    // SAFETY: as the caller promises.
    let object = unsafe { &*data.cast::<T>() };
    let text = guard(|| text(object));
    RString::from(text.unwrap_or_else(|panic| format!("{} (its text panicked: {})", T::class().name, panic)))
}
