//! The guard: the userdata in the registry by which a Lua state has DSS, and whose finalizer ends that.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use dss_impl::adapter::c1v0;
use dss_impl::image;
use dss_impl::rendezvous::rendezvous;
use dss_impl::states::{self, LuaSide, StateRef};
use mlua::ffi;
use mlua::prelude::*;

use crate::answers::Frame;
use crate::errors;
use crate::hosted;
use crate::idle::Idle;
use crate::load;
use crate::raw::{Stack, protect};
use crate::values::Values;

/// The registry key of the guard: its address, which is this image's own.
static GUARD: u8 = 0;

const TABLE: &CStr = c"DSS.DarkSideSync";

/// What the guard holds.
pub(crate) struct Guard {
    pub(crate) state: StateRef,
    /// `stop()` was called in the `run` that is running. Used on the Lua thread alone.
    pub(crate) stop: Cell<bool>,
    /// The port that `setport` set; here, for the state may have several tables of functions.
    pub(crate) port: Cell<u16>,
    /// The callback of a request that is running, innermost; NULL while none is. It lies in a frame below what runs.
    pub(crate) answering: Cell<*mut Frame>,
    /// How long nothing has come to `wait` and `run`.
    pub(crate) idle: Cell<Idle>,
}

/// The state that is served in `lua`: the one that is there already, or a new one.
pub(crate) fn require(lua: &Lua) -> LuaResult<StateRef> {
    // Where the linker has no word for it, as it has on ELF.
    image::pin(crate::luaopen_darksidesync as *const () as usize);
    load::prepare();
    states::set_lua(LuaSide { name: hosted::BUILT_FOR, find, values: &Values });
    let table: LuaValue = lua.named_registry_value("DSS.DarkSideSync")?;
    let mut found = None;
    protect::<()>(lua, (), |stack| found = look_up(stack))?;
    if let Some(state) = found.filter(|state| state.get().is_some()) {
        return Ok(state);
    }
    if let LuaValue::Table(table) = table {
        let version: LuaResult<String> = table.get("Version");
        return Err(LuaError::runtime(format!(
            "this Lua state is served by another DSS already (version {}): require one of the two alone",
            version.unwrap_or_else(|_| "unknown".to_owned())
        )));
    }
    let state = states::open().ok_or_else(|| {
        LuaError::runtime("this process serves as many Lua states as DSS can tell apart: close one first")
    })?;
    protect::<()>(lua, (), |stack| publish(stack, state)).inspect_err(|_| {
        // SAFETY: on the Lua thread of the state that was just opened.
        unsafe { state.close() };
    })?;
    Ok(state)
}

/// Pushes the guard, or nil.
pub(crate) fn push_guard(stack: Stack) {
    stack.push_own(&GUARD);
}

/// Runs `work` on the guard of a state that is served.
pub(crate) fn with<R>(lua: &Lua, work: impl FnOnce(&Guard) -> R) -> LuaResult<R> {
    let mut guard = std::ptr::null::<Guard>();
    protect::<()>(lua, (), |stack| {
        push_guard(stack);
        guard = stack.pointer_at(-1);
        stack.pop(1);
    })?;
    // SAFETY: the registry keeps what `publish` put there, and the state is served.
    Ok(work(unsafe { &*guard }))
}

/// Makes the guard and the table that libraries look for. Raises.
fn publish(stack: Stack, state: StateRef) {
    stack.new_userdata(Guard {
        state,
        stop: Cell::new(false),
        port: Cell::new(0),
        answering: Cell::new(std::ptr::null_mut()),
        idle: Cell::new(Idle::default()),
    });
    let guard = stack.top();
    stack.new_table(0);
    stack.push_function(collected, 0);
    stack.set_field(-2, c"__gc");
    stack.push_bytes(b"DarkSideSync guard");
    stack.set_field(-2, c"__name");
    // A program that reaches the guard through `debug` cannot put the finalizer out.
    stack.push_boolean(false);
    stack.set_field(-2, c"__metatable");
    stack.set_metatable(guard);
    stack.set_own(&GUARD);

    stack.new_table(0);
    stack.push_bytes(dss_impl::VERSION.as_bytes());
    stack.set_field(-2, c"Version");
    stack.push_pointer(std::ptr::from_ref(&c1v0::API).cast_mut());
    stack.set_field(-2, c"DSS API 1v0");
    stack.push_pointer(std::ptr::from_ref(rendezvous()).cast_mut());
    stack.set_field(-2, c"DSS Rendezvous");
    stack.set_field(ffi::LUA_REGISTRYINDEX, TABLE);
}

/// The guard's finalizer: DSS stops in this state.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let guard: *mut Guard = stack.pointer_at(1);
    // SAFETY: Lua finalizes what `publish` made.
    let state = unsafe { (*guard).state };
    stop(stack, state);
    0
}

/// DSS stops in this state, where it did not before. In a finalizer.
pub(crate) fn stop(stack: Stack, state: StateRef) {
    // Not so for one whose `require` failed half-way: what is published then is a later one's.
    let served = state.get().is_some();
    // SAFETY: in a finalizer of that state.
    unsafe { state.close() };
    if served {
        stack.push_nil();
        stack.set_field(ffi::LUA_REGISTRYINDEX, TABLE);
    }
}

/// The state record of `lua`: [`LuaSide::find`].
///
/// # Safety
/// A live state of this Lua that runs on this thread.
unsafe fn find(lua: *mut c_void) -> Option<StateRef> {
    // SAFETY: as the caller promises.
    look_up(unsafe { Stack::new(lua.cast()) })
}

/// The state that is served in this Lua state, if one is or was.
pub(crate) fn look_up(stack: Stack) -> Option<StateRef> {
    if !stack.reserve(2) {
        return None;
    }
    push_guard(stack);
    let guard: *mut Guard = stack.pointer_at(-1);
    stack.pop(1);
    // SAFETY: what lies under that key was put there by `publish`, and the registry keeps it.
    (!guard.is_null()).then(|| unsafe { (*guard).state })
}

/// The guard in the first upvalue of the running function, if DSS still serves its state.
///
/// # Errors
/// The sentence for a state in which DSS has stopped.
#[inline]
pub(crate) fn served(stack: Stack) -> Result<&'static Guard, &'static str> {
    let guard: *const Guard = stack.pointer_at(Stack::upvalue(1));
    // SAFETY: this module's functions have the guard as their first upvalue, which keeps its memory; its finalizer
    // leaves the bytes as they are.
    let guard = unsafe { &*guard };
    if guard.state.get().is_none() {
        let forked = guard.state.is_of_another_process();
        return Err(if forked { errors::FORKED } else { errors::STOPPED });
    }
    Ok(guard)
}
