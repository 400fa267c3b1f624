//! Write libraries for DarkSideSync (DSS) in Rust. A library has threads of its own, and calls Lua functions from any
//! of them. This crate is revision v2. A v2 library is a `cdylib` that DSS loads. It never sees a `lua_State`, so one
//! file serves Lua 5.1 to 5.5 and LuaJIT.
//!
//! # The smallest library
//! ```
//! use dss_abi_v2::{library, Library};
//!
//! library! {
//!     name: "hello",
//!     version: env!("CARGO_PKG_VERSION"),
//!     requires: "^2.1",
//!     functions: { greet },
//! }
//!
//! fn greet(_: &Library, name: String) -> String {
//!     format!("hello {}", name)
//! }
//! # fn main() {}
//! ```
//!
//! ```lua
//! local hello = require("darksidesync").load("hello")
//! print(hello.greet("Ada")) --> hello Ada
//! ```
//!
//! [`library!`] lists the functions that Lua can call. [`Library`] is the library in the Lua state that calls.
//!
//! # Functions and values
//! A [function](Function) takes `&Library` or `Library`, and then up to 8 parameters. DSS converts Lua's arguments to
//! their types. A parameter is any type with [`FromValue`], a borrowed object ([`ObjectRef`]), or all remaining
//! arguments ([`Rest`]). A function returns `()`, a value, a tuple ([`IntoValues`]), or a [`Result`] of these. `()`
//! is no value; [`Nil`] is nil.
//!
//! An argument of the wrong type is a Lua error: `bad argument #1 to 'hello.greet': wanted a string, found a number`.
//! Extra arguments are ignored, as in Lua. A panic becomes a Lua error.
//!
//! # Deliveries
//! A Lua function that you take as an argument is a [`Callback`]. [`Library::deliver`] queues a call of it, from any
//! thread, and does not wait for Lua. Lua calls the function when it next takes deliveries from the queue.
//!
//! ```
//! use dss_abi_v2::{Callback, Library, Result};
//! use std::{thread, time::Duration};
//!
//! fn later(library: Library, pause: Duration, callback: Callback) -> Result<()> {
//!     thread::Builder::new().spawn(move || {
//!         thread::sleep(pause);
//!         library.deliver(&callback, ("done", 1))
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! The queue has [`Limits`], and a [`Policy`] says what happens at them. A refused delivery gives its values back
//! ([`Refused`]).
//!
//! # Requests
//! [`Library::request`] waits for what the Lua function returns. [`Library::request_async`] gives a future instead.
//!
//! ```
//! # use {dss_abi_v2::{Callback, Deadline, Library, RequestError}, std::time::Duration};
//! fn ask(library: &Library, callback: &Callback) -> Result<String, RequestError> {
//!     library.request(callback, "name?", Deadline::within(Duration::from_secs(5)))
//! }
//! ```
//!
//! # Objects
//! [`object!`] turns a type into a Lua userdata with methods. A function returns it, and takes it as [`ObjectRef`].
//!
//! ```
//! # use dss_abi_v2::{object, Library};
//! struct Door(String);
//! object! { Door as "door", methods: { name } }
//!
//! impl Door {
//!     fn name(&self, _: &Library) -> String {
//!         self.0.clone()
//!     }
//! }
//! ```
//!
//! # Threads
//! Each function of this crate says where you may call it. `[lua-thread]` is the thread that runs the Lua state,
//! inside a call that Lua made. `[any-thread]` is any thread. `[blocks]` marks a function that may sleep.
//!
//! Your functions, methods, `close` and `to_string` run on the Lua thread. When Lua collects an object, the object is
//! dropped on the Lua thread. When its library unregisters or the Lua state closes, the object is dropped on the
//! thread that leaves the library last.
//!
//! A call of a [`Library`] method may run your `close` function, and destructors of your objects and queued values.
//! Do not hold a lock during such a call if these take the same lock. [`Library::hold`], dropping a [`Hold`],
//! [`Library::keep_alive`] and [`Library::on_lua_thread`] run nothing of yours.
//!
//! # When Lua's `run()` ends
//! `run()` goes on while a library is registered. If the library says `keep_alive: false`, it goes on while the
//! library has a [`Hold`]. When you stop something, such as a watcher, cancel its queued deliveries with
//! [`Library::cancel_all`].
//!
//! # Testing
//! With a [`TestState`](testing/struct.TestState.html) you test your functions without Lua and without DSS:
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! # use dss_abi_v2::{testing::TestState, Value};
//! let state = TestState::new();
//! let callback = state.callback();
//! state.library().deliver(&callback, ("done", 1)).unwrap();
//! assert_eq!(state.take()[0].values, [Value::from("done"), Value::from(1)]);
//! # }
//! ```
//!
//! # Publishing
//! Use Rust 1.63 or later. With `panic = "abort"` a library does not compile. Before DSS runs any code of a library,
//! it reads the [declaration] from the file. If the library does not fit, DSS refuses it and says what to upgrade.
//!
//! # Features
//! * `derive` (default): `#[derive(IntoValue, FromValue)]` turns structs with named fields into tables and back.
//! * `testing`, for `[dev-dependencies]`: the module [`testing`](testing/index.html).
//! * `serde`: [`Serde<T>`](struct.Serde.html), a parameter or a result of any type that serde supports.

