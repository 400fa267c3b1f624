//! `require`: how a Lua state comes to be served.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use dss_impl::handle::MAX_DISPATCHERS;
use dss_impl::image;
use dss_impl::registry;
use dss_impl::states::{self, LuaSide, OpenError, StateRef};
use mlua::ffi;

use crate::answers;
use crate::callbacks;
use crate::functions;
use crate::guard::{GUARD, Guard, Idle, MODULE, TABLE, look_up, push_guard, stop};
use crate::hosted;
use crate::load;
use crate::protected::{self, Answer, Protected};
use crate::raw::Stack;
use crate::values::Values;

/// Serves the Lua state that required the module, whose name is the first argument, and leaves the module's table: the one that
/// is there already, or a new one. *Raises*.
pub(crate) fn require(stack: Stack) -> c_int {
    // Where the linker has no word for it, as it has on ELF.
    image::pin(crate::luaopen_darksidesync as *const () as usize);
    stack.set_top(1);
    let (answer, name) = match protected::push(stack) {
        Ok(()) => {
            stack.insert(1);
            (protected::attempt(stack, 2, serve), 3)
        }
        Err(error) => (Err(error), 1),
    };
    match answer {
        Ok(count) => count,
        Err(error) => {
            forget_attempt(stack, name);
            error.raise(stack)
        }
    }
}

/// Lua 5.1 has a mark in `package.loaded` while it requires a module, and leaves it there where that fails: it would refuse the
/// next `require`. What is named here is there, so this wants no memory.
#[cfg(any(feature = "lua51", feature = "luajit"))]
fn forget_attempt(stack: Stack, name: c_int) {
    if stack.type_at(name) != ffi::LUA_TSTRING {
        return;
    }
    let error = stack.top();
    stack.push_registered(crate::raw::LOADED);
    if stack.type_at(-1) == ffi::LUA_TTABLE {
        stack.push_value(name);
        stack.raw_get(error + 1);
        // A bare pointer in 5.1, and a number in LuaJIT. Were there anything else, `require` would have found it.
        if matches!(stack.type_at(-1), ffi::LUA_TLIGHTUSERDATA | ffi::LUA_TNUMBER) {
            stack.push_value(name);
            stack.push_nil();
            stack.raw_set(error + 1);
        }
    }
    stack.set_top(error);
}

/// Later Luas have no such mark.
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
fn forget_attempt(_stack: Stack, _name: c_int) {}

/// A state that is begun to be served.
struct Opening {
    state: StateRef,
    published: bool,
    /// The global was set.
    global: bool,
}

fn serve(lua: &Protected) -> Answer {
    load::prepare();
    states::set_lua(LuaSide { name: hosted::BUILT_FOR, find, values: &Values });
    let mut other = None;
    let there = lua.run(|stack| {
        if is_served(stack) {
            return push_module(stack);
        }
        stack.push_registered(TABLE);
        if stack.type_at(-1) == ffi::LUA_TTABLE {
            stack.push_bytes(b"Version");
            stack.raw_get(-2);
            other = Some(stack.text_at(-1));
        }
        0
    })?;
    if there > 0 {
        return Ok(there);
    }
    if let Some(version) = other {
        return Err(format!(
            "this Lua state is served by another DSS already (version {}): require one of the two alone",
            version.as_deref().unwrap_or("unknown")
        )
        .into());
    }
    let state = states::open().map_err(|error| match error {
        OpenError::TooMany => {
            format!("too many Lua states use DSS in this process (limit {MAX_DISPATCHERS}): close one first")
        }
        OpenError::OutOfMemory => {
            "the system has no memory for what DSS keeps of a Lua state: free some, and require DSS again"
                .into()
        }
    })?;
    let mut opening = Opening { state, published: false, global: false };
    let published = lua.run(|stack| publish(stack, &mut opening));
    if !opening.published {
        // SAFETY: on the Lua thread of the state that was just opened.
        unsafe { state.close() };
        if opening.global {
            // This wants no memory, and the error on top is the one to be told.
            let error = lua.stack.top();
            let _ = lua.run(|stack| {
                functions::unset_global(stack);
                0
            });
            lua.stack.set_top(error);
        }
    }
    published
}

/// Whether a state is served here.
fn is_served(stack: Stack) -> bool {
    look_up(stack).is_some_and(|state| state.get().is_some())
}

/// Pushes the module's table. Raises.
fn push_module(stack: Stack) -> c_int {
    stack.push_own(&MODULE);
    functions::set_global(stack, stack.top());
    1
}

/// Makes the guard, the module's table and the one that libraries look for, and lets them be found when all is done. Raises, and
/// then nothing can be found but the global, which `opening` says.
fn publish(stack: Stack, opening: &mut Opening) -> c_int {
    stack.new_userdata(Guard {
        state: Cell::new(opening.state),
        stop: Cell::new(false),
        port: Cell::new(0),
        answering: Cell::new(std::ptr::null_mut()),
        handles_requests: Cell::new(false),
        idle: Cell::new(Idle::default()),
    });
    let guard = stack.top();
    stack.new_table(0);
    stack.push_function(collected, 0);
    stack.set_field(-2, c"__gc");
    // A program that reaches the guard through `debug` cannot put the finalizer out.
    stack.seal_metatable(b"DarkSideSync guard");
    stack.set_metatable(guard);

    functions::push_module(stack, guard);
    let module = stack.top();

    stack.new_table(0);
    let table = stack.top();
    stack.push_bytes(dss_impl::VERSION.as_bytes());
    stack.set_field(table, c"Version");
    for (key, address) in registry::keys() {
        stack.push_bytes(key.as_bytes());
        stack.push_pointer(address.cast_mut());
        stack.raw_set(table);
    }

    stack.new_table(0);
    let slots = stack.top();

    // Making these may have run finalizers, and they this function.
    if is_served(stack) {
        push_guard(stack);
        // That of the module's which was made later has the other guard.
        answers::prepare(stack, stack.top());
        return push_module(stack);
    }
    stack.push_value(module);
    stack.set_own(&MODULE);
    callbacks::prepare(stack, slots);
    // The last step is to want no memory: the key is there then.
    stack.push_boolean(false);
    stack.set_own(&GUARD);
    opening.global = functions::set_global(stack, module);
    stack.push_value(table);
    stack.set_field(ffi::LUA_REGISTRYINDEX, TABLE);
    stack.push_value(guard);
    stack.set_own(&GUARD);
    opening.published = true;
    stack.set_top(module);
    1
}

/// The guard's finalizer: DSS stops in this state.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let guard: *mut Guard = stack.pointer_at(1);
    // SAFETY: Lua finalizes what `publish` made.
    let state = unsafe { (*guard).state() };
    stop(stack, state);
    0
}

/// The state record of `lua`: [`LuaSide::find`].
///
/// # Safety
/// A live state of this Lua that runs on this thread.
unsafe fn find(lua: *mut c_void) -> Option<StateRef> {
    // SAFETY: as the caller promises.
    look_up(unsafe { Stack::new(lua.cast()) })
}
