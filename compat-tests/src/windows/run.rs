//! Running a scenario and the demo: under Wine, or on Windows.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Windows;
use crate::artefacts::{copy, workspace};
use crate::run::{Ended, limited};
use crate::scenarios::Scenario;

/// The time limit of a scenario.
const LIMIT: Duration = Duration::from_secs(120);

/// The time limit for Wine to create its prefix.
const BOOT: Duration = Duration::from_secs(300);

/// The time limit of the demo.
const DEMO: Duration = Duration::from_secs(300);

/// The variable that tells the demo where everything that it needs was built.
pub const BUILT: &str = "DSS_DEMO_BUILT";

/// A path as a program for Windows needs it. Wine maps the root folder of Linux to the drive `Z:`.
fn windows_path(path: &Path) -> OsString {
    if cfg!(windows) {
        return path.as_os_str().to_owned();
    }
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
    /// A command that runs a program of the folder of modules. The caller adds its arguments.
    fn run_program(&self, name: &str) -> Command {
        let program = self.modules().join(name);
        let mut command = if cfg!(windows) {
            Command::new(program)
        } else {
            let mut command = Command::new(self.root().join("usr/lib/wine/wine64"));
            command.arg(windows_path(&program));
            command.env("WINEPREFIX", self.folder.join("prefix"));
            command.env("LD_LIBRARY_PATH", self.shared_libraries());
            // Suppress Wine's own messages, and the parts of Wine that need a display.
            command.env("WINEDEBUG", "-all").env("WINEDLLOVERRIDES", "mscoree=;mshtml=;winemenubuilder.exe=");
            command.env_remove("DISPLAY");
            command
        };
        for variable in ["LUA_PATH", "LUA_CPATH", "LUA_INIT"] {
            command.env_remove(variable);
        }
        command
    }

    /// A command that runs the host. The caller adds its arguments.
    pub(super) fn run_host(&self) -> Command {
        self.run_program("lua-host.exe")
    }

    /// A command that runs the host with the modules and libraries that were built. The caller adds the script.
    #[must_use]
    pub fn command(&self) -> Command {
        let templates = |folder: &Path, ending: &str| windows_path(&folder.join(ending));
        let modules = self.modules();
        let mut command = self.run_host();
        command.arg("--cpath").arg(templates(&modules, "?.dll"));
        command.arg("--path").arg(templates(&modules, "?.lua"));
        command.env("DSS_PATH", templates(&self.libraries(), "?.dll"));
        command
    }

    /// Starts Wine, which creates its prefix if it has none.
    pub(super) fn wake(&self, tell: &dyn Fn(String)) -> Result<Awake, String> {
        if !self.folder.join("prefix/system.reg").exists() {
            tell("Wine is preparing its folder".to_owned());
        }
        // Wine's user32.dll needs this DLL of another package, and finds it only there. `cmd.exe` and the demo need user32.dll.
        let system = self.folder.join("prefix/drive_c/windows/system32");
        fs::create_dir_all(&system).map_err(|error| format!("{}: {error}", system.display()))?;
        copy(&self.root().join("usr/x86_64-w64-mingw32/lib/zlib1.dll"), &system.join("zlib1.dll"));
        let mut command = self.run_host();
        command.args(["-e", r#"io.write("awake\n") io.flush() io.read()"#]);
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
            _ => Err(format!("the host in {} does not run under Wine", self.modules().display())),
        }
    }

    /// Runs a scenario in its own process, with nothing but what was built for Windows.
    ///
    /// # Errors
    /// It failed: how the process ended, and what it printed.
    pub fn run(&self, scenario: &Scenario) -> Result<(), String> {
        let mut command = self.command();
        command.arg(windows_path(&workspace().join("compat-tests/scenarios/lib/runner.lua")));
        command.arg(windows_path(&scenario.file)).arg(&scenario.name);
        command.env("DSS_TEST_FOLDER", windows_path(&self.modules()));
        self.run_limited(&mut command, LIMIT).map(drop)
    }

    /// Runs the demo with what was built for Windows.
    ///
    /// # Errors
    /// It failed, or does not say that every callback arrived: how it ended, and what it printed.
    pub fn run_demo(&self) -> Result<(), String> {
        let mut command = self.run_program("demo.exe");
        command.env(BUILT, windows_path(&self.folder));
        let ended = self.run_limited(&mut command, DEMO)?;
        if ended.stdout.contains("Every callback arrived.") { Ok(()) } else { Err(ended.report()) }
    }

    /// Runs the rockspec's command for Windows with `cmd.exe`, as LuaRocks does, with a script in the place of cargo. The path of
    /// Lua has spaces in it.
    ///
    /// # Errors
    /// The command does not do what it should: what was printed.
    pub fn run_rockspec(&self) -> Result<(), String> {
        let folder = self.folder.join("a folder");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // The host, its Lua, and what it needs under Wine.
        for name in ["lua-host.exe", "lua54.dll", "bcryptprimitives.dll"] {
            let file = self.modules().join(name);
            if file.exists() {
                copy(&file, &folder.join(name));
            }
        }
        let mut command = self.run_host();
        command.arg(windows_path(&workspace().join("compat-tests/scenarios/lib/rockspec.lua")));
        command.arg(windows_path(&workspace().join("darksidesync-scm-1.rockspec")));
        command.arg(windows_path(&folder.join("lua-host.exe")));
        command.arg(windows_path(&self.modules().join("darksidesync.dll")));
        self.run_limited(&mut command, LIMIT).map(drop)
    }

    /// Runs a command in a working folder of its own, at a path that Wine can use.
    fn run_limited(&self, command: &mut Command, limit: Duration) -> Result<Ended, String> {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let here = self.folder.join(format!("run.{}.{run}", std::process::id()));
        fs::create_dir_all(&here).map_err(|error| format!("{}: {error}", here.display()))?;
        command.current_dir(&here).env("DSS_TEST_TRACE", windows_path(&here.join("trace")));
        let ended = limited(command, limit);
        // If the folder cannot be removed, it does no harm.
        let _ = fs::remove_dir_all(&here);
        if ended.succeeded() { Ok(ended) } else { Err(ended.report()) }
    }
}