#![deny(unsafe_op_in_unsafe_fn)] // older compilers do not read it from the workspace

#[cfg(panic = "abort")]
compile_error!(
    "a DarkSideSync library must be built with panic = \"unwind\": a panic in it has to become an error of that \
     call, and not the end of the process that loaded it; remove `panic = \"abort\"` from the profile"
);

mod any;
mod attach;
mod call;
mod callback;
mod checks;
#[allow(unknown_lints, non_local_definitions)]
// what `sabi_trait` expands to, and what older compilers know of it
pub mod contract;
mod deadline;
pub mod declaration;
mod deep;
mod error;
mod fields;
mod from_value;
mod function;
mod future;
mod guard;
mod hold;
mod into_value;
pub mod layout;
mod library;
mod limits;
mod macros;
mod object;
mod open;
mod request;
mod room;
mod semver;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "testing")]
pub mod testing;
mod timer;
pub mod value;
mod values;

#[cfg(feature = "serde")]
pub use crate::serde::{from_value, to_value, Serde};
pub use any::Value;
#[doc(hidden)]
pub use attach::check_layouts;
pub use callback::Callback;
pub use deadline::Deadline;
/// Derives the conversion between a struct with named fields and a Lua table.
///
/// ```
/// use dss_abi_v2::{FromValue, IntoValue, Library, Result, Value};
///
/// #[derive(FromValue)]
/// struct Options {
///     path: String,
///     #[dss(rename = "max-depth")]
///     max_depth: Option<u32>, // may be missing
///     #[dss(default)]
///     recursive: bool, // is `false` if it is missing
/// }
///
/// #[derive(IntoValue)]
/// struct Found {
///     path: String,
///     size: u64,
/// }
///
/// // In Lua: find { path = "/tmp", ["max-depth"] = 2 }
/// fn find(_: &Library, options: Options) -> Result<Vec<Found>> {
/// #   let _ = (options.max_depth, options.recursive);
///     let size = std::fs::metadata(&options.path)?.len();
///     Ok(vec![Found { path: options.path, size }])
/// }
///
/// let table = Value::Map(vec![(Value::from("recursive"), Value::from(true))]);
/// let error = Options::from_value(table).err().unwrap();
/// assert_eq!(error.to_string(), "field 'path': wanted a string, found nothing");
/// ```
#[cfg(feature = "derive")]
pub use dss_abi_v2_derive::{FromValue, IntoValue};
pub use error::{
    DeliverError, Error, Failure, LibraryError, Phase, Refused, RequestError, Result, ValueError,
};
pub use from_value::FromValue;
pub use function::{Arguments, FromArgument, Function, IntoResults, Method};
pub use future::Request;
pub use hold::Hold;
pub use into_value::{Bytes, IntoValue, Nil};
pub use library::{Delivered, DeliveredMany, Library, Ticket};
pub use limits::{Limits, Policy};
pub use object::{AnyObject, Object, ObjectRef};
pub use room::Delivery;
pub use values::{FromValues, IntoValues, Rest, Values};

/// The version of the revision's interface, as semver.
pub const VERSION: &str = "1.0.0";
/// The revision's number.
pub const REVISION: u32 = 2;

/// What the macros expand to.
#[doc(hidden)]
pub mod __private {
    pub use crate::call::{call_function, call_method, closing, function, method, raw, Entry, Uses, Wanted};
    pub use crate::checks::{joined, length, refuse_if, twice};
    pub use crate::fields::{Entries, Fields};
    pub use crate::function::{Place, Returned};
    pub use crate::object::{drop_object, text};
    pub use crate::open::{open, Definition};
    pub use crate::semver::{is_requirement, is_version};
    pub use abi_stable::std_types::{ROption, RSlice, RStr, RString, RVec};
    pub use core::primitive::str;
    pub use dss_abi::Answer;
}
