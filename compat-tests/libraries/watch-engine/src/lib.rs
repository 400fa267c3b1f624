//! The watcher that the sample libraries `fswatch` of v1 and v2 share. It uses neither Lua nor DSS.

use std::path::Path;

use notify::event::{ModifyKind, RenameMode};
use notify::{ErrorKind, EventKind, RecursiveMode, Watcher as _};

pub use notify::{Event, RecommendedWatcher as Watcher};

/// Watches `path`. `tell` gets each event, or a sentence that says what went wrong, on the watcher's thread.
///
/// # Errors
/// The path cannot be watched: why, and what to do.
pub fn watch(
    path: &Path,
    recursive: bool,
    tell: impl Fn(Result<Event, String>) + Send + 'static,
) -> Result<Watcher, String> {
    let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    let watched = path.to_owned();
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        tell(event.map_err(|error| refusal(&watched, &error)));
    })
    .and_then(|mut watcher| watcher.watch(path, mode).map(|()| watcher))
    .map_err(|error| refusal(path, &error))
}

fn refusal(watched: &Path, error: &notify::Error) -> String {
    let path = watched.display();
    let none = || format!("fswatch cannot watch {path}: there is no such file or folder; create it first");
    match &error.kind {
        ErrorKind::PathNotFound => none(),
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::NotFound => none(),
        // What it is on Windows.
        ErrorKind::Generic(_) if !watched.exists() => none(),
        ErrorKind::MaxFilesWatch => format!(
            "fswatch cannot watch all of {path}: the system watches as many files as it may; watch a smaller part, or \
             raise the limit (on Linux, fs.inotify.max_user_watches)"
        ),
        _ => format!("fswatch cannot watch {path}: {error}"),
    }
}

/// The kind of an event, as Lua gets it. None if Lua does not get it.
fn kind(event: &Event) -> Option<&'static str> {
    match event.kind {
        // A callback that reads the file would otherwise cause the next event, without end.
        EventKind::Access(_) => None,
        EventKind::Create(_) => Some("create"),
        // If the system can pair the two halves, it sends this as a third event after them.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Modify(ModifyKind::Name(_)) => Some("rename"),
        EventKind::Modify(_) => Some("modify"),
        EventKind::Remove(_) => Some("remove"),
        EventKind::Any | EventKind::Other => Some("other"),
    }
}

/// Calls `tell` with the kind of an event and each of its paths. If it names no path, the path is `watched`.
pub fn each(event: &Event, watched: &Path, mut tell: impl FnMut(&'static str, &Path)) {
    let Some(kind) = kind(event) else { return };
    if event.paths.is_empty() {
        tell(kind, watched);
    }
    event.paths.iter().for_each(|path| tell(kind, path));
}
