//! What Lua is told of an event.

use std::path::Path;

use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind};

/// The kind of an event in Lua's words; none where Lua is not told.
fn kind(event: &Event) -> Option<&'static str> {
    match event.kind {
        // A callback that reads the file that it is told of would be told of that, without end.
        EventKind::Access(_) => None,
        EventKind::Create(_) => Some("create"),
        // Where the system can pair both halves it does so in a third event, after one for each.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Modify(ModifyKind::Name(_)) => Some("rename"),
        EventKind::Modify(_) => Some("modify"),
        EventKind::Remove(_) => Some("remove"),
        EventKind::Any | EventKind::Other => Some("other"),
    }
}

/// Calls `tell` for each path of an event, with the kind; for the whole of what is watched where it names no path.
pub(crate) fn each(event: &Event, watched: &Path, mut tell: impl FnMut(&'static str, &Path)) {
    let Some(kind) = kind(event) else { return };
    if event.paths.is_empty() {
        tell(kind, watched);
    }
    event.paths.iter().for_each(|path| tell(kind, path));
}
