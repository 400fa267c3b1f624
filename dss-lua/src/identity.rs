//! Tells whether a file was replaced since it was read, without reading it again.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// A file's metadata. Two that are equal are of one file with one content, as far as the file system tells.
#[derive(PartialEq, Eq)]
pub(crate) struct Identity {
    length: u64,
    modified: SystemTime,
    /// Device, inode number, and the time of the last change of any kind.
    node: [i128; 4],
}

impl Identity {
    /// The identity of the file at `path`, or none if the system does not report it. [any-thread] `[blocks]` on the file system.
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
