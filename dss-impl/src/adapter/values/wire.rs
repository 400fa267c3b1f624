//! The wire: what differs between revisions that hand over values.

use std::ffi::c_void;

use crate::callbacks::CallbackId;
use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::value::{ObjectRef, Raised, Value};

/// How one revision lays out a value, calls a function, and completes a request. All methods only translate. Decisions are made
/// in the generic code.
pub(crate) trait Wire: Sized + Send + Sync + 'static {
    /// The revision's name.
    const NAME: &'static str;
    /// The revision's number.
    const NUMBER: u32;
    /// See [`Adapter::may_throw`](crate::port::Adapter::may_throw).
    const MAY_THROW: bool;
    /// Whether a Lua function that is passed again is the same callback. If not, each time makes another callback, with keys of its own.
    const IDENTIFIES_CALLBACKS: bool;

    /// One value. A delivery's record and a call's results consist of these.
    type Value: 'static;
    /// A key and a value of a map.
    type Entry: 'static;
    /// What a call returned.
    type Values: Default;
    /// A function or a method, with its name.
    type Function: Sync + 'static;
    /// A class of objects. It is a `static` of the library: its address is its identity, and Lua's key for it.
    type Class: Sync + 'static;
    /// What tells a library how its request ended.
    type Completion;
    /// What a library registered besides its module: how it is told that its state closes, and that DSS has released it.
    type Own: Send + Sync;

    /// A value's kind. The contents are borrowed.
    fn shape(value: &mut Self::Value) -> Shape<'_, Self>;

    /// The key and the value of an entry.
    fn entry(entry: &mut Self::Entry) -> (&mut Self::Value, &mut Self::Value);

    /// Replaces a value of the kind [`Shape::Object`] by nil without dropping the object: Lua owns it now.
    fn forget_object(value: &mut Self::Value);

    /// The values that a call returned.
    fn slice(values: &mut Self::Values) -> &mut [Self::Value];

    /// A function's name.
    fn function_name(function: &'static Self::Function) -> &'static str;

    /// A class's name.
    fn class_name(class: &'static Self::Class) -> &'static str;

    /// A class's methods.
    fn methods(class: &'static Self::Class) -> &'static [Self::Function];

    /// Whether a class has a `close`.
    fn has_close(class: &'static Self::Class) -> bool;

    /// Calls a function of the library. [lua-thread] `classes` are the possible classes of object arguments.
    ///
    /// # Safety
    /// The call has begun, so the library is registered. The object of `on` is NULL, or one of the method's class that was not dropped.
    unsafe fn call(
        function: &'static Self::Function,
        on: On,
        arguments: Vec<Value>,
        classes: &[&'static Self::Class],
    ) -> Returned<Self>;

    /// Closes an object. [lua-thread]
    ///
    /// # Safety
    /// As [`Self::call`], with an object of that class. [`Self::has_close`] is true.
    unsafe fn close(class: &'static Self::Class, on: On) -> Returned<Self>;

    /// The text of an object, if the class defines one. [lua-thread]
    ///
    /// # Safety
    /// As [`Self::call`], with an object of that class.
    unsafe fn text(class: &'static Self::Class, on: On) -> Option<String>;

    /// Drops an object. [any-thread]
    ///
    /// # Safety
    /// The object is of that class, and is not used again.
    unsafe fn drop_object(class: &'static Self::Class, data: *mut c_void);

    /// Tells a library how its request ended, and what Lua answered, if it did. [any-thread]
    ///
    /// # Safety
    /// Called once for each completion.
    unsafe fn complete(
        completion: Self::Completion,
        outcome: Outcome,
        answer: Option<Result<Vec<Value>, Raised>>,
    );

    /// Tells a library that its state closes. [lua-thread]
    ///
    /// # Safety
    /// [`Self::release`] has not been called.
    unsafe fn closing(own: &Self::Own, handle: Handle);

    /// Tells the library that DSS no longer uses a registration. [any-thread]
    ///
    /// # Safety
    /// This is the last call with that registration.
    unsafe fn release(own: Self::Own);
}

/// The result of a call.
pub(crate) enum Returned<W: Wire> {
    /// Its results.
    Values(W::Values),
    /// One value, which is to be raised.
    Raised(W::Values),
}

/// A value that needs no memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plain {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
}

/// What a value is.
pub(crate) enum Shape<'a, W: Wire> {
    Plain(Plain),
    Bytes(&'a [u8]),
    List(&'a mut [W::Value]),
    Map(&'a mut [W::Entry]),
    Callback(CallbackId),
    /// An object of the library's, on its way to Lua.
    Object(*mut c_void, &'static W::Class),
    /// An object that Lua owns, and lends for the length of a call.
    Lent(ObjectRef),
}

/// How a function is called: with its registration, and on an object or NULL.
#[derive(Clone, Copy)]
pub(crate) struct On {
    /// The registration's own word.
    pub(crate) context: usize,
    pub(crate) handle: Handle,
    pub(crate) object: *mut c_void,
}
