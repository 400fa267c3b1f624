//! The environment of a script: a host, and the folders with the modules and libraries that the script can load.

use std::path::PathBuf;
use std::process::Command;

use crate::luas::Lua;

/// A host with the modules and libraries that a scenario runs with.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The Lua.
    pub lua: Lua,
    /// The host's executable.
    pub host: PathBuf,
    /// The folders in which Lua looks for modules, before the system's.
    pub folders: Vec<PathBuf>,
    /// The folders in which DSS looks for libraries that do not depend on Lua.
    pub libraries: Vec<PathBuf>,
    /// The folder of the files that scenarios open by path.
    pub folder: PathBuf,
}

impl Environment {
    /// A command that runs the host. The caller adds the script.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command_by(Command::new(&self.host))
    }

    /// The same for a command that runs the host in its own way.
    pub(crate) fn command_by(&self, mut command: Command) -> Command {
        command.arg("--cpath").arg(templates(&self.all_folders(), &["?.so"]));
        command.arg("--path").arg(templates(&self.all_folders(), &["?.lua", "?/init.lua"]));
        for variable in ["LUA_PATH", "LUA_CPATH", "LUA_INIT"] {
            command.env_remove(variable);
        }
        command.env("DSS_PATH", templates(&self.libraries, &["?.so"]));
        command
    }

    /// Sets the variables by which another host finds the same modules and libraries before its own.
    pub fn set_variables(&self, command: &mut Command) {
        command.env("LUA_PATH", templates(&self.folders, &["?.lua", "?/init.lua"]) + ";;");
        command.env("LUA_CPATH", templates(&self.folders, &["?.so"]) + ";;");
        command.env("DSS_PATH", templates(&self.libraries, &["?.so"]));
    }

    fn all_folders(&self) -> Vec<PathBuf> {
        let mut folders = self.folders.clone();
        folders.extend(system_modules(self.lua));
        folders
    }
}

/// Path templates with a `?`, for Lua and DSS.
fn templates(folders: &[PathBuf], endings: &[&str]) -> String {
    let each = |folder: &PathBuf| {
        endings.iter().map(|ending| folder.join(ending).display().to_string()).collect::<Vec<_>>()
    };
    folders.iter().flat_map(each).collect::<Vec<_>>().join(";")
}

/// The folders in which the system's packages install modules for `lua`.
#[must_use]
pub fn system_modules(lua: Lua) -> Vec<PathBuf> {
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let version = lua.folder();
    vec![
        PathBuf::from(format!("/usr/share/lua/{version}")),
        PathBuf::from(format!("/usr/lib/{multiarch}/lua/{version}")),
    ]
}
