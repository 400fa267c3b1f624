//! The crates that each release froze: the archives in `releases`, and how to unpack them.

use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;

use crate::artefacts::workspace;

/// A crate as a release published it.
#[derive(Clone, Debug)]
pub struct FrozenCrate {
    /// Its package.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The release that froze it.
    pub release: Version,
    /// Its archive.
    pub archive: PathBuf,
}

/// The folder of a working tree that has a folder for each release.
#[must_use]
pub fn folder(tree: &Path) -> PathBuf {
    tree.join("compat-tests/releases")
}

/// All releases, the oldest first.
///
/// # Panics
/// The folder cannot be read, or a folder in it is not named for a version.
#[must_use]
pub fn releases() -> Vec<Version> {
    releases_in(workspace())
}

/// All releases of another working tree, the oldest first.
///
/// # Panics
/// As [`releases`].
#[must_use]
pub fn releases_in(tree: &Path) -> Vec<Version> {
    let entries = fs::read_dir(folder(tree)).expect("the releases lie there");
    let mut versions: Vec<Version> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            name.parse().unwrap_or_else(|error| panic!("releases/{name} is not named for a version: {error}"))
        })
        .collect();
    versions.sort();
    versions
}

/// All frozen crates of all releases, the oldest release first.
///
/// # Panics
/// As [`releases`], or if an archive is not named `name-version.crate`.
#[must_use]
pub fn crates() -> Vec<FrozenCrate> {
    crates_in(workspace())
}

/// All frozen crates of another working tree, the oldest release first.
///
/// # Panics
/// As [`crates`].
#[must_use]
pub fn crates_in(tree: &Path) -> Vec<FrozenCrate> {
    let mut found = Vec::new();
    for release in releases_in(tree) {
        let folder = folder(tree).join(release.to_string());
        let mut archives: Vec<_> = fs::read_dir(&folder)
            .expect("a release is a folder")
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "crate"))
            .collect();
        archives.sort();
        for archive in archives {
            let stem = archive.file_stem().expect("it has an ending").to_string_lossy().into_owned();
            let (name, version) = stem.rsplit_once('-').expect("`name-version.crate`");
            let version = version.parse().expect("`name-version.crate`");
            found.push(FrozenCrate { name: name.to_owned(), version, release: release.clone(), archive });
        }
    }
    found
}

/// The crates of a release. Each has the newest version that this release or an earlier one froze.
///
/// # Panics
/// As [`crates`].
#[must_use]
pub fn crates_of(release: &Version) -> Vec<FrozenCrate> {
    let mut newest: Vec<FrozenCrate> = Vec::new();
    for frozen in crates().into_iter().filter(|frozen| frozen.release <= *release) {
        newest.retain(|older| older.name != frozen.name);
        newest.push(frozen);
    }
    newest
}

/// Unpacks a crate into `folder/name-version`, and returns that path.
///
/// # Panics
/// The archive cannot be read, or the folder cannot be written to.
#[must_use]
pub fn unpack(frozen: &FrozenCrate, folder: &Path) -> PathBuf {
    let file = fs::File::open(&frozen.archive).expect("it was listed from its folder");
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(folder).expect("an archive");
    folder.join(format!("{}-{}", frozen.name, frozen.version))
}
