//! `fswatch` delivers changes of files and folders to Lua as they happen.
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
//! * `fswatch.watch(path, callback [, options])` returns a watch, or nil and a message. For each change it calls `callback` with
//!   its kind, its absolute path, and the watched path as it was given. It watches a folder with everything
//!   in it, or with `{recursive = false}` only the folder's own entries. Keep the watch: it is closed when it is collected.
//!   A watch that its own callback refers to is not collected.
//! * `watch:close()` ends the watch. Its callback is not called again, not even for earlier changes. A second call does nothing.
//! * `fswatch.stop()` closes all watches of this Lua state.
//!
//! The kinds are `"create"`, `"modify"` (the contents or the attributes), `"remove"`, `"rename"` (once with the old path
//! and once with the new) and `"other"`: something was lost, look again. Reading is not reported, so a callback may read.
//! Systems report in different detail: one write may cause two `"modify"`.

mod watch;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dss_abi_v1::mlua_0_12::attach;
use dss_abi_v1::{Dss, Library, LibraryId};
use mlua::prelude::*;

use watch::{Handle, Watch};

static FSWATCH: LibraryId = LibraryId::new("fswatch");

/// What is open in one state.
#[derive(Default)]
struct Open {
    library: Option<Library>,
    watches: Vec<Weak<Watch>>,
}

/// The record of a state. The closing callback shares it, and does not use Lua.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Open>>);

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

    /// Not to be held while Lua runs, because a step of the collector may call this again.
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library as registered in this state. Registers it for the first watch.
    fn library(&self, lua: &Lua, dss: Dss) -> LuaResult<Library> {
        if let Some(library) = self.open().library {
            return Ok(library);
        }
        let at_close = self.clone();
        let closing = move || {
            // DSS unregisters the library itself after this.
            let _ = at_close.close();
        };
        let library = dss.register_in(lua, &FSWATCH, closing)?;
        self.open().library = Some(library);
        Ok(library)
    }

    /// Closes all watches. Returns the registration, if there is one.
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

/// The result of `require "fswatch"`.
#[mlua::lua_module]
fn fswatch(lua: &Lua) -> LuaResult<LuaTable> {
    let dss = attach(lua, &FSWATCH)?;
    let record = Record::of(lua);
    let module = lua.create_table()?;
    let watched = record.clone();
    module.set("watch", lua.create_function(move |lua, given| watch(lua, dss, &watched, given))?)?;
    let stop = move |_: &Lua, ()| {
        if let Some(library) = record.close() {
            // This fails if the state is closing. The library is then unregistered anyway.
            let _ = library.unregister();
        }
        Ok(())
    };
    module.set("stop", lua.create_function(stop)?)?;
    module.set("_VERSION", concat!("fswatch ", env!("CARGO_PKG_VERSION")))?;
    Ok(module)
}
