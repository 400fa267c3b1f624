//! The files of a tree.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// The files in `top` and the folders below it, in order; of the entries below `top`, those that `counts`, and nothing of a folder
/// that does not.
///
/// # Panics
/// A folder cannot be read.
pub(crate) fn files(top: &Path, counts: impl FnMut(&DirEntry) -> bool) -> Vec<PathBuf> {
    WalkDir::new(top)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(counts)
        .map(|entry| entry.expect("a readable folder"))
        .filter(|entry| !entry.file_type().is_dir())
        .map(DirEntry::into_path)
        .collect()
}
