//! The table of dispatchers of this process, and how a Lua state finds its own.
//!
//! Dispatchers are made when first needed, and are never freed. A look-up is two loads and takes no lock; claiming one is a
//! compare-and-swap. So states share no lock, and a handle, whatever its bits, names memory that is there or nothing.

use std::ffi::c_void;
use std::sync::OnceLock;

use crate::callbacks::{CallbackId, Reference};
use crate::chunks::Chunks;
use crate::dispatcher::Dispatcher;
use crate::fork;
use crate::handle::{Handle, MAX_DISPATCHERS};
use crate::value::LuaValues;

static TABLE: Chunks<Dispatcher> = Chunks::new();

/// The dispatcher at `index` of the table, if there has been one since this process was forked. [any-thread]
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

/// One Lua state, as its userdata in Lua holds it: plain data, valid for ever, served or not.
#[derive(Clone, Copy)]
pub struct StateRef {
    /// Who serves it.
    pub dispatcher: &'static Dispatcher,
    /// Which of the states it serves in its life.
    pub epoch: u64,
}

impl StateRef {
    /// The dispatcher, if it still serves this state. [any-thread]
    #[inline]
    #[must_use]
    pub fn get(self) -> Option<&'static Dispatcher> {
        self.dispatcher.serves(self.epoch).then_some(self.dispatcher)
    }

    /// Whether this process was forked after the state was opened: it is served in the parent alone. [any-thread]
    #[must_use]
    pub fn is_of_another_process(self) -> bool {
        self.dispatcher.is_of_another_process()
    }

    /// As what the state is served in this process, if it was opened in the one that this was forked from, and no library was opened in it
    /// there, nor anything else begun. A host may load its modules before it forks its workers. [lua-thread]
    #[must_use]
    pub fn renewed(self) -> Option<StateRef> {
        if self.dispatcher.left_unused(self.epoch) { open().ok() } else { None }
    }

    /// Ends the service. [lua-thread]
    ///
    /// # Safety
    /// On the Lua thread of that state.
    pub unsafe fn close(self) {
        // SAFETY: as the caller promises.
        unsafe { self.dispatcher.close(self.epoch) };
    }
}

/// Why a Lua state is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// This process serves as many as can be told apart.
    TooMany,
    /// The system has no memory for what is kept of it.
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

/// What the core must be able to ask of Lua; given once by the module.
#[derive(Clone, Copy)]
pub struct LuaSide {
    /// The Lua that the module is built for, as its `_VERSION` says it, or `LuaJIT`.
    pub name: &'static str,
    /// The state record that `require` left in a Lua state, if it did. [lua-thread] Raises nothing.
    ///
    /// # Safety
    /// The pointer is a live `lua_State` of that Lua that runs on this thread.
    pub find: unsafe fn(*mut c_void) -> Option<StateRef>,
    /// How values are pushed.
    pub values: &'static dyn LuaValues,
}

static LUA: OnceLock<LuaSide> = OnceLock::new();

/// Says how to reach Lua. The first call counts.
pub fn set_lua(side: LuaSide) {
    LUA.get_or_init(|| side);
}

/// How values are pushed in the module's Lua; none before [`set_lua`].
pub(crate) fn lua_values() -> Option<&'static dyn LuaValues> {
    LUA.get().map(|side| side.values)
}

/// The name of the Lua that the module is built for.
#[must_use]
pub fn lua_name() -> &'static str {
    LUA.get().map_or("Lua", |side| side.name)
}

/// The state record of a `lua_State`; none where DSS was not required in it, or where `lua` is NULL. [lua-thread]
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

/// Another reference to a callback, whichever state's; none if it is dead, or never was. [any-thread]
#[must_use]
pub fn retain_callback(id: CallbackId) -> Option<Reference> {
    dispatcher_at(id.dispatcher)?.retain(id)
}

/// Gives a reference to a callback back, whichever state's. [any-thread]
#[inline]
pub fn release_callback(id: CallbackId) {
    if let Some(dispatcher) = dispatcher_at(id.dispatcher) {
        dispatcher.release_callback(id);
    }
}
