//! The module's table.
//!
//! The functions written with `mlua` return a sentence where they fail, and nil before their results elsewhere, and [`answer`]
//! around them raises it, as a string and with the caller's place: what Lua programs expect of an error. It also sees to it
//! that none of them is entered once DSS has stopped: a finalizer may call them when `mlua`'s own state is gone.

use std::ffi::c_int;

use dss_abi::RevisionStatus;
use dss_impl::notifier::{Notifier, UdpNotifier};
use dss_impl::rendezvous::REVISIONS;
use dss_impl::states::StateRef;
use mlua::prelude::*;

use crate::answers;
use crate::closing;
use crate::dispatch;
use crate::errors::HANDLER;
use crate::guard::{self, Guard};
use crate::load;
use crate::poll;
use crate::raw::{CFunction, Stack, protect};
use crate::reply;
use crate::searcher;
use crate::sleep;
use crate::stats;

/// A function's results, or a sentence for Lua.
pub(crate) type Answer<T> = Result<T, String>;

/// Builds the table for the state that is served.
pub(crate) fn build(lua: &Lua, state: StateRef) -> LuaResult<LuaTable> {
    let module = lua.create_table()?;
    hot(lua, &module)?;
    let set = |name: &str, function: LuaFunction| module.set(name, function);
    set("queuesize", plain(lua, state, |_, state, _| Ok(state.dispatcher.queue_size()))?)?;
    set("getport", plain(lua, state, |lua, _, _| with(lua, |guard| guard.port.get()))?)?;
    set("setport", plain(lua, state, |lua, state, given| set_port(lua, state, &first(given)))?)?;
    set("seterrorhandler", plain(lua, state, |lua, _, given| set_error_handler(lua, first(given)))?)?;
    set("stop", plain(lua, state, |lua, _, _| stop(lua))?)?;
    set("libraries", plain(lua, state, |lua, state, _| stats::libraries(lua, state))?)?;
    set("stats", plain(lua, state, |lua, state, _| stats::stats(lua, state))?)?;
    set("metrics", plain(lua, state, |_, state, _| Ok(stats::metrics(state)))?)?;
    set("pending", plain(lua, state, |_, state, _| Ok(state.dispatcher.pending()))?)?;
    set("revisions", plain(lua, state, |lua, _, _| revisions(lua))?)?;
    set("load", plain(lua, state, |lua, state, given| load::load(lua, state, &given))?)?;
    set("searcher", plain(lua, state, |lua, state, _| searcher::install(lua, || searcher_of(lua, state)))?)?;
    Ok(module)
}

