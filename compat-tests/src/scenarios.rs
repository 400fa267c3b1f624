//! Finding the scenarios in `scenarios/*.lua` and `scenarios/*/*.lua`, and running them.
//!
//! A scenario begins with a line `scenario("name", ...)` or `scenario("name", { option = "value" }, ...)`. The options are:
//!
//! * `only = "lua54 lua55"`: the Luas that it can run in.
//! * `needs = "socket"`: what it needs that a machine may lack: `socket`, `linux`, or a library of c2v0 whose compiler may be missing.
//! * `with = "timer"`: the libraries that it uses, if that is not clear from the file.
//! * `since = "2.1.0"`: the first release that can pass it.
//! * `on = "unix: signals are sent"`: the system that it needs, and why.
//! * `long = "true"`: it takes several seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use semver::Version;

use crate::artefacts::workspace;
use crate::c2v0::Library;
use crate::environment::{Environment, system_modules};
use crate::luas::Lua;
use crate::run::limited;
use crate::sanitizer::Sanitizer;

/// The libraries that represent a revision in the matrix, and the scenario files about each.
pub const OF_THE_MATRIX: [(&str, &[&str]); 5] = [
    ("probe", &["keep", "mend", "new", "promises", "badinput", "socket"]),
    ("plain_v1", &["plain"]),
    ("probe_v1", &["v1"]),
    ("probe_c2v0", &["c2v0", "c2v0/edges"]),
    ("probe_v2", &["v2", "v2/bounds", "v2/closing", "v2/objects", "v2/requests", "v2/values"]),
];

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file that declares it.
    pub file: PathBuf,
    /// The name of the file in test names: `v1`, or `v2/fswatch`.
    pub group: String,
    /// The name of the scenario.
    pub name: String,
    only: Option<String>,
    needs: Option<String>,
    with: Option<String>,
    since: Option<String>,
    on: Option<String>,
    long: Option<String>,
}

impl Scenario {
    /// Whether it can run in `lua` on this machine.
    ///
    /// # Panics
    /// The machine lacks something, and `DSS_REQUIRE_SYSTEM_LUA` says that it must be installed.
    #[must_use]
    pub fn is_for(&self, lua: Lua) -> bool {
        self.is_written_for(lua)
            && self.needs.as_ref().is_none_or(|needs| needs.split(' ').all(|one| has(lua, one)))
    }

    /// Whether it takes seconds. The matrix then runs it only in the cells of the quick run.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.long.is_some()
    }

    /// Whether it is written for `lua`, on any machine.
    #[must_use]
    pub fn is_written_for(&self, lua: Lua) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(' ').any(|one| one == lua.0))
    }

    /// What it needs that a machine may lack.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().flat_map(|needs| needs.split(' '))
    }

    /// The libraries that it names because its file is not about them.
    pub fn libraries(&self) -> impl Iterator<Item = &str> {
        self.with.iter().flat_map(|with| with.split(' '))
    }

    /// The system that it needs, and why: `unix: signals are sent`.
    #[must_use]
    pub fn on(&self) -> Option<&str> {
        self.on.as_deref()
    }

    /// Whether it is in a file about `library`.
    #[must_use]
    pub fn is_about(&self, library: &str) -> bool {
        OF_THE_MATRIX.iter().any(|(name, groups)| *name == library && groups.contains(&&*self.group))
    }

    /// Whether the matrix runs it for `library`: it is about that library and uses no other.
    #[must_use]
    pub fn is_of(&self, library: &str) -> bool {
        self.is_about(library)
            && self.with.as_ref().is_none_or(|with| with.split(' ').all(|one| one == library))
    }

    /// Whether the matrix runs it for any library.
    #[must_use]
    pub fn is_of_the_matrix(&self) -> bool {
        OF_THE_MATRIX.iter().any(|(library, _)| self.is_of(library))
    }

    /// Whether a module of `release` can pass it.
    ///
    /// # Panics
    /// Its `since` is not a version.
    #[must_use]
    pub fn is_since(&self, release: &Version) -> bool {
        self.since.as_ref().is_none_or(|since| since.parse::<Version>().expect("a version") <= *release)
    }

    /// Runs it in its own process, with nothing but `environment` and the system's modules.
    ///
    /// # Errors
    /// It failed: how the process ended, and what it printed.
    pub fn run(&self, environment: &Environment) -> Result<(), String> {
        // Under valgrind, code runs twenty times as long.
        let limit = if Sanitizer::chosen().is_some() { 600 } else { 120 };
        let ended = limited(&mut self.command(environment), Duration::from_secs(limit));
        if ended.succeeded() { Ok(()) } else { Err(ended.report()) }
    }

    /// The command that runs it in `environment`.
    #[must_use]
    pub fn command(&self, environment: &Environment) -> Command {
        let mut command = match Sanitizer::chosen() {
            Some(sanitizer) => environment.command_by(sanitizer.watching(&environment.host, self)),
            None => environment.command(),
        };
        command
            .arg(workspace().join("compat-tests/scenarios/lib/runner.lua"))
            .arg(&self.file)
            .arg(&self.name);
        command.env("DSS_TEST_FOLDER", &environment.folder);
        // Code that must not run would write this file. Each run has its own.
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        command.env("DSS_TEST_TRACE", environment.folder.join(format!("trace.{}.{run}", std::process::id())));
        if let Some(interpreter) = system_interpreter(environment.lua) {
            command.env("DSS_TEST_INTERPRETER", interpreter);
        }
        command
    }
}

