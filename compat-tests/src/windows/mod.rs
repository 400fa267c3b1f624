//! Windows: a host, the module and the libraries for it, built here by Debian's packages, and run under Wine.
//!
//! Nothing is installed. The packages are unpacked into the target folder, and so is all that is built by them; Wine keeps
//! what it calls a prefix there too. What it is good for: the code of DSS that only Windows compiles is run.

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

/// All that a scenario needs on Windows, built.
#[derive(Debug)]
pub struct Windows {
    folder: PathBuf,
    awake: Option<Awake>,
}

/// Fetches the packages that are not there yet, and builds; `tell` hears of what takes its time.
///
/// # Errors
/// A package cannot be had, or a build fails: which, and what was said.
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
    /// Where the packages are unpacked.
    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Where the shared libraries of what was unpacked are.
    fn shared_libraries(&self) -> PathBuf {
        self.root().join("usr/lib/x86_64-linux-gnu")
    }

    /// The target folder of the cargo that builds for Windows.
    fn cargo_target(&self) -> PathBuf {
        self.folder.join("cargo")
    }

    /// The folder with the host, its Lua, the module and the libraries that are for one Lua.
    fn modules(&self) -> PathBuf {
        self.folder.join(LUA.0)
    }

    /// The folder with the libraries that know nothing of Lua.
    fn libraries(&self) -> PathBuf {
        self.folder.join("v2")
    }
}
