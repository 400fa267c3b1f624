//! `fswatch`: what happens to files and folders, delivered to Lua as it happens.
//!
//! ```lua
//! local darksidesync = require "darksidesync"
//! local fswatch = require "fswatch"
//!
//! local watch = assert(fswatch.watch("src", function(kind, path, watched)
//!     print(kind, path)
//! end))
//! darksidesync.run()
//! ```
//!
//! * `fswatch.watch(path, callback [, options])` gives a watch, or nil and a message. It calls `callback` with a kind, the
//!   absolute path that it happened to, and the path that is watched, as it was given. It watches a folder with all that
//!   is in it, or with `{recursive = false}` its own entries alone. Keep the watch: one that is collected is closed. One
//!   that its own callback refers to is not collected.
//! * `watch:close()` ends it; nothing of it is called any more, even if it happened before. Once more, it does nothing.
//! * `fswatch.stop()` closes all watches of this Lua state.
//!
//! The kinds are `"create"`, `"modify"` (the contents or the attributes), `"remove"`, `"rename"` (once with the old path
//! and once with the new) and `"other"`: something was lost, look again. Reading is not reported, so that a callback may.
//! How finely the system reports differs; one write may well be two `"modify"`.

mod kind;
mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dss_abi_v1::mlua_0_12::attach;
use dss_abi_v1::{Dss, Library, LibraryId};
use mlua::prelude::*;

use watch::{Handle, Watch};

static FSWATCH: LibraryId = LibraryId::new("fswatch");

/// What one state has open.
#[derive(Default)]
struct Open {
    library: Option<Library>,
    watches: Vec<Weak<Watch>>,
}

/// One state's record. The closing callback shares it, and knows no Lua.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Open>>);

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

    /// Never held while Lua runs: a collector's step in there may come back here.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library as it is registered in this state; registers it for the first watch.
    fn library(&self, lua: &Lua, dss: Dss) -> LuaResult<Library> {
        if let Some(library) = self.open().library {
            return Ok(library);
        }
        let at_close = self.clone();
        let closing = move || {
            // DSS unregisters it itself, after this.
            let _ = at_close.close();
        };
        let library = dss.register_in(lua, &FSWATCH, closing)?;
        self.open().library = Some(library);
        Ok(library)
    }

    /// Closes all watches; gives the registration, if there is one.
    fn close(&self) -> Option<Library> {
        let Open { library, watches } = std::mem::take(&mut *self.open());
        watches.iter().filter_map(Weak::upgrade).for_each(|watch| watch.close());
        library
    }
}

/// `fswatch.watch(path, callback [, options])`.
fn watch(
    lua: &Lua,
    dss: Dss,
    record: &Record,
    (path, callback, options): (PathBuf, LuaFunction, Option<LuaTable>),
) -> LuaResult<Result<Handle, String>> {
    let recursive = match options {
        Some(options) => options.get::<Option<bool>>("recursive")?.unwrap_or(true),
        None => true,
    };
    let library = match record.library(lua, dss) {
        Ok(library) => library,
        Err(error) => return Ok(Err(format!("fswatch cannot watch {path:?}: {error}"))),
    };
    let callback = lua.create_registry_value(callback)?;
    match Watch::open(library, path, recursive, callback) {
        Ok(watch) => {
            let mut open = record.open();
            open.watches.retain(|watch| watch.strong_count() > 0);
            open.watches.push(Arc::downgrade(&watch));
            Ok(Ok(Handle(watch)))
        }
        Err(sentence) => Ok(Err(sentence)),
    }
}

/// What `require "fswatch"` gives.
#[mlua::lua_module]
fn fswatch(lua: &Lua) -> LuaResult<LuaTable> {
    let dss = attach(lua, &FSWATCH)?;
    let record = Record::of(lua);
    let module = lua.create_table()?;
    let watched = record.clone();
    module.set("watch", lua.create_function(move |lua, given| watch(lua, dss, &watched, given))?)?;
    let stop = move |_: &Lua, ()| {
        if let Some(library) = record.close() {
            // Gone already where the state is closing: what `stop` is to reach.
            let _ = library.unregister();
        }
        Ok(())
    };
    module.set("stop", lua.create_function(stop)?)?;
    module.set("_VERSION", concat!("fswatch ", env!("CARGO_PKG_VERSION")))?;
    Ok(module)
}
