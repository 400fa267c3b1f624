//! The table of dispatchers of this process, and how a Lua state finds its own.
//!
//! Dispatchers are made when first needed, and are never freed. A look-up is two loads and takes no lock; claiming a dispatcher is a
//! compare-and-swap. So states share no lock, and any handle, whatever its bits, refers either to valid memory or to nothing.

use std::ffi::c_void;
use std::sync::OnceLock;

use crate::callbacks::{CallbackId, Reference};
use crate::chunks::Chunks;
use crate::dispatcher::Dispatcher;
use crate::fork;
use crate::handle::{Handle, MAX_DISPATCHERS};
use crate::value::LuaValues;

static TABLE: Chunks<Dispatcher> = Chunks::new();

/// The dispatcher at `index` of the table, if one has been made since this process was forked. [any-thread]
#[inline]
pub(crate) fn dispatcher_at(index: u32) -> Option<&'static Dispatcher> {
    TABLE.get(index).filter(|dispatcher| !dispatcher.is_of_another_process())
}

/// The dispatcher that `handle` names, whether or not the handle is still valid. [any-thread]
#[inline]
#[must_use]
pub fn dispatcher_of(handle: Handle) -> Option<&'static Dispatcher> {
    dispatcher_at(handle.dispatcher)
}

/// One Lua state, as its userdata in Lua holds it: plain data. It stays valid even when the state is no longer served.
#[derive(Clone, Copy)]
pub struct StateRef {
    /// The dispatcher that serves it.
    pub dispatcher: &'static Dispatcher,
    /// Which of the dispatcher's states it is.
    pub epoch: u64,
}

impl StateRef {
    /// The dispatcher, if it still serves this state. [any-thread]
    #[inline]
    #[must_use]
    pub fn get(self) -> Option<&'static Dispatcher> {
        self.dispatcher.serves(self.epoch).then_some(self.dispatcher)
    }

    /// Whether this process was forked after the state was opened. Then only the parent serves it. [any-thread]
    #[must_use]
    pub fn is_of_another_process(self) -> bool {
        self.dispatcher.is_of_another_process()
    }

    /// Opens the state again in this process, if it was opened in the process that this one was forked from, and was not used there: no
    /// library was opened, and nothing else was begun. A host may load its modules before it forks its workers. [lua-thread]
    #[must_use]
    pub fn renewed(self) -> Option<StateRef> {
        if self.dispatcher.left_unused(self.epoch) { open().ok() } else { None }
    }

    /// Ends the service. [lua-thread]
    ///
    /// # Safety
    /// Must be called on the Lua thread of that state.
    pub unsafe fn close(self) {
        // SAFETY: as the caller promises.
        unsafe { self.dispatcher.close(self.epoch) };
    }
}

/// Why a Lua state is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// This process already serves the most states ([`MAX_DISPATCHERS`]).
    TooMany,
    /// There is no memory for its record.
    OutOfMemory,
}

/// Begins to serve a new Lua state. [lua-thread]
///
/// # Errors
/// [`OpenError`]
pub fn open() -> Result<StateRef, OpenError> {
    fork::watch();
    for index in 0..MAX_DISPATCHERS {
        let dispatcher = TABLE.get_or_make(index, Dispatcher::new).ok_or(OpenError::OutOfMemory)?;
        if dispatcher.claim() {
            dispatcher.allow_pauses();
            let epoch = dispatcher.open();
            return Ok(StateRef { dispatcher, epoch });
        }
    }
    Err(OpenError::TooMany)
}

/// What the core needs from Lua. The module provides it once.
#[derive(Clone, Copy)]
pub struct LuaSide {
    /// The Lua that the module is built for: its `_VERSION`, or `LuaJIT`.
    pub name: &'static str,
    /// The state record that `require` left in a Lua state, if any. [lua-thread] Raises no error.
    ///
    /// # Safety
    /// The pointer is a live `lua_State` of that Lua, running on this thread.
    pub find: unsafe fn(*mut c_void) -> Option<StateRef>,
    /// Pushes values.
    pub values: &'static dyn LuaValues,
}

static LUA: OnceLock<LuaSide> = OnceLock::new();

/// Sets how to reach Lua. Only the first call has an effect.
pub fn set_lua(side: LuaSide) {
    LUA.get_or_init(|| side);
}

/// Pushes values in the module's Lua; None before [`set_lua`].
pub(crate) fn lua_values() -> Option<&'static dyn LuaValues> {
    LUA.get().map(|side| side.values)
}

/// The name of the Lua that the module is built for.
#[must_use]
pub fn lua_name() -> &'static str {
    LUA.get().map_or("Lua", |side| side.name)
}

/// The state record of a `lua_State`; None if DSS was not required in it, or if `lua` is NULL. [lua-thread]
///
/// # Safety
/// As [`LuaSide::find`], or NULL.
#[must_use]
pub unsafe fn find(lua: *mut c_void) -> Option<StateRef> {
    if lua.is_null() {
        return None;
    }
    let side = LUA.get()?;
    // SAFETY: as the caller promises.
    unsafe { (side.find)(lua) }
}

/// Another reference to a callback of any state; None if it no longer exists, or never did. [any-thread]
#[must_use]
pub fn retain_callback(id: CallbackId) -> Option<Reference> {
    dispatcher_at(id.dispatcher)?.retain(id)
}

/// Gives back a reference to a callback of any state. [any-thread]
#[inline]
pub fn release_callback(id: CallbackId) {
    if let Some(dispatcher) = dispatcher_at(id.dispatcher) {
        dispatcher.release_callback(id);
    }
}
