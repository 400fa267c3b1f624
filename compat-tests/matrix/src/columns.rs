//! The columns of the matrix: modules, each of a release or of a working tree, for one Lua.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::{Artefacts, cargo, copy, extension, try_succeed, workspace};
use compat_tests::freeze::sha256;
use compat_tests::luas::Lua;
use compat_tests::standalone::{Lock, Source, Standalone};

use crate::relink::relink_if_foreign;
use crate::rows::{source_name, unpacked};

/// A module of a release or of a working tree, for one Lua.
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

    /// The host, and the folder of files that scenarios open by path.
    pub(crate) fn artefacts(&self) -> &'static Artefacts {
        Artefacts::of(self.lua)
    }

    /// Builds the module.
    ///
    /// # Errors
    /// The build failed: what the compiler said.
    pub(crate) fn build(&self) -> Result<(), String> {
        fs::create_dir_all(self.folder()).map_err(|error| error.to_string())?;
        let (module, helper) = match &self.source {
            Source::Tree(tree) if tree == workspace() => {
                (self.artefacts().folder.join("darksidesync.so"), workspace().join("dss-lua/lua/dss.lua"))
            }
            Source::Tree(tree) => {
                // A target folder for each tree. Cargo compares file times, and the files of one tree may be older than the
                // build of another.
                let path = sha256(tree.as_os_str().as_encoded_bytes());
                let cargo_target = crate::folder().join("cargo").join(format!("tree-{}", &path[..16]));
                self.cargo_build(tree, &cargo_target, "compat")?;
                (built(&cargo_target.join("compat")), tree.join("dss-lua/lua/dss.lua"))
            }
            Source::Release(release) => {
                let top = crate::folder().join("standalone").join(format!("{release}-module"));
                let standalone = Standalone::lay_out(top, &self.source, &[], Lock::Ours);
                let cargo_target = crate::folder().join("cargo/module");
                self.cargo_build(&standalone.folder, &cargo_target, "release")?;
                (built(&cargo_target.join("release")), unpacked("dss-lua", release).join("lua/dss.lua"))
            }
        };
        copy(&module, &self.module());
        copy(&helper, &self.folder().join("dss.lua"));
        Ok(())
    }

    fn cargo_build(&self, folder: &Path, cargo_target: &Path, profile: &str) -> Result<(), String> {
        relink_if_foreign(&built(&cargo_target.join(profile)), &self.to_string());
        let mut build = cargo();
        build.current_dir(folder).env("CARGO_TARGET_DIR", cargo_target);
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
