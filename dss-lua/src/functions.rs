//! The module's table, and its functions that are neither on the hot path nor about libraries.
//!
//! Each function has the guard as its first upvalue, and raises an error once DSS has stopped. Functions that own values go
//! through [`answer`], and have `protected::protected` as their second upvalue.

use std::ffi::{CStr, c_int};
use std::sync::LazyLock;
use std::time::Instant;

use dss_impl::outcome::Failure;
use dss_impl::registry::REVISIONS;
use mlua::ffi;

use crate::answers;
use crate::closing;
use crate::dispatch;
use crate::entry::plain;
use crate::errors;
use crate::load;
use crate::notifications;
use crate::poll;
use crate::protected;
use crate::raw::{CFunction, Stack};
use crate::reply;
use crate::searcher;
use crate::sleep;
use crate::stats;

/// The functions that go through [`answer`], by name.
const ANSWERING: [(&CStr, CFunction); 8] = [
    (c"setport", notifications::set_port),
    (c"listen", notifications::listen),
    (c"notify", notifications::notify),
    (c"getfd", notifications::get_fd),
    (c"libraries", stats::libraries),
    (c"stats", stats::stats),
    (c"metrics", stats::metrics),
    (c"load", load::load),
];

/// The functions that own nothing.
const PLAIN: [(&CStr, CFunction); 11] = [
    (c"now", now),
    (c"reporterror", report_error),
    (c"alive", alive),
    (c"queuesize", queue_size),
    (c"getport", notifications::get_port),
    (c"seterrorhandler", set_error_handler),
    (c"setrequesthandler", set_request_handler),
    (c"stop", stop),
    (c"pending", pending),
    (c"revisions", revisions),
    (c"searcher", searcher::install),
];

/// Pushes a new table of the module. `guard` is the index of the guard, an upvalue of its functions. Raises.
pub(crate) fn push_module(stack: Stack, guard: c_int) {
    reply::prepare(stack);
    answers::prepare(stack, guard);
    closing::prepare(stack);
    stack.new_table(0);
    let table = stack.top();
    let add = |name, function: CFunction, upvalues: fn(Stack)| {
        stack.push_value(guard);
        let before = stack.top();
        upvalues(stack);
        stack.push_function(function, stack.top() - before + 1);
        stack.set_field(table, name);
    };
    add(c"poll", poll::poll, poll::push_upvalues);
    add(c"dispatch", dispatch::dispatch, dispatch::push_upvalues);
    add(c"wait", sleep::wait, sleep::push_upvalues);
    add(c"run", sleep::run, sleep::push_upvalues);
    add(c"defer", answers::defer, |_| {});
    add(c"outside", answers::outside, |_| {});
    for (name, function) in ANSWERING {
        add(name, function, |stack| stack.push_function(protected::protected, 0));
    }
    for (name, function) in PLAIN {
        add(name, function, |_| {});
    }
    stack.push_bytes(b"DarkSideSync ");
    stack.push_bytes(dss_impl::VERSION.as_bytes());
    stack.concat(2);
    stack.set_field(table, c"_VERSION");
}

/// The global `darksidesync`. In these Luas 1.0 set it, by `luaL_register`.
#[cfg(any(feature = "lua51", feature = "luajit"))]
mod global {
    use mlua::ffi::{LUA_GLOBALSINDEX, LUA_TNIL};

    use crate::raw::Stack;

    const NAME: &[u8] = b"darksidesync";

    /// Makes the table at `module` a global, without metamethods, unless the program has something there. Returns whether it did.
    /// Raises.
    pub(crate) fn set_global(stack: Stack, module: std::ffi::c_int) -> bool {
        stack.push_bytes(NAME);
        stack.push_value(-1);
        stack.raw_get(LUA_GLOBALSINDEX);
        let free = stack.type_at(-1) == LUA_TNIL;
        stack.pop(1);
        if free {
            stack.push_value(module);
            stack.raw_set(LUA_GLOBALSINDEX);
        } else {
            stack.pop(1);
        }
        free
    }

