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

/// The time limit of a scenario.
const LIMIT: Duration = Duration::from_secs(120);

/// The time limit for Wine to create its prefix.
const BOOT: Duration = Duration::from_secs(300);

/// A Linux path as a Windows path. Wine maps the root folder to the drive `Z:`.
fn on_z(path: &Path) -> OsString {
    format!("Z:{}", path.display()).replace('/', "\\").into()
}

/// An idle host, which keeps Wine's own processes alive. If a scenario had to start these processes, they would inherit its
/// pipes and keep them open for seconds after it ends.
#[derive(Debug)]
pub(super) struct Awake {
    /// The host. It ends when its stdin is closed, which this value keeps open.
    child: Child,
}

impl Drop for Awake {
    fn drop(&mut self) {
        // An error means that it has already ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Windows {
    /// The host's executable.
    pub(super) fn host(&self) -> PathBuf {
        self.modules().join("lua-host.exe")
    }

    /// A command that runs Wine. The caller adds the program.
    pub(super) fn wine(&self) -> Command {
        let mut command = Command::new(self.root().join("usr/lib/wine/wine64"));
        command.env("WINEPREFIX", self.folder.join("prefix")).env("LD_LIBRARY_PATH", self.shared_libraries());
        // Suppress Wine's own messages, and the parts of Wine that need a display.
        command.env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "mscoree=;mshtml=;winemenubuilder.exe=");
        command.env_remove("DISPLAY");
        for variable in ["LUA_PATH", "LUA_CPATH", "LUA_INIT"] {
            command.env_remove(variable);
        }
        command
    }

    /// Starts Wine, which creates its prefix if it has none.
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
            // After an error the line is empty. The receiver may be gone.
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = said.send(line);
        });
        match hear.recv_timeout(BOOT) {
            Ok(line) if line.trim_end() == "awake" => Ok(awake),
            _ => Err(format!("the host {} does not run under Wine", self.host().display())),
        }
    }

    /// Runs a scenario in its own process, with nothing but what was built for Windows.
    ///
    /// # Errors
    /// It failed: how the process ended, and what it printed.
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
        // Its own working folder, at a path that Wine can use.
        let here = self.folder.join(format!("run.{}.{run}", std::process::id()));
        fs::create_dir_all(&here).map_err(|error| format!("{}: {error}", here.display()))?;
        command.current_dir(&here).env("DSS_TEST_TRACE", on_z(&here.join("trace")));
        let ended = limited(&mut command, LIMIT);
        // If the folder cannot be removed, it does no harm.
        let _ = fs::remove_dir_all(&here);
        if ended.succeeded() { Ok(()) } else { Err(ended.report()) }
    }
}
