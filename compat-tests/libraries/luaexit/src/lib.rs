//! `luaexit` delivers SIGTERM and SIGINT to Lua, so that a Lua program can end cleanly.
//!
//! ```lua
//! local darksidesync = require "darksidesync"
//! local luaexit = require "luaexit"
//!
//! luaexit.start(function(name, number)
//!     print("got " .. name .. ", good bye")
//!     luaexit.stop() -- from here on, a second Ctrl-C ends the process
//!     darksidesync.stop()
//! end)
//! darksidesync.run()
//! ```
//!
//! * `luaexit.start(callback)` returns 1. From then on, each of the two signals calls `callback` with its name
//!   (`"SIGTERM"`, `"SIGINT"`) and its number. A second call replaces the callback.
//! * `luaexit.stop()` returns 1, and restores the previous handlers of the signals.
//!
//! If they fail, both return nil and a message. Each Lua state that has started gets each signal, through its own
//! thread. The thread ends in `stop`, or when the state closes.

#[cfg(not(unix))]
compile_error!("luaexit needs Unix signals: exclude it from builds for other systems");

mod disposition;
mod listener;

use std::sync::{Arc, Mutex, PoisonError};

use dss_abi_v1::mlua_0_12::attach;
use dss_abi_v1::{Dss, Library, LibraryId};
use mlua::prelude::*;

use listener::Listener;

static LUAEXIT: LibraryId = LibraryId::new("luaexit");

/// The callback's name in the Lua registry. Each state has one. It is read when a signal is decoded, so a new callback
/// also gets the signals that are already queued.
const CALLBACK: &str = "luaexit callback";

/// What exists while a state has started.
struct Running {
    library: Library,
    listener: Listener,
}

/// The record of a state. The closing callback shares it, and does not use Lua.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Option<Running>>>);

impl Record {
    /// The record of this state. It is the same each time the module is loaded in the state.
    fn of(lua: &Lua) -> Record {
        let found = lua.app_data_ref::<Record>().map(|record| record.clone());
        found.unwrap_or_else(|| {
            let record = Record::default();
            lua.set_app_data(record.clone());
            record
        })
    }

    fn is_running(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Sets `next` and returns the previous value. Drop that without the lock, because dropping it joins a thread.
    fn replace(&self, next: Option<Running>) -> Option<Running> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), next)
    }
}

/// `luaexit.start(callback)`.
fn start(lua: &Lua, dss: Dss, record: &Record, callback: LuaValue) -> LuaResult<Result<i64, String>> {
    let LuaValue::Function(callback) = callback else {
        return Ok(Err(format!(
            "luaexit.start got a {}: give it the function to call with a signal's name and number",
            callback.type_name()
        )));
    };
    if record.is_running() {
        lua.set_named_registry_value(CALLBACK, callback)?;
        return Ok(Ok(1));
    }
    let at_close = record.clone();
    let library = match dss.register_in(lua, &LUAEXIT, move || drop(at_close.replace(None))) {
        Ok(library) => library,
        Err(error) => return Ok(Err(format!("luaexit could not start: {error}"))),
    };
    lua.set_named_registry_value(CALLBACK, callback)?;
    let deliver = move |name: &'static str, number| {
        // If this is refused, the state is closing, and there is nobody to tell.
        let _ = library
            .deliver_lua(move |lua| Ok((lua.named_registry_value::<LuaFunction>(CALLBACK)?, name, number)));
    };
    match Listener::start(deliver) {
        Ok(listener) => drop(record.replace(Some(Running { library, listener }))),
        Err(error) => {
            let _ = library.unregister();
            lua.unset_named_registry_value(CALLBACK)?;
            return Ok(Err(format!(
                "luaexit could not take over SIGTERM and SIGINT ({error}): close some descriptors, or raise the limits"
            )));
        }
    }
    Ok(Ok(1))
}

/// `luaexit.stop()`.
fn stop(lua: &Lua, record: &Record) -> LuaResult<Result<i64, String>> {
    let Some(Running { library, listener }) = record.replace(None) else {
        return Ok(
            Err("luaexit is not started in this Lua state: call luaexit.start(callback) first".into()),
        );
    };
    drop(listener);
    // This discards signals that are queued but not decoded. They came before the stop, and count as handled.
    let _ = library.unregister();
    lua.unset_named_registry_value(CALLBACK)?;
    Ok(Ok(1))
}

/// The result of `require "luaexit"`.
#[mlua::lua_module]
fn luaexit(lua: &Lua) -> LuaResult<LuaTable> {
    let dss = attach(lua, &LUAEXIT)?;
    let record = Record::of(lua);
    let module = lua.create_table()?;
    let started = record.clone();
    module.set("start", lua.create_function(move |lua, callback| start(lua, dss, &started, callback))?)?;
    module.set("stop", lua.create_function(move |lua, ()| stop(lua, &record))?)?;
    module.set("_VERSION", concat!("luaexit ", env!("CARGO_PKG_VERSION")))?;
    Ok(module)
}
