//! The files of a tree.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// The files below `top`, sorted. Entries for which `counts` is false are left out, and so is everything in such a folder.
///
/// # Panics
/// A folder cannot be read.
#[must_use]
pub fn files(top: &Path, counts: impl FnMut(&DirEntry) -> bool) -> Vec<PathBuf> {
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
