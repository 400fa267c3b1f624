//! Running a scenario for a target, and comparing the layouts of the revisions there with those on file.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Built, make};
use crate::artefacts::{try_succeed, workspace};
use crate::luas::Lua;
use crate::run::limited;
use crate::scenarios::Scenario;

/// The time limit of a scenario. An emulator takes its time.
const LIMIT: Duration = Duration::from_secs(300);

impl Built {
    /// Runs a scenario in its own process, with nothing but what was built for the target.
    ///
    /// # Errors
    /// It failed: how the process ended, and what it printed.
    pub fn run(&self, lua: Lua, scenario: &Scenario) -> Result<(), String> {
        let (target, modules) = (self.target, self.target.modules(lua));
        let templates = |folder: &Path, ending: &str| folder.join(ending).display().to_string();
        let mut command = target.program(&modules.join("lua-host"));
        command.arg("--cpath").arg(templates(&modules, "?.so"));
        command.arg("--path").arg(templates(&modules, "?.lua"));
        command.arg(workspace().join("compat-tests/scenarios/lib/runner.lua"));
        command.arg(&scenario.file).arg(&scenario.name);
        for variable in ["LUA_PATH", "LUA_CPATH", "LUA_INIT", "LD_LIBRARY_PATH"] {
            command.env_remove(variable);
        }
        command.env("DSS_PATH", templates(&target.libraries(), "?.so"));
        command.env("DSS_TEST_FOLDER", &modules);
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let here = target.folder().join(format!("run.{}.{run}", std::process::id()));
        make(&here)?;
        command.current_dir(&here).env("DSS_TEST_TRACE", here.join("trace"));
        let ended = limited(&mut command, LIMIT);
        // If the folder cannot be removed, it does no harm.
        let _ = fs::remove_dir_all(&here);
        if ended.succeeded() { Ok(()) } else { Err(ended.report()) }
    }

    /// Compares the layouts that `dss layouts` prints there for `revision`, v1 or v2, with those on file. With `DSS_BLESS`
    /// set, writes the file.
    ///
    /// # Errors
    /// They differ: in which file, and how to see where.
    pub fn check_layouts(&self, revision: &str) -> Result<(), String> {
        let [v1, v2] = self.target.layouts;
        let file = workspace().join(if revision == "v1" { v1 } else { v2 });
        let dss = self.target.dss();
        let found = try_succeed(self.target.program(&dss).args(["layouts", "--revision", revision]))?;
        let failed = |error| format!("{}: {error}", file.display());
        if env::var_os("DSS_BLESS").is_some() {
            return fs::write(&file, &found).map_err(failed);
        }
        let wanted = fs::read_to_string(&file).map_err(failed)?;
        let differs = |(_, (wanted, found)): &(usize, (&str, &str))| wanted != found;
        let mut lines = wanted.split('\n').zip(found.split('\n')).enumerate();
        match lines.find(differs) {
            None if wanted.len() == found.len() => Ok(()),
            None => Err(format!(
                "{} is not as long as what `dss layouts --revision {revision}` prints",
                file.display()
            )),
            Some((line, (wanted, found))) => Err(format!(
                "{}, line {}, has {wanted:?}, and on {} `dss layouts --revision {revision}` prints {found:?}: what was released does \
                 not change; if this was not, `DSS_BLESS=1` writes the file again",
                file.display(),
                line + 1,
                self.target.name
            )),
        }
    }
}
