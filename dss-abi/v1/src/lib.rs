//! Write Lua modules with threads of their own that call Lua functions through DarkSideSync (DSS). This crate is
//! revision v1.
//!
//! A v1 library is a Lua module. It works with DSS in four steps:
//!
//! 1. It attaches to the DSS that is loaded in the process: [`Dss::attach`].
//! 2. It registers in a Lua state: [`Dss::register`].
//! 3. It delivers items from any thread: [`Library::deliver`]. A thread that needs an answer waits for it:
//!    [`Library::deliver_and_wait`].
//! 4. DSS calls [`Delivery::decode`] of each item on the Lua thread. It pushes a Lua function and its arguments, and
//!    Lua calls the function.
//!
//! # With mlua
//! With the feature `mlua-0_12`, deliveries are closures that use `mlua` 0.12. The module `mlua_0_12` contains a
//! whole library.
//!
//! # With another binding
//! Without the feature, deliveries use the raw `lua_State`, with any binding of Lua's C API:
//!
//! ```no_run
//! use dss_abi_v1::{Dss, LibraryId, LuaState};
//! use std::os::raw::c_void;
//!
//! static TICKER: LibraryId = LibraryId::new("ticker");
//!
//! extern "C" { // from the binding of your choice
//!     fn lua_rawgeti(lua: *mut c_void, index: i32, reference: i64) -> i32;
//!     fn lua_pushinteger(lua: *mut c_void, value: i64);
//! }
//!
//! const LUA_REGISTRYINDEX: i32 = -1_001_000;
//!
//! /// # Safety
//! /// `rendezvous` comes from the registry of the state `lua`. `callback` is the result of `luaL_ref` for a function.
//! unsafe fn start(
//!     rendezvous: *const c_void,
//!     lua: *mut c_void,
//!     callback: i64,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let dss = Dss::attach(rendezvous, &TICKER)?;
//!     let library = dss.register(lua, &TICKER, || println!("the state closes"))?;
//!     std::thread::spawn(move || {
//!         for tick in 0.. {
//!             let decode = move |lua: LuaState| unsafe {
//!                 lua_rawgeti(lua.as_ptr(), LUA_REGISTRYINDEX, callback);
//!                 lua_pushinteger(lua.as_ptr(), tick);
//!                 Ok(2) // the function, and one argument
//!             };
//!             if library.deliver(decode).is_err() {
//!                 break; // unregistered, or the state is closed
//!             }
//!             std::thread::sleep(std::time::Duration::from_secs(1));
//!         }
//!     });
//!     Ok(())
//! }
//! ```
//!
//! # Threads
//! Each function of this crate says where you may call it. `[lua-thread]` is the thread that runs the Lua state,
//! inside a call that Lua made. `[any-thread]` is any thread. `[blocks]` marks a function that may sleep.
//!
//! Lua does not say on which thread it runs. For DSS, the Lua thread is the thread that last entered DSS through Lua
//! in that state: by `require`, `poll`, `dispatch`, `wait` or `run`, by a reply function, or by registering or
//! finding a library.
//!
//! # Panics and Lua errors
//! A panic in your code is caught, and becomes the error of that delivery. Do not raise a Lua error through decode or
//! reply. Return `Err`, and DSS raises it. [`Delivery::decode`] says what can raise an error, and how to avoid it.
//! The feature `mlua-0_12` handles all of this.
//!
//! # Publishing
//! A library must be built with `panic = "unwind"`, which is the default. With `panic = "abort"` this crate does not
//! compile.

#![deny(unsafe_op_in_unsafe_fn)] // older compilers do not read it from the workspace

#[cfg(panic = "abort")]
compile_error!(
    "a DarkSideSync library must be built with panic = \"unwind\": a panic in it has to become an error of that \
     delivery, and not the end of the process that loaded it; remove `panic = \"abort\"` from the profile"
);

mod attach;
#[allow(unknown_lints, non_local_definitions)]
// what `sabi_trait` expands to, and what older compilers know of it
pub mod contract;
mod delivery;
mod error;
pub mod layout;
mod library;
#[cfg(feature = "mlua-0_12")]
pub mod mlua_0_12;
mod request;

#[doc(hidden)]
pub use attach::check_layouts;
pub use attach::{AttachError, Dss};
pub use delivery::{Delivery, LuaState, Refused};
pub use dss_abi::{REGISTRY_KEY, RENDEZVOUS_KEY};
pub use error::{Announced, DeliverError, Failure, RegisterError, UnregisterError};
pub use library::{Library, LibraryId};
pub use request::{Answer, Request};

/// The version of the revision's interface, as semver.
pub const VERSION: &str = "1.0.0";
/// The revision's number.
pub const REVISION: u32 = 1;
