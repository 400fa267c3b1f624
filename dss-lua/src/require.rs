//! `require`: how DSS begins to serve a Lua state.

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

/// Serves the Lua state that required the module, and returns the module's table: the existing one, or a new one. The first argument
/// is the module's name. *Raises*.
pub(crate) fn require(stack: Stack) -> c_int {
    // The linker does this on ELF. Other systems need it here.
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

/// Lua 5.1 sets a mark in `package.loaded` while it requires a module. If that fails, the mark stays, and Lua would refuse the next
/// `require`. So this removes the mark. The strings that it uses exist already, so it needs no memory.
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
        // The mark is a light userdata in 5.1, and a number in LuaJIT. `require` would have returned anything else.
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

/// A state that DSS begins to serve.
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
            other = Some(stack.text_at(-1).unwrap_or_default());
        }
        0
    })?;
    if there > 0 {
        return Ok(there);
    }
    if let Some(version) = other {
        return Err(format!(
            "another DSS already serves this Lua state (version {}): require only one of them",
            version.as_deref().unwrap_or("unknown")
        )
        .into());
    }
    let state = states::open().map_err(|error| match error {
        OpenError::TooMany => {
            format!("too many Lua states use DSS in this process (limit {MAX_DISPATCHERS}): close one first")
        }
        OpenError::OutOfMemory => {
            "the system has too little memory for what DSS stores for a Lua state: free some, and require DSS again"
                .into()
        }
    })?;
    let mut opening = Opening { state, published: false, global: false };
    let published = lua.run(|stack| publish(stack, &mut opening));
    if !opening.published {
        // SAFETY: on the Lua thread of the state that was just opened.
        unsafe { state.close() };
        if opening.global {
            // This needs no memory, and the error on top is the one to raise.
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

/// Whether DSS serves this Lua state.
fn is_served(stack: Stack) -> bool {
    look_up(stack).is_some_and(|state| state.get().is_some())
}

/// Pushes the module's table. Raises.
fn push_module(stack: Stack) -> c_int {
    stack.push_own(&MODULE);
    functions::set_global(stack, stack.top());
    1
}

/// Makes the guard, the module's table and the table that libraries look for, and publishes them when all are done. Raises; then
/// nothing is published except the global, if `opening` says so.
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
    // A program that reaches the guard through `debug` cannot disable the finalizer.
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

    // Making these may have run finalizers, and these may have called this function.
    if is_served(stack) {
        push_guard(stack);
        // The metatable that was made last has the other guard, so it is made again.
        answers::prepare(stack, stack.top());
        return push_module(stack);
    }
    stack.push_value(module);
    stack.set_own(&MODULE);
    callbacks::prepare(stack, slots);
    // The last step must need no memory, so its key is made here.
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

/// The guard's finalizer: stops DSS in this state.
unsafe extern "C-unwind" fn collected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
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
