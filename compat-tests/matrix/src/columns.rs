//! The columns: modules, each of a release or the working tree, for a Lua.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::{Artefacts, cargo, copy, extension, try_succeed, workspace};
use compat_tests::freeze::sha256;
use compat_tests::luas::Lua;
use compat_tests::standalone::{Lock, Source, Standalone};

use crate::relink::relink_if_foreign;
use crate::rows::{source_name, unpacked};

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) source: Source,
    pub(crate) lua: Lua,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", source_name(&self.source), self.lua)
    }
}

impl Column {
    /// The folder with `darksidesync.so` and `dss.lua`.
    pub(crate) fn folder(&self) -> PathBuf {
        crate::folder().join("modules").join(source_name(&self.source)).join(self.lua.0)
    }

    /// The module's file.
    pub(crate) fn module(&self) -> PathBuf {
        self.folder().join("darksidesync.so")
    }

    /// What of the machine's state goes with it: the host, and the folder that scenarios know.
    pub(crate) fn artefacts(&self) -> &'static Artefacts {
        Artefacts::of(self.lua)
    }

    /// Builds it.
    ///
    /// # Errors
    /// It cannot be built: what the compiler said.
    pub(crate) fn build(&self) -> Result<(), String> {
        fs::create_dir_all(self.folder()).map_err(|error| error.to_string())?;
        let (module, helper) = match &self.source {
            Source::Tree(tree) if tree == workspace() => {
                (self.artefacts().folder.join("darksidesync.so"), workspace().join("dss-lua/lua/dss.lua"))
            }
            Source::Tree(tree) => {
                // Of its own, for cargo goes by the times of files: one tree's may be older than what was built of another's.
                let path = sha256(tree.as_os_str().as_encoded_bytes());
                let place = crate::folder().join("cargo").join(format!("tree-{}", &path[..16]));
                self.cargo_build(tree, &place, "compat")?;
                (built(&place.join("compat")), tree.join("dss-lua/lua/dss.lua"))
            }
            Source::Release(release) => {
                let top = crate::folder().join("standalone").join(format!("{release}-module"));
                let standalone = Standalone::lay_out(top, &self.source, &[], Lock::Ours);
                let place = crate::folder().join("cargo/module");
                self.cargo_build(&standalone.folder, &place, "release")?;
                (built(&place.join("release")), unpacked("dss-lua", release).join("lua/dss.lua"))
            }
        };
        copy(&module, &self.module());
        copy(&helper, &self.folder().join("dss.lua"));
        Ok(())
    }

    fn cargo_build(&self, folder: &Path, place: &Path, profile: &str) -> Result<(), String> {
        relink_if_foreign(&built(&place.join(profile)), &self.to_string());
        let mut build = cargo();
        build.current_dir(folder).env("CARGO_TARGET_DIR", place);
        build.args(["build", "--quiet", "--profile", profile, "--package", "dss-lua"]);
        build.args(["--no-default-features", "--features", self.lua.0]);
        try_succeed(&mut build).map(drop)
    }
}

fn built(folder: &Path) -> PathBuf {
    folder.join(format!("libdarksidesync.{}", extension()))
}

/// The columns of `sources`, in each Lua.
pub(crate) fn columns(sources: &[Source]) -> Vec<Column> {
    let each = |source: &Source| {
        compat_tests::luas::ALL
            .into_iter()
            .map(|lua| Column { source: source.clone(), lua })
            .collect::<Vec<_>>()
    };
    sources.iter().flat_map(each).collect()
}
