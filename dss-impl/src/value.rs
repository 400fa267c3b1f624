//! Values between Lua and libraries that know nothing of Lua, as the core has them: neither Lua's nor a revision's.
//!
//! On the way in (arguments of a library's function, what a Lua function answered) they are owned: [`Value`]. On the way out
//! they stay what the revision has, and its adapter pushes them, one call of [`LuaValues`] each: a large string is copied
//! once, into Lua.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::Arc;

use crate::callbacks::Reference;

/// Lists and maps within each other, at most.
pub const MAX_DEPTH: usize = 64;

/// A value that came from Lua.
#[derive(Debug)]
pub enum Value {
    /// `nil`.
    Nil,
    /// A boolean.
    Boolean(bool),
    /// An integer; where a Lua has none, a number without a fraction of at most 2^53.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Bytes(Vec<u8>),
    /// A table with the keys 1 to n alone; an empty one too.
    List(Vec<Value>),
    /// Any other table.
    Map(Vec<(Value, Value)>),
    /// A function.
    Callback(Reference),
    /// An object of a library's, which Lua owns.
    Object(ObjectRef),
}

/// An error that a Lua function raised, or why what it gave is no answer.
#[derive(Debug, Default)]
pub struct Raised {
    /// The error's text.
    pub message: String,
    /// Where it was raised; empty where nothing can be said of that.
    pub traceback: String,
    /// What was raised, where it is no string and a library can be given it.
    pub value: Option<Value>,
}

impl From<&str> for Raised {
    fn from(message: &str) -> Self {
        Raised { message: message.to_owned(), ..Raised::default() }
    }
}

/// An object of a library's that Lua owns: good for the length of the call it is an argument of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The library's data.
    pub data: *mut c_void,
    /// What it is: the address by which its library knows the class.
    pub class: usize,
}

/// What the module can do with Lua's values on a raw stack, for the adapters.
///
/// # Safety rules, for all methods
/// `lua` is a live state of the module's Lua that runs on this thread, inside a protected call, with nothing droppable in the
/// frames between that call and the method: each may raise a Lua error, for want of memory alone if nothing else is said.
pub trait LuaValues: Sync {
    /// Makes room for `count` more values; false where there is none. Raises nothing.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn reserve(&self, lua: *mut c_void, count: c_int) -> bool;

    /// How many values lie on the stack. Raises nothing.
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

    /// Pushes an integer; false, with nothing pushed, where this Lua cannot hold it exactly.
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

    /// Pushes a new table with room for so many items and entries.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_table(&self, lua: *mut c_void, items: usize, entries: usize);

    /// Sets `table[at]` to the value on top, which it pops; the table lies below it.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn set_item(&self, lua: *mut c_void, at: usize);

    /// Sets an entry to the key and the value on top, which it pops; the table lies below them. False where the key is `nil`
    /// or not a number, and the two were popped all the same.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn set_entry(&self, lua: *mut c_void) -> bool;

    /// Pushes the function that is kept by `key`, a [`Dispatcher::callback_key`](crate::Dispatcher::callback_key); `nil`
    /// where it is gone.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_callback(&self, lua: *mut c_void, key: *const c_void);

    /// Pushes a new userdata for an object of that class, and writes `data` into it as the last thing, when nothing can raise
    /// any more: from then on Lua owns it. False, with nothing pushed, where the state has no such class.
    ///
    /// # Safety
    /// See the trait; `data` is what the class's library made.
    unsafe fn push_object(&self, lua: *mut c_void, class: usize, data: *mut c_void) -> bool;

    /// Pushes the object that lies below, at one of the places 2 to `last`; false, with nothing pushed, where it does not.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn push_lent(&self, lua: *mut c_void, last: c_int, object: ObjectRef) -> bool;
}

/// What a call of a library's function gave, or raised, on its way to Lua.
pub trait Results {
    /// Whether it is one value that is to be raised.
    fn is_error(&self) -> bool;

    /// Whether an object is among them that Lua lent for the call.
    fn has_lent(&self) -> bool;

    /// Pushes all of them; returns how many, or the sentence why one cannot be pushed, of static lifetime for a Lua error
    /// may skip it.
    ///
    /// Where [`Self::has_lent`], what the call was made on and with lies at the places 2 to the top.
    ///
    /// # Safety
    /// As [`LuaValues`] says of its methods.
    unsafe fn push(&mut self, lua: *mut c_void) -> Result<c_int, &'static str>;
}

/// A library that was loaded, as Lua calls it. Its methods are called on the Lua thread of the state that loaded it.
pub trait Module: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;
    /// The file that it was loaded from.
    fn file(&self) -> &str;
    /// Its version.
    fn version(&self) -> &str;
    /// The names of its functions.
    fn functions(&self) -> Vec<String>;
    /// The classes of the objects that it may give to Lua.
    fn classes(&self) -> Vec<Arc<dyn Class>>;
    /// Whether a Lua function that is handed over again is the same callback. If not, it is another each time.
    fn identifies_callbacks(&self) -> bool;
    /// Whether it is still registered in the state: nothing of it may be called afterwards.
    fn is_registered(&self) -> bool;
    /// Unregisters the library, which nothing in Lua stands for.
    fn give_up(&self);
    /// Calls a function, by its place among [`Self::functions`].
    ///
    /// # Errors
    /// The sentence of a Lua error, where it was not called, or gave what cannot be Lua's.
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
    /// Calls a method, by its place among [`Self::methods`].
    ///
    /// # Errors
    /// As [`Module::call`].
    ///
    /// # Safety
    /// `data` is an object of this class that was not dropped.
    unsafe fn call(
        &self,
        method: usize,
        data: *mut c_void,
        arguments: Vec<Value>,
    ) -> Result<Box<dyn Results>, String>;
    /// Closes an object; nothing where there is nothing to close any more. What it gives is to be raised, or nothing.
    ///
    /// # Errors
    /// As [`Module::call`].
    ///
    /// # Safety
    /// As [`Self::call`].
    unsafe fn close(&self, data: *mut c_void) -> Result<Option<Box<dyn Results>>, String>;
    /// The text of an object; none where the class has none of its own.
    ///
    /// # Safety
    /// As [`Self::call`].
    unsafe fn text(&self, data: *mut c_void) -> Option<String>;
    /// Drops an object.
    ///
    /// # Safety
    /// As [`Self::call`], and it is used no more.
    unsafe fn drop(&self, data: *mut c_void);
}

impl fmt::Debug for dyn Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.name())
    }
}