/// Whether something that tests use is installed. Prints a line if it is not.
///
/// # Panics
/// It is missing, and `DSS_REQUIRE_SYSTEM_LUA` says that everything that tests can use must be installed.
#[must_use]
pub fn required(there: bool, what: &str) -> bool {
    if !there {
        eprintln!("there is no {what}: its tests are ignored");
    }
    assert!(
        there || std::env::var_os("DSS_REQUIRE_SYSTEM_LUA").is_none(),
        "{what} is missing, and DSS_REQUIRE_SYSTEM_LUA says that it must be here"
    );
    there
}

/// All scenarios, in the order of their files.
///
/// # Panics
/// The scenario files cannot be read.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let folder = workspace().join("compat-tests/scenarios");
    let mut found = files(&folder, "");
    for entry in entries(&folder) {
        let name = entry.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if entry.is_dir() && name != "lib" {
            found.extend(files(&entry, &format!("{name}/")));
        }
    }
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the scenarios lie there");
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    entries.sort();
    entries
}

fn files(folder: &Path, before: &str) -> Vec<Scenario> {
    let files =
        entries(folder).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "lua"));
    files
        .flat_map(|file| {
            let stem = file.file_stem().expect("a file").to_string_lossy().into_owned();
            declared(&file, &format!("{before}{stem}"))
        })
        .collect()
}

/// The text between the quotes that follow `key` in `line`.
fn quoted(line: &str, key: &str) -> Option<String> {
    let (_, rest) = line.split_once(key)?;
    rest.split('"').nth(1).map(str::to_owned)
}

fn declared(file: &Path, group: &str) -> Vec<Scenario> {
    let text = fs::read_to_string(file).expect("a scenario file");
    text.lines()
        .filter(|line| line.starts_with("scenario("))
        .map(|line| Scenario {
            file: file.to_owned(),
            group: group.to_owned(),
            name: quoted(line, "scenario(").expect("a scenario has a name"),
            only: quoted(line, "only ="),
            needs: quoted(line, "needs ="),
            with: quoted(line, "with ="),
            since: quoted(line, "since ="),
            on: quoted(line, " on ="),
            long: quoted(line, "long ="),
        })
        .collect()
}

fn has(lua: Lua, need: &str) -> bool {
    let present = match need {
        "socket" => system_modules(lua).iter().any(|folder| folder.join("socket/core.so").exists()),
        "copas" => system_modules(lua).iter().any(|folder| folder.join("copas.lua").exists()),
        "interpreter" => system_interpreter(lua).is_some(),
        "linux" => return cfg!(target_os = "linux"),
        library if Library::named(library).is_some() => {
            return Library::named(library).is_some_and(Library::can_be_built);
        }
        "realtime" => may_be_realtime(),
        other => panic!("no scenario can need `{other}`"),
    };
    // CI sets `DSS_REQUIRE_SYSTEM_LUA` after it has installed the packages. Debian 12 has nothing for 5.5, and copas only up
    // to 5.2.
    let packaged = match need {
        "copas" => ["lua51", "lua52", "luajit"].contains(&lua.0),
        // Not a package but a permission, which root has, or a limit (`ulimit -r`) gives.
        "realtime" => cfg!(target_os = "linux"),
        _ => lua.0 != "lua55",
    };
    assert!(
        present || !packaged || std::env::var_os("DSS_REQUIRE_SYSTEM_LUA").is_none(),
        "{need} for {lua} is missing, and DSS_REQUIRE_SYSTEM_LUA says that it must be here"
    );
    present
}

/// Whether this process may give a thread real-time priority.
#[cfg(target_os = "linux")]
pub(crate) fn may_be_realtime() -> bool {
    let asked = std::thread::spawn(|| {
        let priority = libc::sched_param { sched_priority: 1 };
        // SAFETY: the parameter outlives the call, which changes only this thread.
        let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
        refused == 0
    });
    asked.join().expect("nothing panics")
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn may_be_realtime() -> bool {
    false
}

fn system_interpreter(lua: Lua) -> Option<PathBuf> {
    let name = match lua.0 {
        "luajit" => "luajit".to_owned(),
        _ => format!("lua{}", lua.folder()),
    };
    let path = PathBuf::from("/usr/bin").join(name);
    path.exists().then_some(path)
}