/// The functions on the hot path, on Lua's C API.
fn hot(lua: &Lua, module: &LuaTable) -> LuaResult<()> {
    protect(lua, module, |stack| {
        let table = stack.top();
        reply::prepare(stack);
        answers::prepare(stack);
        closing::prepare(stack);
        let add = |name, function: CFunction, upvalues: fn(Stack)| {
            guard::push_guard(stack);
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
        stack.set_top(0);
    })
}

/// Calls the function in its second upvalue while DSS serves the state, and raises what that says in place of a result.
unsafe extern "C-unwind" fn answer(lua: *mut mlua::ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    if let Err(sentence) = guard::served(stack) {
        return stack.raise(sentence.as_bytes());
    }
    stack.push_value(Stack::upvalue(2));
    stack.insert(1);
    stack.call(stack.top() - 1, mlua::ffi::LUA_MULTRET);
    if stack.type_at(1) == mlua::ffi::LUA_TSTRING {
        stack.set_top(1);
        return stack.raise_top_placed();
    }
    stack.remove(1);
    stack.top()
}

/// A function that answers while DSS serves the state.
fn plain<T: IntoLuaMulti>(
    lua: &Lua,
    state: StateRef,
    work: impl Fn(&Lua, StateRef, LuaMultiValue) -> Answer<T> + Send + 'static,
) -> LuaResult<LuaFunction> {
    let function = lua.create_function(move |lua, given: LuaMultiValue| match work(lua, state, given) {
        Ok(values) => {
            let mut values = values.into_lua_multi(lua)?;
            values.push_front(LuaValue::Nil);
            Ok(values)
        }
        Err(sentence) => sentence.into_lua_multi(lua),
    })?;
    let around = |stack: Stack| {
        guard::push_guard(stack);
        stack.insert(1);
        stack.push_function(answer, 2);
    };
    protect(lua, function, around)
}

fn first(given: LuaMultiValue) -> LuaValue {
    given.into_iter().next().unwrap_or(LuaValue::Nil)
}

/// The searcher, which makes loaders.
fn searcher_of(lua: &Lua, state: StateRef) -> LuaResult<LuaFunction> {
    plain(lua, state, |lua, state, given| {
        searcher::search(lua, &first(given), |file| {
            plain(lua, state, move |lua, state, _| searcher::load_file(lua, state, &file))
        })
    })
}

/// The integer that a Lua value is, a float with an integral value included. A text is none, whatever it reads like.
fn integer(value: &LuaValue) -> Option<i64> {
    match value {
        LuaValue::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Some(*number as i64),
        other => other.as_i64(),
    }
}

fn set_port(lua: &Lua, state: StateRef, given: &LuaValue) -> Answer<LuaInteger> {
    let port = integer(given).and_then(|port| u16::try_from(port).ok()).ok_or_else(|| {
        let found = match given {
            LuaValue::Integer(_) | LuaValue::Number(_) => given.to_string().unwrap_or_default(),
            other => format!("a {}", other.type_name()),
        };
        format!(
            "bad argument #1 to 'setport': wanted a UDP port, an integer from 1 to 65535, or 0 for no notification; \
             found {found}"
        )
    })?;
    let notifier: Option<Box<dyn Notifier>> = match port {
        0 => None,
        port => Some(Box::new(UdpNotifier::new(port).map_err(|error| {
            format!(
                "no socket could be opened for notifications to port {port} ({error}): close some descriptors, or raise \
                 their limit; the port is unchanged"
            )
        })?)),
    };
    // SAFETY: Lua called this function.
    unsafe { state.dispatcher.within_lua(|| state.dispatcher.set_notifier(notifier)) }
        .map_err(|error| error.to_string())?;
    with(lua, |guard| guard.port.set(port))?;
    Ok(1)
}

fn set_error_handler(lua: &Lua, given: LuaValue) -> Answer<bool> {
    if !matches!(given, LuaValue::Nil | LuaValue::Function(_)) {
        return Err(format!(
            "bad argument #1 to 'seterrorhandler': wanted a function, or nil for the default; found a {}",
            given.type_name()
        ));
    }
    protect::<()>(lua, given, |stack| stack.set_own(&HANDLER))
        .map(|()| true)
        .map_err(|error| error.to_string())
}

/// [`guard::with`], with an error that Lua can be told.
fn with<R>(lua: &Lua, work: impl FnOnce(&Guard) -> R) -> Answer<R> {
    guard::with(lua, work).map_err(|error| error.to_string())
}

fn stop(lua: &Lua) -> Answer<bool> {
    with(lua, |guard| guard.stop.set(true)).map(|()| true)
}

fn revisions(lua: &Lua) -> Answer<LuaTable> {
    let build = || -> LuaResult<LuaTable> {
        let list = lua.create_table()?;
        for revision in REVISIONS {
            let entry = lua.create_table()?;
            entry.set("revision", revision.number)?;
            entry.set("name", revision.name)?;
            entry.set("version", revision.version)?;
            let status = match revision.status {
                RevisionStatus::Supported => "supported",
                RevisionStatus::Deprecated => "deprecated",
                _ => "unknown",
            };
            entry.set("status", status)?;
            list.push(entry)?;
        }
        Ok(list)
    };
    build().map_err(|error| error.to_string())
}
