//! Running a scenario under Wine.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Windows;
use crate::artefacts::workspace;
use crate::run::limited;
use crate::scenarios::Scenario;

/// How long one scenario may take.
const LIMIT: Duration = Duration::from_secs(120);

/// How long Wine may take to lay out its prefix.
const BOOT: Duration = Duration::from_secs(300);

/// A path of this system as Windows writes it: Wine has all of them on a drive `Z:`.
fn on_z(path: &Path) -> OsString {
    format!("Z:{}", path.display()).replace('/', "\\").into()
}

/// A host that waits for nothing: as long as one runs, Wine's own processes stay. They would hold on to the pipes of the
/// scenario that started them, and end seconds after it.
#[derive(Debug)]
pub(super) struct Awake {
    /// It ends when its stdin does, which is held in here.
    child: Child,
}

impl Drop for Awake {
    fn drop(&mut self) {
        // Where it ended by itself there is nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Windows {
    /// The host's executable.
    pub(super) fn host(&self) -> PathBuf {
        self.modules().join("lua-host.exe")
    }

    /// Wine, ready to be told what to run.
    pub(super) fn wine(&self) -> Command {
        let mut command = Command::new(self.root().join("usr/lib/wine/wine64"));
        command.env("WINEPREFIX", self.folder.join("prefix")).env("LD_LIBRARY_PATH", self.shared_libraries());
        // It says much that is about itself alone; and without a display it needs nothing of what draws.
        command.env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "mscoree=;mshtml=;winemenubuilder.exe=");
        command.env_remove("DISPLAY");
        for variable in ["LUA_PATH", "LUA_CPATH", "LUA_INIT"] {
            command.env_remove(variable);
        }
        command
    }

    /// Starts Wine, which lays out its prefix where that was not done.
    pub(super) fn wake(&self, tell: &dyn Fn(String)) -> Result<Awake, String> {
        if !self.folder.join("prefix/system.reg").exists() {
            tell("Wine is preparing its folder".to_owned());
        }
        let mut command = self.wine();
        command.arg(self.host()).args(["-e", r#"io.write("awake\n") io.flush() io.read()"#]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let stdout = child.stdout.take().expect("piped above");
        let awake = Awake { child };
        let (said, hear) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            // Where it cannot be read, nothing was said, and nobody may be listening any more.
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = said.send(line);
        });
        match hear.recv_timeout(BOOT) {
            Ok(line) if line.trim_end() == "awake" => Ok(awake),
            _ => Err(format!("the host {} does not run under Wine", self.host().display())),
        }
    }

    /// Runs a scenario in a process of its own, with what was built for Windows, and nothing else.
    ///
    /// # Errors
    /// What the process printed, where it failed.
    pub fn run(&self, scenario: &Scenario) -> Result<(), String> {
        let templates = |folder: &Path, ending: &str| on_z(&folder.join(ending));
        let modules = self.modules();
        let mut command = self.wine();
        command.arg(on_z(&self.host()));
        command.arg("--cpath").arg(templates(&modules, "?.dll"));
        command.arg("--path").arg(templates(&modules, "?.lua"));
        command.arg(on_z(&workspace().join("compat-tests/scenarios/lib/runner.lua")));
        command.arg(on_z(&scenario.file)).arg(&scenario.name);
        command.env("DSS_PATH", templates(&self.libraries(), "?.dll"));
        command.env("DSS_TEST_FOLDER", on_z(&modules));
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        // A working folder of its own, which Wine must be able to name.
        let here = self.folder.join(format!("run.{}.{run}", std::process::id()));
        fs::create_dir_all(&here).map_err(|error| format!("{}: {error}", here.display()))?;
        command.current_dir(&here).env("DSS_TEST_TRACE", on_z(&here.join("trace")));
        let ended = limited(&mut command, LIMIT);
        // What is left there is of no use to anybody, and in nobody's way.
        let _ = fs::remove_dir_all(&here);
        if ended.succeeded() { Ok(()) } else { Err(ended.report()) }
    }
}
