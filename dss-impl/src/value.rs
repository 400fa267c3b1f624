//! Values on their way between Lua and libraries that know nothing of Lua. They belong to neither Lua nor a revision.
//!
//! On the way in (arguments of a library's function, answers of a Lua function) they are owned: [`Value`]. On the way out
//! they keep the revision's form, and its adapter pushes each with one call of [`LuaValues`]: a large string is copied
//! only once, into Lua.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::Arc;

use crate::callbacks::Reference;

/// How deeply lists and maps may be nested.
pub const MAX_DEPTH: usize = 64;

/// A value that came from Lua.
#[derive(Debug)]
pub enum Value {
    /// `nil`.
    Nil,
    /// A boolean.
    Boolean(bool),
    /// An integer. In a Lua without integers: a number without a fraction, of at most 2^53.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Bytes(Vec<u8>),
    /// A table whose only keys are 1 to n, or an empty one.
    List(Vec<Value>),
    /// Any other table.
    Map(Vec<(Value, Value)>),
    /// A function.
    Callback(Reference),
    /// An object of a library, owned by Lua.
    Object(ObjectRef),
}

/// An error that a Lua function raised, or why its result is not a valid answer.
#[derive(Debug, Default)]
pub struct Raised {
    /// The error's text.
    pub message: String,
    /// Where it was raised; empty if that is not known.
    pub traceback: String,
    /// The raised value, if it is not a string and can be passed to a library.
    pub value: Option<Value>,
}

impl From<&str> for Raised {
    fn from(message: &str) -> Self {
        Raised { message: message.to_owned(), ..Raised::default() }
    }
}

/// An object of a library that Lua owns. It is valid for the length of the call that it is an argument of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The library's data.
    pub data: *mut c_void,
    /// Its class: the address by which its library knows it.
    pub class: usize,
}

/// What the module can do with Lua's values on a raw stack, for the adapters.
///
/// # Safety rules, for all methods
/// `lua` is a live state of the module's Lua that runs on this thread, inside a protected call. There is nothing droppable in the
/// frames between that call and the method: each method may raise a Lua error. Unless it says more, that is only for lack of memory.
pub trait LuaValues: Sync {
    /// Makes room for `count` more values; false if there is none. Raises no error.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn reserve(&self, lua: *mut c_void, count: c_int) -> bool;

    /// How many values are on the stack. Raises no error.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn top(&self, lua: *mut c_void) -> c_int;

    /// Pushes `nil`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_nil(&self, lua: *mut c_void);

    /// Pushes a boolean.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_boolean(&self, lua: *mut c_void, value: bool);

    /// Pushes an integer. Returns false, with nothing pushed, if this Lua cannot represent it exactly.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_integer(&self, lua: *mut c_void, value: i64) -> bool;

    /// Pushes a float.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_float(&self, lua: *mut c_void, value: f64);

    /// Pushes a string.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_bytes(&self, lua: *mut c_void, value: &[u8]);

    /// Pushes a new table with room for this many items and entries.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_table(&self, lua: *mut c_void, items: usize, entries: usize);

    /// Sets `table[at]` to the value on top, and pops it. The table is below it.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn set_item(&self, lua: *mut c_void, at: usize);

    /// Sets an entry to the key and the value on top, and pops both. The table is below them. Returns false if the key is `nil`
    /// or NaN; both are popped in that case too.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn set_entry(&self, lua: *mut c_void) -> bool;

    /// Pushes the function that is kept by `key`, a [`Dispatcher::callback_key`](crate::Dispatcher::callback_key); `nil`
    /// if it no longer exists.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_callback(&self, lua: *mut c_void, key: *const c_void);

    /// Pushes a new userdata for an object of that class. Writes `data` into it last, when nothing can raise an error any more: from
    /// then on, Lua owns it. Returns false, with nothing pushed, if the state has no such class.
    ///
    /// # Safety
    /// See the trait. The library of the class made `data`.
    unsafe fn push_object(&self, lua: *mut c_void, class: usize, data: *mut c_void) -> bool;

    /// Pushes a copy of `object`, which is at one of the places 2 to `last` of the stack. Returns false, with nothing pushed, if it is not.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_lent(&self, lua: *mut c_void, last: c_int, object: ObjectRef) -> bool;
}

/// What a call of a library's function returned or raised, on its way to Lua.
pub trait Results {
    /// Whether it is one value that must be raised.
    fn is_error(&self) -> bool;

    /// Whether it contains an object that Lua lent for the call.
    fn has_lent(&self) -> bool;

    /// Pushes all values. Returns how many, or a sentence that says why one cannot be pushed. The sentence is static, because a Lua
    /// error may skip it.
    ///
    /// If [`Self::has_lent`], the object and the arguments of the call are at the places 2 to the top.
    ///
    /// # Safety
    /// As for the methods of [`LuaValues`].
    unsafe fn push(&mut self, lua: *mut c_void) -> Result<c_int, &'static str>;
}

/// A loaded library, as Lua calls it. Its methods are called on the Lua thread of the state that loaded it.
pub trait Module: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;
    /// The file that it was loaded from.
    fn file(&self) -> &str;
    /// Its version.
    fn version(&self) -> &str;
    /// The names of its functions.
    fn functions(&self) -> Vec<String>;
    /// The classes of the objects that it may pass to Lua.
    fn classes(&self) -> Vec<Arc<dyn Class>>;
    /// Whether a Lua function that is passed again is the same callback. If not, it is a different callback each time.
    fn identifies_callbacks(&self) -> bool;
    /// Whether it is still registered in the state. If not, nothing of it may be called any more.
    fn is_registered(&self) -> bool;
    /// Unregisters the library. Called if nothing in Lua represents it.
    fn give_up(&self);
    /// Calls a function, by its index in [`Self::functions`].
    ///
    /// # Errors
    /// The text of a Lua error: the function was not called, or returned something that Lua cannot have.
    fn call(&self, function: usize, arguments: Vec<Value>) -> Result<Box<dyn Results>, String>;
}

/// A class of objects.
pub trait Class: Send + Sync {
    /// The address by which the library knows it.
    fn key(&self) -> usize;
    /// Its name.
    fn name(&self) -> &str;
    /// The names of its methods.
    fn methods(&self) -> Vec<String>;
    /// Whether objects have a `close` of their own.
    fn has_close(&self) -> bool;
    /// Calls a method, by its index in [`Self::methods`].
    ///
    /// # Errors
    /// As [`Module::call`].
    ///
    /// # Safety
    /// `data` is an object of this class that has not been dropped.
    unsafe fn call(
        &self,
        method: usize,
        data: *mut c_void,
        arguments: Vec<Value>,
    ) -> Result<Box<dyn Results>, String>;
    /// Closes an object. None if there is nothing to close any more. The results are a value to raise, or nothing.
    ///
    /// # Errors
    /// As [`Module::call`].
    ///
    /// # Safety
    /// As [`Self::call`].
    unsafe fn close(&self, data: *mut c_void) -> Result<Option<Box<dyn Results>>, String>;
    /// The text of an object; None if the class has none of its own.
    ///
    /// # Safety
    /// As [`Self::call`].
    unsafe fn text(&self, data: *mut c_void) -> Option<String>;
    /// Drops an object.
    ///
    /// # Safety
    /// As for [`Self::call`]. The object must not be used again.
    unsafe fn drop(&self, data: *mut c_void);
}

impl fmt::Debug for dyn Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.name())
    }
}
