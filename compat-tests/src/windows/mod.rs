//! Windows: a host, the module and the libraries, built with Debian packages and run under Wine.
//!
//! This runs the code of DSS that only compiles for Windows. Nothing is installed: the packages, everything that is built,
//! and Wine's prefix are in the target folder.

mod build;
mod fetch;
mod run;

use std::fs;
use std::path::PathBuf;

use self::run::Awake;
use crate::artefacts::target;
use crate::luas::Lua;

/// The Lua that is built for Windows.
pub const LUA: Lua = Lua("lua54");

/// The libraries that are built for Windows.
pub(crate) const LIBRARIES: [&str; 5] = ["probe", "timer", "plain_v1", "probe_v1", "probe_v2"];

/// Everything that a scenario needs on Windows.
#[derive(Debug)]
pub struct Windows {
    folder: PathBuf,
    awake: Option<Awake>,
}

/// Fetches missing packages and builds everything. Reports slow steps through `tell`.
///
/// # Errors
/// A package cannot be fetched, or a build fails: which one, and the error of the tool.
pub fn prepare(tell: &dyn Fn(String)) -> Result<Windows, String> {
    let mut windows = Windows { folder: target().with_file_name("matrix").join("windows"), awake: None };
    fetch::fetch(&windows.folder, tell)?;
    for folder in [windows.modules(), windows.libraries()] {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    build::build(&windows, tell)?;
    windows.awake = Some(windows.wake(tell)?);
    build::build_c(&windows)?;
    Ok(windows)
}

impl Windows {
    /// The folder that the packages are unpacked into.
    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The folder of the shared libraries of the packages.
    fn shared_libraries(&self) -> PathBuf {
        self.root().join("usr/lib/x86_64-linux-gnu")
    }

    /// The target folder of cargo's builds for Windows.
    fn cargo_target(&self) -> PathBuf {
        self.folder.join("cargo")
    }

    /// The folder with the host, its Lua, the module, and the libraries that are built for one Lua.
    fn modules(&self) -> PathBuf {
        self.folder.join(LUA.0)
    }

    /// The folder with the libraries that do not depend on Lua.
    fn libraries(&self) -> PathBuf {
        self.folder.join("v2")
    }
}
