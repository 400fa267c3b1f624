//! A watch, and its userdata in Lua.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dss_abi_v1::Library;
use dss_watch_engine::{Event, Watcher, each};
use mlua::prelude::*;

/// A watch. Its watcher exists until the watch is closed, and runs a thread that may still be in the middle of a delivery at that moment.
/// So deliveries check again on the Lua thread.
pub(crate) struct Watch {
    library: Library,
    path: PathBuf,
    callback: LuaRegistryKey,
    watcher: Mutex<Option<Watcher>>,
}

impl Watch {
    /// Watches `path`, and delivers to `callback`.
    ///
    /// # Errors
    /// A sentence for Lua.
    pub(crate) fn open(
        library: Library,
        path: PathBuf,
        recursive: bool,
        callback: LuaRegistryKey,
    ) -> Result<Arc<Watch>, String> {
        let watch = Arc::new(Watch { library, path, callback, watcher: Mutex::new(None) });
        let told: Weak<Watch> = Arc::downgrade(&watch);
        let watcher = dss_watch_engine::watch(&watch.path, recursive, move |event| {
            if let Some(watch) = told.upgrade() {
                Watch::tell(&watch, event);
            }
        })?;
        *watch.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
        Ok(watch)
    }

    /// Closes the watch. What its thread still delivers is dropped on the Lua thread. [any-thread] except the watch's own
    pub(crate) fn close(&self) {
        // Drop it without the lock, because on some systems this waits for the watcher's thread.
        drop(self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_open(&self) -> bool {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Delivers an event, on the watcher's thread. If it is refused, the state is closing, and there is nobody to tell.
    fn tell(watch: &Arc<Watch>, event: Result<Event, String>) {
        match event {
            Ok(event) => each(&event, &watch.path, |kind, path| {
                let (watch, path) = (Arc::clone(watch), path.to_owned());
                let library = watch.library;
                let _ = library.deliver_lua(move |lua| {
                    if !watch.is_open() {
                        return Ok(LuaMultiValue::new());
                    }
                    let callback: LuaFunction = lua.registry_value(&watch.callback)?;
                    (callback, kind, path, watch.path.as_path()).into_lua_multi(lua)
                });
            }),
            Err(sentence) => {
                // It has no callback, so DSS passes it to the program's error handler.
                let _ =
                    watch.library.deliver_lua(move |_| Err::<LuaMultiValue, _>(LuaError::runtime(sentence)));
            }
        }
    }
}

/// The userdata. It closes its watch when it is collected.
pub(crate) struct Handle(pub(crate) Arc<Watch>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl LuaUserData for Handle {
    fn add_methods<M: LuaUserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("close", |_, handle, ()| {
            handle.0.close();
            Ok(())
        });
        #[cfg(any(feature = "lua54", feature = "lua55"))]
        methods.add_meta_method(LuaMetaMethod::Close, |_, handle, _: LuaMultiValue| {
            handle.0.close();
            Ok(())
        });
        methods.add_meta_method(LuaMetaMethod::ToString, |_, handle, ()| {
            let state = if handle.0.is_open() { "" } else { " (closed)" };
            Ok(format!("fswatch of {}{state}", handle.0.path.display()))
        });
    }
}
