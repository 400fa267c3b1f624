//! The freeze check: checks that published crates are unchanged.
//!
//! If a crate has the version that was released, all its files must be the same, and there must be no others. In a later patch
//! release, only what crosses the boundary must be the same: the generated layouts and headers, and the parts of the sources
//! that `freeze/boundary.rs` selects.

mod boundary;
mod manifest;

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use similar::{ChangeTag, TextDiff};

use crate::frozen::{self, FrozenCrate};
use crate::standalone::version_in;
use crate::walk;
use boundary::boundary;

/// The crates that releases freeze, and the folder of each in the tree.
pub const FROZEN: [(&str, &str); 5] = [
    ("dss-abi", "dss-abi"),
    ("dss-abi-c1v0", "dss-abi/c1v0"),
    ("dss-abi-v1", "dss-abi/v1"),
    ("dss-abi-v2", "dss-abi/v2"),
    ("dss-abi-v2-derive", "dss-abi/v2-derive"),
];

/// The crates that a release archives so that its module can be built again. They are not frozen.
const KEPT: [&str; 2] = ["dss-impl", "dss-lua"];

/// All releases, and the checksum of each one's `SHA256SUMS`. This list only grows. It is how a release that was deleted or
/// replaced is noticed.
const RELEASES: [(&str, &str); 2] = [
    ("2.0.0", "16db41447dd2a0ab0620edf83bc27aed4e2c527ee2d9088a0b6b59ec15a666ba"),
    ("2.1.0", "9a156320f994a20452c44623c5ef4266c8d7405f55f7abbe361e52594ad2d7a2"),
];

/// One difference from what was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The file, relative to the top of the tree.
    pub file: PathBuf,
    /// What differs, in a sentence.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; a published revision never changes", self.file.display(), self.what)
    }
}

/// All differences between the working tree `tree` and the releases in its `compat-tests/releases`.
///
/// # Panics
/// The tree cannot be read, or its releases are not as [`frozen`] expects them.
#[must_use]
pub fn differences(tree: &Path) -> Vec<Difference> {
    let mut found = releases(tree);
    for release in frozen::releases_in(tree) {
        found.extend(checksums(tree, &frozen::folder(tree).join(release.to_string())));
    }
    for krate in frozen::crates_in(tree) {
        if KEPT.contains(&krate.name.as_str()) {
            continue;
        }
        match FROZEN.iter().find(|(package, _)| *package == krate.name) {
            Some((_, folder)) => found.extend(compare(tree, folder, &krate)),
            None => found.push(Difference {
                file: relative(tree, &krate.archive),
                what: format!("{} was released, and is no crate of `FROZEN`", krate.name),
            }),
        }
    }
    found
}

fn relative(tree: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(tree).unwrap_or(path).to_owned()
}

/// Checks that the releases are the ones in [`RELEASES`].
fn releases(tree: &Path) -> Vec<Difference> {
    let list = |release: &str| frozen::folder(tree).join(release).join("SHA256SUMS");
    let differs = |release: &str, what: &str| Difference {
        file: relative(tree, &list(release)),
        what: what.to_owned(),
    };
    let mut found = Vec::new();
    for (release, sum) in RELEASES {
        match fs::read(list(release)) {
            Ok(bytes) if sha256(&bytes) == sum => {}
            Ok(_) => found.push(differs(release, "is not the list that was released")),
            Err(_) => found.push(differs(release, "was released, and is gone")),
        }
    }
    for release in frozen::releases_in(tree).iter().map(ToString::to_string) {
        if !RELEASES.iter().any(|(known, _)| *known == release) {
            found.push(differs(&release, "is of a release that is not in `RELEASES`"));
        }
    }
    found
}

/// Checks the archives of a release against its checksums.
fn checksums(tree: &Path, release: &Path) -> Vec<Difference> {
    let list = release.join("SHA256SUMS");
    // `releases` reports a missing list.
    let sums = fs::read_to_string(&list).unwrap_or_default();
    let mut found = Vec::new();
    let mut listed = vec!["SHA256SUMS".to_owned()];
    for line in sums.lines() {
        let Some((sum, name)) = line.split_once("  ") else {
            let what = format!("has a line that is no `sum  name`: `{line}`");
            found.push(Difference { file: relative(tree, &list), what });
            continue;
        };
        listed.push(name.to_owned());
        let file = relative(tree, &release.join(name));
        match fs::read(release.join(name)) {
            Ok(bytes) if sha256(&bytes) == sum => {}
            Ok(_) => found.push(Difference { file, what: "was changed after its release".to_owned() }),
            Err(_) => found.push(Difference { file, what: "was released, and is gone".to_owned() }),
        }
    }
    for entry in fs::read_dir(release).expect("a release is a folder") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if !listed.contains(&name) {
            found.push(Difference {
                file: relative(tree, &path),
                what: "is in a release without a checksum".to_owned(),
            });
        }
    }
    found
}

