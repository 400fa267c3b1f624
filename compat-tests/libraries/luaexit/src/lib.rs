//! `luaexit`: SIGTERM and SIGINT, delivered to Lua, so that a Lua program can end in its own time.
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
//! * `luaexit.start(callback)` gives 1, and from then on each of the two signals calls `callback` with its name
//!   (`"SIGTERM"`, `"SIGINT"`) and its number. Once more, it replaces the callback.
//! * `luaexit.stop()` gives 1, and gives the signals back to whom they belonged before.
//!
//! Both give nil and a message where they fail. Each Lua state that has started gets each signal, through one thread of
//! its own; it ends in `stop`, or when the state closes.

#[cfg(not(unix))]
compile_error!("luaexit delivers Unix signals: leave it out of a build for a system that has none");

mod disposition;
mod listener;

use std::sync::{Arc, Mutex, PoisonError};

use dss_abi_v1::mlua_0_12::attach;
use dss_abi_v1::{Dss, Library, LibraryId};
use mlua::prelude::*;

use listener::Listener;

static LUAEXIT: LibraryId = LibraryId::new("luaexit");

/// The callback's name in the Lua registry: one a state, and read when a signal is decoded, so that a new one replaces
/// the old for the signals that are queued already.
const CALLBACK: &str = "luaexit callback";

/// What runs while a state has started.
struct Running {
    library: Library,
    listener: Listener,
}

/// One state's record. The closing callback shares it, and knows no Lua.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Option<Running>>>);

impl Record {
    /// The record of this state, the same for each time that the module is loaded in it.
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

    /// Puts `next` in place. What was there comes back, to be ended without the lock: that joins a thread.
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
        // Where it is refused, the state is going, and nobody is left to tell.
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
    // Signals that are queued but not decoded go with it; they came before the stop, and count as handled.
    let _ = library.unregister();
    lua.unset_named_registry_value(CALLBACK)?;
    Ok(Ok(1))
}

/// What `require "luaexit"` gives.
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
