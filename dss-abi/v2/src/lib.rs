//! DarkSideSync's revision v2, for authors of background libraries: values, objects and callbacks, with no Lua in sight.
//!
//! A library is a `cdylib` that DSS loads: `darksidesync.load("hello")` in Lua gives a table of its functions. It never
//! sees a `lua_State`, so that one and the same file serves Lua 5.1 to 5.5 and LuaJIT. What its threads have for Lua, they
//! *deliver* to a Lua function, a [`Callback`], from any thread; and where they want an answer, they *request* it.
//!
//! ```no_run
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use dss_abi_v2::{library, object, Callback, Error, Library, Result};
//!
//! library! {
//!     name: "hello",
//!     version: env!("CARGO_PKG_VERSION"),
//!     requires: "^2.1",
//!     functions: { greet, every },
//!     objects: [Ticker],
//! }
//!
//! fn greet(_: &Library, name: String) -> String {
//!     format!("hello {}", name)
//! }
//!
//! /// Calls a Lua function now and then, until it is told to stop.
//! fn every(library: &Library, pause: Duration, callback: Callback) -> Result<Ticker> {
//!     if pause < Duration::from_millis(1) {
//!         return Err(Error::new("a pause of a millisecond at least"));
//!     }
//!     let (library, goes) = (*library, Arc::new(AtomicBool::new(true)));
//!     let ticker = Ticker(Arc::clone(&goes));
//!     std::thread::Builder::new().spawn(move || {
//!         for tick in 1_u64.. {
//!             std::thread::sleep(pause);
//!             if !goes.load(Ordering::Relaxed) || library.deliver(&callback, ("tick", tick)).is_err() {
//!                 break; // stopped; or the library was unregistered, or the state has closed
//!             }
//!         }
//!     })?;
//!     Ok(ticker)
//! }
//!
//! struct Ticker(Arc<AtomicBool>);
//!
//! object! {
//!     Ticker as "ticker",
//!     methods: { stop },
//!     close: Ticker::stop,
//! }
//!
//! impl Ticker {
//!     fn stop(&self, _: &Library) {
//!         self.0.store(false, Ordering::Relaxed);
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! ```lua
//! local darksidesync = require "darksidesync"
//! local hello = darksidesync.load("hello")
//!
//! print(hello.greet("Ada"))
//! local ticker
//! ticker = hello.every(0.5, function(text, count)
//!     print(text, count)
//!     if count == 3 then
//!         ticker:stop()
//!         darksidesync.stop()
//!     end
//! end)
//! darksidesync.run()
//! ```
//!
//! # Functions
//! A [function](Function) takes the library as it is registered in the calling Lua state, as `&Library` or `Library`, and up to 8
//! parameters, which are made of Lua's arguments ([`FromValue`], [`ObjectRef`], [`Rest`]); a method takes the object before these. It
//! returns what can be values of Lua's ([`IntoValues`]), or a [`Result`] of that; a nil before other values is [`Nil`], for `()` is no
//! value. An argument that does not fit is a Lua error that
//! says which and why: `bad argument #1 to 'hello.greet': wanted a string, found a number`. Arguments past the last
//! parameter are ignored, as Lua does it. A panic becomes a Lua error too.
//!
//! # Threads
//! Each function says where it may be called: `[lua-thread]`, the thread that runs the Lua state at that moment, inside
//! a call that Lua made; or `[any-thread]`; and `[blocks]` where it may sleep. An author's functions, methods, `close` and
//! `to_string` are called on the Lua thread. An object is dropped there when Lua collects it, and on whichever thread is in the
//! library last where that unregisters, or its state closes.
//!
//! Hold no lock over a call of a [`Library`]'s that `close`, or the destructor of an object or of a value on its way, takes as
//! well: these may be run by that very call. `hold` (and to drop one), `keep_alive` and `on_lua_thread` run nothing.
//!
//! # Bounds
//! Nobody can flood Lua: a library has [`Limits`], and a [`Policy`] for what happens at them. What is refused comes back in
//! the error.
//!
//! # What is open
//! A library says `keep_alive: false` where Lua's `run()` is not to go on for its sake alone, and has a [`Hold`] for each of its
//! things that is. What ends, a watcher for one, takes back what it has queued: [`Library::cancel_all`].
//!
//! # Publishing
//! A library must be built to unwind, which is the default; with `panic = "abort"` it does not compile. Rust 1.63 or
//! later builds it. Before DSS runs any of its code, it reads the [declaration] from its file, and refuses a library that
//! does not fit with a sentence that says what to upgrade.
//!
//! # Features
//! * `derive` (default): `#[derive(IntoValue, FromValue)]` makes structs with named fields tables of Lua's;
//!   `#[dss(rename = "...")]` and `#[dss(default)]` say more of a field.
//! * `testing`: a [`Library`] for the library's own unit tests, in the module `testing`.
//! * `serde`: `Serde<T>` is a parameter or a result of whatever serde knows; `to_value` and `from_value` are the same for values.

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
