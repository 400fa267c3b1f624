//! One watch, and the userdata that Lua has of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dss_abi_v1::Library;
use mlua::prelude::*;
use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::kind;

/// One watch. Its watcher is there until it is closed, and runs a thread that does not end in the middle of a delivery:
/// what is delivered looks here again on the Lua thread.
pub(crate) struct Watch {
    library: Library,
    path: PathBuf,
    callback: LuaRegistryKey,
    watcher: Mutex<Option<RecommendedWatcher>>,
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
        let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        let opened = notify::recommended_watcher(move |event| {
            if let Some(watch) = told.upgrade() {
                Watch::tell(&watch, event);
            }
        })
        .and_then(|mut watcher| watcher.watch(&watch.path, mode).map(|()| watcher));
        match opened {
            Ok(watcher) => *watch.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher),
            Err(error) => return Err(watch.refusal(&error)),
        }
        Ok(watch)
    }

    /// Ends it. What its thread still delivers is dropped on the Lua thread. [any-thread] but its own
    pub(crate) fn close(&self) {
        // Without the lock: on some systems this waits for the watcher's thread.
        drop(self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn is_open(&self) -> bool {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Delivers an event, on the watcher's thread. Where it is refused the state is going, and nobody is left to tell.
    fn tell(watch: &Arc<Watch>, event: notify::Result<Event>) {
        match event {
            Ok(event) => kind::each(&event, &watch.path, |kind, path| {
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
            Err(error) => {
                // It has no callback: DSS hands it to the program's error handler.
                let sentence = watch.refusal(&error);
                let _ =
                    watch.library.deliver_lua(move |_| Err::<LuaMultiValue, _>(LuaError::runtime(sentence)));
            }
        }
    }

    /// What went wrong, and what to do about it.
    fn refusal(&self, error: &notify::Error) -> String {
        let path = self.path.display();
        match &error.kind {
            ErrorKind::PathNotFound => {
                format!("fswatch cannot watch {path}: there is no such file or folder; create it first")
            }
            ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
                format!("fswatch cannot watch {path}: there is no such file or folder; create it first")
            }
            ErrorKind::MaxFilesWatch => format!(
                "fswatch cannot watch all of {path}: the system watches as many files as it may; watch a smaller part, or \
                 raise the limit (on Linux, fs.inotify.max_user_watches)"
            ),
            _ => format!("fswatch cannot watch {path}: {error}"),
        }
    }
}

/// The userdata. Collected, it closes its watch.
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
