//! Standalone workspaces: they build libraries and modules from the frozen crates of a release, or from the contract crates
//! of a working tree, and use nothing else of this workspace.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use semver::Version;

use crate::artefacts::workspace;
use crate::freeze::FROZEN;
use crate::frozen;

/// Where the crates of a standalone workspace come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The archives of a release.
    Release(Version),
    /// A working tree, by its top folder.
    Tree(PathBuf),
}

/// The lock file that a standalone workspace starts with. It also decides which cargo can read the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// The lock file of this workspace.
    Ours,
    /// The lock file of `msrv`, for the oldest Rust. The crates leave out `mlua`, because an old cargo cannot read its manifest.
    Oldest,
}

/// A workspace in its own folder.
#[derive(Clone, Debug)]
pub struct Standalone {
    /// Its top folder.
    pub folder: PathBuf,
}

impl Standalone {
    /// Creates or updates a workspace in `folder`, with the crates of `source` and copies of the packages `members` of this
    /// tree. Without members, its member is the module of a release. Unchanged files are not touched, so cargo rebuilds
    /// only what changed.
    ///
    /// # Panics
    /// The target folder cannot be written to.
    #[must_use]
    pub fn lay_out(folder: PathBuf, source: &Source, members: &[PathBuf], lock: Lock) -> Standalone {
        let fresh = folder.with_extension("fresh");
        let _ = fs::remove_dir_all(&fresh);
        // Cargo identifies a package by its path from the top. Workspaces that share a target folder need different paths,
        // or each would rebuild the packages of the others.
        let label = folder.file_name().expect("a folder of the target folder").to_string_lossy();
        let crates = format!("{label}-crates");
        fs::create_dir_all(fresh.join(&crates)).expect("the target folder can be written to");
        // The module is a crate of the release itself. A library is compiled against the contract crates only.
        let module = members.is_empty();
        let crates = add_crates(&fresh, &crates, source, module);
        let mut names = Vec::new();
        for member in members {
            let name =
                format!("{label}-{}", member.file_name().expect("a package's folder").to_string_lossy());
            copy_sources(member, &fresh.join(&name));
            names.push(name);
        }
        if module {
            names.extend(
                crates.iter().filter(|(name, ..)| name == "dss-lua").map(|(_, path, _)| path.clone()),
            );
        }
        if lock == Lock::Oldest {
            for (_, path, _) in &crates {
                make_readable(&fresh.join(path).join("Cargo.toml"));
            }
        }
        fs::write(fresh.join("Cargo.toml"), manifest(&crates, &names, source, lock))
            .expect("it was just made");
        synchronise(&fresh, &folder);
        let from = match lock {
            Lock::Ours => workspace().join("Cargo.lock"),
            Lock::Oldest => workspace().join("compat-tests/msrv/Cargo.lock"),
        };
        let to = folder.join("Cargo.lock");
        // Cargo removes unused entries from the copy. So a change is found by comparing with a second copy.
        let mark = folder.join("Cargo.lock.from");
        let text = fs::read(&from).expect("the lock file");
        if !to.exists() || fs::read(&mark).ok().as_ref() != Some(&text) {
            fs::write(&to, &text).expect("the target folder can be written to");
            fs::write(&mark, &text).expect("the target folder can be written to");
        }
        Standalone { folder }
    }
}

fn source_is_frozen(source: &Source) -> bool {
    matches!(source, Source::Release(_))
}

/// Puts the crates of `source` into `top/folder`. Returns the name, the path from the top, and the version of each.
fn add_crates(top: &Path, folder: &str, source: &Source, module: bool) -> Vec<(String, String, String)> {
    match source {
        Source::Release(release) => frozen::crates_of(release)
            .into_iter()
            .filter(|krate| module || FROZEN.iter().any(|(name, _)| *name == krate.name))
            .map(|krate| {
                let _ = frozen::unpack(&krate, &top.join(folder));
                let path = format!("{folder}/{}-{}", krate.name, krate.version);
                (krate.name, path, krate.version.to_string())
            })
            .collect(),
        Source::Tree(tree) => {
            copy_sources(&tree.join("dss-abi"), &top.join(folder).join("dss-abi"));
            FROZEN
                .iter()
                .map(|(name, path)| {
                    let version = version_in(&tree.join(path));
                    ((*name).to_owned(), format!("{folder}/{path}"), version)
                })
                .collect()
        }
    }
}

