//! DarkSideSync's revision v1, for authors of background libraries.
//!
//! A library is a Lua module of its own. It *attaches* to the DSS that is loaded in the process, *registers* in a Lua
//! state, and from then on *delivers* from any thread. DSS calls each delivery back on the Lua thread, to *decode* it:
//! to push a Lua function and its arguments. Where a thread waits for an answer, it gets what Lua *replied*.
//!
//! With the feature `mlua-0_12`, which brings the module `mlua_0_12`, all of that works on the values of `mlua` 0.12.
//! Without it, decode and reply work on the raw `lua_State` with whatever binding of Lua's C API the library uses:
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
//! /// `rendezvous` is what lies in the registry, and `lua` the state that it was found in; `callback` is what `luaL_ref`
//! /// gave for a function.
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
//! Each function says where it may be called: `[lua-thread]`, the thread that runs the Lua state at that moment, inside
//! a call that Lua made; or `[any-thread]`; and `[blocks]` where it may sleep.
//!
//! No Lua says on which thread it runs. So where DSS itself must know, as before it lets a thread wait for Lua, it takes
//! the thread that last entered DSS through Lua in that state: by requiring it, `poll`, `dispatch`, `wait`, `run`, a reply
//! that Lua called, or registering or finding a library.
//!
//! # Panics and Lua errors
//! A panic in your code is caught, and becomes that delivery's error. A Lua error must not be raised through decode or
//! reply: return `Err` to have one raised. [`Delivery::decode`] says what can raise, and what to do with that. The feature
//! `mlua-0_12` does all of it.
//!
//! # Publishing
//! A library must be built to unwind, which is the default; with `panic = "abort"` this crate does not compile.

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
