//! Windows: a host, the module, the libraries and the demo. On Linux they are built with Debian packages and run under Wine; on
//! Windows they are built with the toolchain in use and run as they are.
//!
//! Nothing is installed: the packages, everything that is built, and Wine's prefix are in the target folder.

mod build;
mod fetch;
mod run;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use self::run::Awake;
pub use self::run::BUILT;
use crate::artefacts::target;
use crate::luas::Lua;
use crate::scenarios::Scenario;

/// The Lua that is built for Windows.
pub const LUA: Lua = Lua("lua54");

/// The libraries that are built for Windows.
const LIBRARIES: [&str; 12] = [
    "probe",
    "timer",
    "plain_v1",
    "probe_v1",
    "probe_v2",
    "probe_c2v0",
    "probe_refuses",
    "fswatch",
    "httpd",
    "sqlite",
    "authors",
    "cpptypes",
];

/// A scenario that runs on Windows and not under Wine: its group, its name, and why.
const NOT_BY_WINE: (&str, &str, &str) = (
    "v2/fswatch",
    "fswatch looks below folders unless told otherwise",
    "Wine reports no changes in folders that are older than the watch",
);

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
    let mut windows = Windows::at(&target().with_file_name("matrix").join("windows"));
    for folder in [windows.modules(), windows.libraries()] {
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    if cfg!(not(windows)) {
        fetch::fetch(&windows.folder, tell)?;
    }
    build::build(&windows, tell)?;
    if cfg!(not(windows)) {
        windows.awake = Some(windows.wake(tell)?);
    }
    build::build_c(&windows)?;
    Ok(windows)
}

/// Why `scenario` is not run: it is about something that only Unix has, it needs something that is not built, or Wine cannot run it.
/// `None` if it is run, in the Luas that it is written for.
///
/// # Panics
/// It declares a system other than Unix.
#[must_use]
pub fn leaves_out(scenario: &Scenario) -> Option<String> {
    if let Some(on) = scenario.on() {
        return Some(on.strip_prefix("unix: ").expect("the one system that is declared, and why").to_owned());
    }
    if scenario.needs().any(|need| need == "linux") {
        return Some("it is about Linux".to_owned());
    }
    let (group, name, why) = NOT_BY_WINE;
    if cfg!(not(windows)) && scenario.group == group && scenario.name == name {
        return Some(why.to_owned());
    }
    let missing = scenario.needs().chain(scenario.libraries()).find(|name| !LIBRARIES.contains(name));
    missing.map(|name| format!("it needs {name}, which is not built for Windows"))
}

impl Windows {
    /// What was built in `folder`, without building it again.
    #[must_use]
    pub fn at(folder: &Path) -> Windows {
        Windows { folder: folder.to_owned(), awake: None }
    }

    /// The folder with the host, its Lua, the module, the demo, and the libraries that are built for one Lua.
    fn modules(&self) -> PathBuf {
        self.folder.join(LUA.0)
    }

    /// The folder with the libraries that do not depend on Lua.
    fn libraries(&self) -> PathBuf {
        self.folder.join("v2")
    }
}
