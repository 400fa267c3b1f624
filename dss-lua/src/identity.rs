//! What tells a file that was read from one that has taken its place since, without reading it again.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// A file as its folder has it. Two that are equal are of one file with one content, as far as the file system tells.
#[derive(PartialEq, Eq)]
pub(crate) struct Identity {
    length: u64,
    modified: SystemTime,
    /// Device, number on it, and the time of its last change of any kind.
    node: [i128; 4],
}

impl Identity {
    /// That of the file at `path`; none where the system does not tell. [any-thread] `[blocks]` on the file system.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Identity { length: metadata.len(), modified: metadata.modified().ok()?, node: node(&metadata) })
    }
}

#[cfg(unix)]
fn node(metadata: &Metadata) -> [i128; 4] {
    use std::os::unix::fs::MetadataExt;

    [metadata.dev().into(), metadata.ino().into(), metadata.ctime().into(), metadata.ctime_nsec().into()]
}

#[cfg(not(unix))]
fn node(metadata: &Metadata) -> [i128; 4] {
    let created = metadata.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    [created.map_or(0, |time| time.as_nanos() as i128), 0, 0, 0]
}
