//! Objects: values of the library's own types, as userdata in Lua.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::raw::c_void;

use abi_stable::std_types::RString;

use crate::call::Uses;
use crate::contract::RawClass;
use crate::guard::{drop_quietly, guard};
use crate::value::{RawBorrowed, RawObject};

/// A type whose values Lua can have, as userdata with methods. [`object!`](crate::object!) implements it.
///
/// Lua shares an object. A method has `&self`, and while it runs, Lua may call another method of the same object. An
/// object is used on the Lua thread only, which may be another thread later.
///
/// An object is dropped on one of these threads:
///
/// * on the Lua thread, if Lua collects it;
/// * on the thread that ends the last call into the library, if the library unregisters or the Lua state closes; this
///   may be a thread of the library that is inside `deliver`;
/// * on any thread, if the object never came to Lua.
///
/// So its destructor must not wait for a lock that is held during a call of a [`Library`](crate::Library) method.
///
/// ```
/// use dss_abi_v2::{object, Library, ObjectRef};
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// struct Door(AtomicBool);
///
/// object! { Door as "door", methods: { open, is_open } }
///
/// impl Door {
///     fn open(&self, _: &Library) {
///         self.0.store(true, Ordering::Relaxed);
///     }
///
///     fn is_open(&self, _: &Library) -> bool {
///         self.0.load(Ordering::Relaxed)
///     }
/// }
///
/// fn door(_: &Library) -> Door {
///     Door(AtomicBool::new(false))
/// }
///
/// fn open_both(library: &Library, one: ObjectRef<'_, Door>, other: ObjectRef<'_, Door>) {
///     one.open(library);
///     other.open(library);
/// }
/// ```
///
/// # Safety
/// `class` always returns the same `static`. It belongs to this type only, and its functions are for this type.
pub unsafe trait Object: Send + Sized + 'static {
    /// The name in Lua, which `library!` compares. It is empty if the implementation is not by `object!`.
    #[doc(hidden)]
    const NAME: &'static str = "";

    /// The class of the type.
    #[doc(hidden)]
    fn class() -> &'static RawClass;

    /// Adds the classes of the objects that its methods take and return.
    #[doc(hidden)]
    fn uses(_: &mut Uses) {}
}

/// An object of any type on its way to Lua. It is in [`Value::Object`](crate::Value::Object).
///
/// ```
/// use dss_abi_v2::{object, AnyObject, Library};
///
/// struct Door;
/// object! { Door as "door" }
/// struct Window;
/// object! { Window as "window" }
///
/// fn opening(_: &Library, width: f64) -> AnyObject {
///     if width < 1.0 {
///         AnyObject::new(Door)
///     } else {
///         AnyObject::new(Window)
///     }
/// }
/// ```
pub struct AnyObject(RawObject);

// SAFETY: through a shared reference nothing of the object itself can be reached; so that errors that carry values can
// be shared.
unsafe impl Sync for AnyObject {}

impl AnyObject {
    /// Wraps an object. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{object, AnyObject, Value};
    /// # struct Door;
    /// # object! { Door as "door" }
    /// let list = Value::List(vec![Value::Object(AnyObject::new(Door)), Value::from("open")]);
    /// # let _ = list;
    /// ```
    #[must_use]
    pub fn new<T: Object>(object: T) -> Self {
        let data = Box::into_raw(Box::new(object)).cast();
        // SAFETY: a box of a `T`, which is `Send`, and the class is that of `T`.
        AnyObject(unsafe { RawObject::new(data, T::class()) })
    }

    /// The name of its type in Lua. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{object, AnyObject};
    /// # struct Door;
    /// # object! { Door as "door" }
    /// assert_eq!(AnyObject::new(Door).class_name(), "door");
    /// ```
    #[must_use]
    pub fn class_name(&self) -> &'static str {
        self.0.class().name.as_str()
    }

    /// Takes the object out. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::{object, AnyObject};
    /// # struct Door(u8);
    /// # object! { Door as "door" }
    /// # struct Window;
    /// # object! { Window as "window" }
    /// let object = AnyObject::new(Door(3));
    /// let object = object.downcast::<Window>().err().unwrap();
    /// assert_eq!(object.downcast::<Door>().unwrap().0, 3);
    /// ```
    ///
    /// # Errors
    /// The object has another type. The error contains the object.
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

/// An object that Lua has, as a parameter. The function borrows it during the call.
///
/// ```
/// use dss_abi_v2::{object, Library, ObjectRef};
///
/// struct Door {
///     width: f64,
/// }
///
/// object! { Door as "door" }
///
/// fn is_wider(_: &Library, door: ObjectRef<'_, Door>, other: Option<ObjectRef<'_, Door>>) -> bool {
///     other.map_or(true, |other| door.width > other.width)
/// }
/// ```
///
/// Keeping it for longer does not compile:
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
    /// Makes a reference to return to Lua. If a method returns its own object, calls can be chained. [lua-thread]
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
    /// The object must be an argument of the call, or the object that the method is called on. Any other is a Lua
    /// error.
    #[must_use]
    pub const fn of(object: &'a T) -> Self {
        ObjectRef(object)
    }

    /// The object, as Lua has it.
    pub(crate) fn raw(&self) -> RawBorrowed {
        let data: *const T = self.0;
        RawBorrowed { data: data as *mut c_void, class: T::class() }
    }

    /// The object, if it is a `T`.
    ///
    /// # Safety
    /// `raw` is valid for `'a`.
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
/// `data` is an object of the type `T`, valid during the call.
pub unsafe fn text<T: Object>(data: *mut c_void, text: fn(&T) -> String) -> RString {
    // SAFETY: as the caller promises.
    let object = unsafe { &*data.cast::<T>() };
    let text = guard(|| text(object));
    RString::from(
        text.unwrap_or_else(|panic| format!("{} (its `to_string` panicked: {})", T::class().name, panic)),
    )
}
