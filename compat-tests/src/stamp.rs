//! A stamp in each output folder, which records what the folder was built from. If that is unchanged, nothing is rebuilt.
//!
//! Cargo's own check does not help, because cargo keeps one output file for a package. Each program that needs the libraries
//! for all six Luas would compile and link them again, one Lua after the other.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use walkdir::DirEntry;

use crate::artefacts::{succeed, workspace};
use crate::c;
use crate::freeze::sha256;
use crate::walk;

/// The parts of the tree that no artefact is built from.
const NOT_BUILT: [&str; 16] = [
    ".ci",
    ".git",
    ".github",
    "fuzz",
    "compat-tests/benches",
    "compat-tests/demo",
    "compat-tests/matrix",
    "compat-tests/msrv",
    "compat-tests/releases",
    "compat-tests/scenarios",
    "compat-tests/soak",
    "compat-tests/src",
    "compat-tests/tests",
    "docs",
    "examples",
    "packaging",
];

/// The stamp file of an output folder.
fn mark(folder: &Path) -> PathBuf {
    folder.join("built-from")
}

/// Creates `folder` and calls `build` to fill it, unless it was built from the current sources.
///
/// # Panics
/// The folder cannot be written to.
pub(crate) fn unless_current(folder: &Path, build: impl FnOnce()) {
    let mark = mark(folder);
    if fs::read_to_string(&mark).is_ok_and(|there| there == *NOW) {
        return;
    }
    fs::create_dir_all(folder).expect("the target folder can be written to");
    // The stamp is invalid until the build has succeeded.
    fs::write(&mark, "").expect("the target folder can be written to");
    build();
    fs::write(&mark, &*NOW).expect("the target folder can be written to");
}

/// The code that decides what is built and how. It counts as a source.
const RECIPES: [&str; 3] = [include_str!("artefacts.rs"), include_str!("c.rs"), include_str!("c2v0.rs")];

/// The current stamp: a checksum of the sources, the compilers, and the environment variables that affect them. It is computed
/// before the first build of this process.
static NOW: LazyLock<String> = LazyLock::new(|| {
    let mut text = succeed(Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV"));
    text.push_str(&c::compiler_name());
    let mut told: Vec<_> = env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| {
            ["CARGO_PROFILE_", "CARGO_BUILD_"].iter().any(|start| name.starts_with(start))
                || ["CC", "CFLAGS"].contains(&name.as_str())
        })
        .collect();
    told.sort();
    text.push_str(&format!("{told:?}"));
    RECIPES.iter().for_each(|recipe| text.push_str(recipe));
    for file in sources(workspace()) {
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        text.push_str(&format!("{} {}\n", file.display(), sha256(&bytes)));
    }
    sha256(text.as_bytes())
});

/// The files of a tree that artefacts are built from, sorted.
fn sources(tree: &Path) -> Vec<PathBuf> {
    let built = |entry: &DirEntry| {
        let path = entry.path();
        // Cargo marks its target folders with this file, whatever their names.
        !path.join("CACHEDIR.TAG").exists()
            && !NOT_BUILT.iter().any(|name| path.strip_prefix(tree) == Ok(Path::new(name)))
    };
    let mut files = walk::files(tree, built);
    // An editor's lock file may be a dangling link.
    files.retain(|file| file.is_file() && file.extension().is_none_or(|ending| ending != "md"));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_count_but_test_code_and_scenarios_do_not() {
        let files = sources(workspace());
        let counts = |file: &str| files.contains(&workspace().join(file));
        for file in [
            "Cargo.lock",
            "dss-lua/src/lib.rs",
            "dss-lua/lua/dss.lua",
            "dss-abi/c1v0/include/darksidesync_api.h",
            "compat-tests/host/build.rs",
            "compat-tests/libraries/timer/timer.c",
            "compat-tests/fixtures/probe/probe.c",
        ] {
            assert!(workspace().join(file).exists() && counts(file), "{file} does not count");
        }
        for file in ["README.md", "compat-tests/src/stamp.rs", "compat-tests/scenarios/v1.lua"] {
            assert!(workspace().join(file).exists() && !counts(file), "{file} counts");
        }
        assert!(files.len() < 1000, "{} files: is a target folder among them?", files.len());
    }

    #[test]
    fn a_folder_is_rebuilt_only_after_a_failure_or_a_change_of_sources() {
        let folder = crate::artefacts::target().join(format!("stamp-test.{}", std::process::id()));
        let built = std::cell::Cell::new(0);
        let build = || built.set(built.get() + 1);
        unless_current(&folder, build);
        unless_current(&folder, build);
        assert_eq!(built.get(), 1);
        fs::write(mark(&folder), "other sources").expect("it was just made");
        let failed = std::panic::catch_unwind(|| unless_current(&folder, || panic!("no compiler")));
        assert!(failed.is_err());
        unless_current(&folder, build);
        unless_current(&folder, build);
        assert_eq!(built.get(), 2);
        fs::remove_dir_all(&folder).expect("it was just made");
    }
}
