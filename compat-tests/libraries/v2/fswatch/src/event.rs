//! What Lua is told of an event.

use std::path::{Path, PathBuf};

use dss_abi_v2::IntoValue;
use notify::EventKind;
use notify::event::{ModifyKind, RenameMode};

/// The table that a callback gets.
#[derive(IntoValue)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) watched: PathBuf,
    /// How many were lost, where that is known.
    pub(crate) count: Option<u64>,
    /// What went wrong.
    pub(crate) message: Option<String>,
}

impl Event {
    pub(crate) fn new(kind: &'static str, path: &Path, watched: &Path) -> Event {
        Event { kind, path: path.to_owned(), watched: watched.to_owned(), count: None, message: None }
    }

    /// What makes it one with an earlier event of the same watch.
    pub(crate) fn key(&self, watch: u64) -> Vec<u8> {
        let mut key = watch.to_ne_bytes().to_vec();
        key.extend_from_slice(self.kind.as_bytes());
        key.push(0);
        key.extend_from_slice(self.path.as_os_str().as_encoded_bytes());
        key
    }
}

/// The kind of an event in Lua's words; none where Lua is not told.
fn kind(event: &notify::Event) -> Option<&'static str> {
    if event.need_rescan() {
        // The system's own queue was full.
        return Some("lost");
    }
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

/// The events of Lua's that the system's one is: one for each path, or one for all that is watched where it names none.
pub(crate) fn events(event: &notify::Event, watched: &Path) -> Vec<Event> {
    match kind(event) {
        None => Vec::new(),
        Some(kind) if event.paths.is_empty() => vec![Event::new(kind, watched, watched)],
        Some(kind) => event.paths.iter().map(|path| Event::new(kind, path, watched)).collect(),
    }
}