/// The version in a package's manifest.
///
/// # Panics
/// The manifest has no version of its own.
#[must_use]
pub fn version_in(package: &Path) -> String {
    let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("a package has a manifest");
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    line.expect("a crate of the contract has a version of its own").trim_end_matches('"').to_owned()
}

fn manifest(crates: &[(String, String, String)], members: &[String], source: &Source, lock: Lock) -> String {
    let ours = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace's manifest");
    let line =
        |start: &str| ours.lines().find(|line| line.starts_with(start)).expect("a line of it").to_owned();
    let (edition, mlua) = match lock {
        Lock::Ours => (format!("{}\n{}", line("edition ="), line("rust-version =")), line("mlua =")),
        Lock::Oldest => (String::new(), String::new()),
    };
    let mut text = format!(
        "[workspace]\nresolver = \"2\"\nmembers = {members:?}\n\n[workspace.package]\nversion = \"0.0.0\"\n{edition}\n{}\n{}\n\n\
         [workspace.lints.rust]\nmissing_docs = \"allow\"\n\n[profile.release]\npanic = \"unwind\"\n\n\
         [workspace.dependencies]\n{}\n{mlua}\n",
        line("license ="),
        line("repository ="),
        line("abi_stable ="),
    );
    for (name, path, version) in crates {
        let features = if name == "dss-abi-v2" { ", default-features = false" } else { "" };
        let _ = writeln!(text, "{name} = {{ path = {path:?}, version = {version:?}{features} }}");
    }
    if source_is_frozen(source) {
        // A published crate refers to the others by version only.
        text.push_str("\n[patch.crates-io]\n");
        for (name, path, _) in crates {
            let _ = writeln!(text, "{name} = {{ path = {path:?} }}");
        }
    }
    text
}

/// Removes from a manifest what an old cargo cannot read: `mlua`, the feature that needs it, and the newest resolver, which
/// has an effect only in the workspace's manifest.
fn make_readable(manifest: &Path) {
    let text = fs::read_to_string(manifest).expect("a crate has a manifest");
    let mut document: toml_edit::DocumentMut = text.parse().expect("cargo read it before");
    for (table, key) in [("dependencies", "mlua"), ("features", "mlua-0_12"), ("package", "resolver")] {
        if let Some(table) = document.get_mut(table).and_then(toml_edit::Item::as_table_mut) {
            table.remove(key);
        }
    }
    fs::write(manifest, document.to_string()).expect("it was just unpacked");
}

/// Copies a folder of sources, without target folders and `.git`.
///
/// # Panics
/// The folder cannot be read, or `to` cannot be written to.
pub fn copy_sources(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target folder can be written to");
    for entry in fs::read_dir(from).expect("a package's folder") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().expect("an entry has a name");
        if path.is_dir() {
            if name != "target" && name != ".git" {
                copy_sources(&path, &to.join(name));
            }
        } else {
            fs::copy(&path, to.join(name)).expect("the target folder can be written to");
        }
    }
}

/// Makes `to` equal to `from`, and writes only files that differ: cargo compares file times.
fn synchronise(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target folder can be written to");
    let names = |folder: &Path| -> Vec<_> {
        let entries = fs::read_dir(folder).expect("a folder of ours");
        entries.map(|entry| entry.expect("a readable folder").file_name()).collect()
    };
    let wanted = names(from);
    for name in names(to) {
        let keep = ["vendor", ".cargo", "Cargo.lock", "Cargo.lock.from", "target"];
        if !wanted.contains(&name) && !keep.iter().any(|kept| name == *kept) {
            let path = to.join(&name);
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.expect("the target folder can be written to");
        }
    }
    for name in wanted {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            synchronise(&from, &to);
        } else if fs::read(&from).ok() != fs::read(&to).ok() {
            fs::copy(&from, &to).expect("the target folder can be written to");
        }
    }
}