/// The checksum of `bytes`, in the format of `sha256sum`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a frozen crate.
fn contents(archive: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let file = fs::File::open(archive).expect("it was listed from its folder");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = Vec::new();
    // A damaged archive has a wrong checksum, which `checksums` reports.
    let Ok(entries) = archive.entries() else { return files };
    for entry in entries {
        let Ok(mut entry) = entry else { return files };
        let Ok(path) = entry.path().map(std::borrow::Cow::into_owned) else { continue };
        let mut bytes = Vec::new();
        if entry.read_to_end(&mut bytes).is_ok() {
            // The first component is the crate's name and version.
            files.push((path.components().skip(1).collect(), bytes));
        }
    }
    files
}

/// Compares a frozen crate with the same crate in the tree.
fn compare(tree: &Path, folder: &str, krate: &FrozenCrate) -> Vec<Difference> {
    if !tree.join(folder).join("Cargo.toml").exists() {
        let what = format!("{} was released in {}, and is gone", krate.name, krate.release);
        return vec![Difference { file: Path::new(folder).join("Cargo.toml"), what }];
    }
    let version = version_in(&tree.join(folder));
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    let (released, release) = (krate.version.to_string(), krate.release.to_string());
    if minor(&version) != minor(&released) {
        return vec![Difference {
            file: Path::new(folder).join("Cargo.toml"),
            what: format!(
                "was released as {released}, and is {version} here: of a published revision, patch releases alone follow"
            ),
        }];
    }
    let mut found = Vec::new();
    let mut published = Vec::new();
    for (path, bytes) in contents(&krate.archive) {
        let name = path.to_string_lossy();
        let name = match &*name {
            // Cargo adds some files to an archive that are not in the tree.
            "Cargo.toml" => {
                let what = manifest::differs(&String::from_utf8_lossy(&bytes), tree, folder, &release);
                found.extend(what.map(|what| Difference { file: Path::new(folder).join(&*name), what }));
                continue;
            }
            "Cargo.lock" | ".cargo_vcs_info.json" => continue,
            "Cargo.toml.orig" => "Cargo.toml",
            name => name,
        };
        published.push(name.into());
        let file = Path::new(folder).join(name);
        let here = fs::read(tree.join(&file)).ok();
        let what = if version == released || is_generated(name) {
            match here {
                Some(here) => changed(&bytes, &here, &release),
                None => Some(format!("was released in {release}, and is gone")),
            }
        } else if name.ends_with(".rs") {
            // A file that is gone may have had something that crosses the boundary.
            crossing(&bytes, &here.unwrap_or_default(), &release)
        } else {
            None
        };
        found.extend(what.map(|what| Difference { file, what }));
    }
    if version == released {
        for file in sources(&tree.join(folder)) {
            if !published.contains(&file) {
                let what = format!("is not in {} {released} as {release} released it", krate.name);
                found.push(Difference { file: Path::new(folder).join(file), what });
            }
        }
    }
    found
}

/// The files of the crate in `folder`, as paths relative to it, without its tests and without crates in subfolders.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let own = |entry: &walkdir::DirEntry| {
        let is_tests = entry.depth() == 1 && entry.file_name() == "tests";
        !is_tests && !entry.path().join("Cargo.toml").exists()
    };
    walk::files(folder, own).iter().map(|file| relative(folder, file)).collect()
}

/// Whether a file is generated and describes what crosses the boundary.
fn is_generated(name: &str) -> bool {
    name == "layout.txt" || name.ends_with(".h")
}

/// How a file differs that must be the same.
fn changed(released: &[u8], here: &[u8], release: &str) -> Option<String> {
    let (released, here) = (String::from_utf8_lossy(released), String::from_utf8_lossy(here));
    let (line, quoted) = first_lines(&released, &here, release)?;
    Some(format!("differs from line {line} on: {quoted}"))
}

/// How a Rust source differs in what crosses the boundary.
fn crossing(released: &[u8], here: &[u8], release: &str) -> Option<String> {
    let read = |bytes: &[u8]| boundary(&String::from_utf8_lossy(bytes));
    // If the archive was changed, `checksums` reports it.
    let released = read(released).ok()?;
    match read(here) {
        Ok(here) => {
            let (_, quoted) = first_lines(&released, &here, release)?;
            Some(format!("differs in what crosses the boundary: {quoted}"))
        }
        Err(error) => Some(format!("cannot be read as Rust: {error}")),
    }
}

/// The number of the first line that differs, and the first differences.
fn first_lines(released: &str, here: &str, release: &str) -> Option<(usize, String)> {
    let diff = TextDiff::from_lines(released, here);
    let mut lines = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal).peekable();
    let first = lines.peek()?;
    let line = first.old_index().or(first.new_index()).unwrap_or(0) + 1;
    let quoted: Vec<_> = lines
        .take(4)
        .map(|change| {
            let by = if change.tag() == ChangeTag::Delete { release } else { "here" };
            format!("{by} has `{}`", change.value().trim())
        })
        .collect();
    Some((line, quoted.join(", ")))
}