    /// Undoes [`set_global`].
    pub(crate) fn unset_global(stack: Stack) {
        stack.push_bytes(NAME);
        stack.push_nil();
        stack.raw_set(LUA_GLOBALSINDEX);
    }
}

/// Modules of later Luas set no globals, and 1.0 set none there.
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
mod global {
    use crate::raw::Stack;

    pub(crate) fn set_global(_stack: Stack, _module: std::ffi::c_int) -> bool {
        false
    }

    pub(crate) fn unset_global(_stack: Stack) {}
}

pub(crate) use global::{set_global, unset_global};

/// `queuesize()`
unsafe extern "C-unwind" fn queue_size(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, guard| stack.push_integer(guard.state().dispatcher.queue_size()))
}

/// `pending()`
unsafe extern "C-unwind" fn pending(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, guard| {
        let dispatcher = guard.state().dispatcher;
        // SAFETY: Lua called this function.
        stack.push_integer(unsafe { dispatcher.within_lua(|| dispatcher.pending()) });
    })
}

/// `now()`
unsafe extern "C-unwind" fn now(lua: *mut ffi::lua_State) -> c_int {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    plain(lua, |stack, _| stack.push_number(START.elapsed().as_secs_f64()))
}

/// `reporterror(err)`
unsafe extern "C-unwind" fn report_error(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, _| {
        stack.set_top(1);
        errors::report(stack);
        stack.push_boolean(true);
    })
}

/// `alive()`
unsafe extern "C-unwind" fn alive(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, guard| {
        let dispatcher = guard.state().dispatcher;
        // SAFETY: Lua called this function.
        stack.push_boolean(unsafe { dispatcher.within_lua(|| dispatcher.is_alive()) });
    })
}

/// `stop()`
unsafe extern "C-unwind" fn stop(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, guard| {
        guard.stop.set(true);
        stack.push_boolean(true);
    })
}

/// `seterrorhandler(handler)`
unsafe extern "C-unwind" fn set_error_handler(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, _| {
        stack.set_top(1);
        set_handler(stack, "seterrorhandler", &errors::HANDLER);
        stack.push_boolean(true);
    })
}

/// `setrequesthandler(handler)` → the previous handler, if there was one
unsafe extern "C-unwind" fn set_request_handler(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, guard| {
        stack.set_top(1);
        stack.push_own(&answers::HANDLER);
        stack.insert(1);
        let is_set = set_handler(stack, "setrequesthandler", &answers::HANDLER);
        if !guard.handles_requests.replace(is_set) {
            stack.push_nil();
        }
    })
}

/// Pops the value on top and keeps it under a key of the registry. Returns whether it is a function, and not nil. Raises.
fn set_handler(stack: Stack, name: &str, key: &'static u8) -> bool {
    if !matches!(stack.type_at(-1), ffi::LUA_TNIL | ffi::LUA_TFUNCTION) {
        let sentence = no_handler(stack, name);
        stack.raise(sentence.as_bytes());
    }
    let is_set = stack.type_at(-1) == ffi::LUA_TFUNCTION;
    stack.set_own(key);
    is_set
}

fn no_handler(stack: Stack, name: &str) -> Failure {
    Failure::from(
        format!(
            "bad argument #1 to '{name}': wanted a function, or nil for the default; found {}",
            stack.described(-1)
        )
        .as_str(),
    )
}

/// `revisions()`
unsafe extern "C-unwind" fn revisions(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, _| {
        stack.set_top(0);
        stack.new_table(0);
        for (at, revision) in (1..).zip(REVISIONS) {
            stack.new_table(0);
            stack.push_integer(revision.number as usize);
            stack.set_field(2, c"revision");
            stack.push_bytes(revision.name.as_bytes());
            stack.set_field(2, c"name");
            stack.push_bytes(revision.version.as_bytes());
            stack.set_field(2, c"version");
            stack.push_bytes(revision.status.name().as_bytes());
            stack.set_field(2, c"status");
            stack.raw_set_at(1, at);
        }
    })
}
