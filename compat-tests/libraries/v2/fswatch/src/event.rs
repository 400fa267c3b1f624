//! The events that Lua gets.

use std::path::{Path, PathBuf};

use dss_abi_v2::IntoValue;
use dss_watch_engine::each;

/// The table that a callback gets.
#[derive(IntoValue)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) watched: PathBuf,
    /// How many were lost, if that is known.
    pub(crate) count: Option<u64>,
    /// What went wrong.
    pub(crate) message: Option<String>,
}

impl Event {
    pub(crate) fn new(kind: &'static str, path: &Path, watched: &Path) -> Event {
        Event { kind, path: path.to_owned(), watched: watched.to_owned(), count: None, message: None }
    }

    /// Events of the same watch with the same key replace each other.
    pub(crate) fn key(&self, watch: u64) -> Vec<u8> {
        let mut key = watch.to_ne_bytes().to_vec();
        key.extend_from_slice(self.kind.as_bytes());
        key.push(0);
        key.extend_from_slice(self.path.as_os_str().as_encoded_bytes());
        key
    }
}

/// The events for Lua: one for each path, or one for everything that is watched.
pub(crate) fn events(event: &dss_watch_engine::Event, watched: &Path) -> Vec<Event> {
    if event.need_rescan() {
        // The system's own queue was full.
        return vec![Event::new("lost", watched, watched)];
    }
    let mut events = Vec::new();
    each(event, watched, |kind, path| events.push(Event::new(kind, path, watched)));
    events
}
