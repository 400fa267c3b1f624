//! The scenarios: what `scenarios/*.lua` and `scenarios/*/*.lua` declare, and running one of them.
//!
//! A scenario is a line `scenario("name", ...)`, or `scenario("name", { only = "lua54 lua55" }, ...)` where some Luas
//! cannot have what it is about, or `{ needs = "socket" }` for what the machine may lack ("linux" among it); `{ with = "timer" }` names the
//! libraries it is about where that is not clear from the file, `{ since = "2.1.0" }` the first release that has it, and
//! `{ on = "unix: signals are sent" }` says what it is about that other systems have not, and `{ long = "true" }` that it takes seconds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use semver::Version;

use crate::artefacts::workspace;
use crate::environment::{Environment, system_modules};
use crate::luas::Lua;
use crate::run::limited;
use crate::windows;

/// The libraries that stand for a revision in the matrix, and the files of scenarios that are about each.
pub const OF_THE_MATRIX: [(&str, &[&str]); 4] = [
    ("probe", &["keep", "mend", "new", "promises", "badinput", "socket"]),
    ("plain_v1", &["plain"]),
    ("probe_v1", &["v1"]),
    ("probe_v2", &["v2", "v2/bounds", "v2/closing", "v2/objects", "v2/requests", "v2/values"]),
];

/// A scenario of one file.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The file that declares it.
    pub file: PathBuf,
    /// The file's name in the names of tests: `v1`, or `v2/fswatch`.
    pub group: String,
    /// Its own name.
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
    /// The machine lacks what the gate says that it has.
    #[must_use]
    pub fn is_for(&self, lua: Lua) -> bool {
        let here = self.only.as_ref().is_none_or(|only| only.split(' ').any(|one| one == lua.0));
        here && self.needs.as_ref().is_none_or(|needs| needs.split(' ').all(|one| has(lua, one)))
    }

    /// Whether it takes seconds where others take a moment: the matrix runs it where libraries are the ones of the quick run.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.long.is_some()
    }

    /// Whether it can run on Windows, in the Lua that is built for it there.
    #[must_use]
    pub fn is_for_windows(&self) -> bool {
        let lua = self.only.as_ref().is_none_or(|only| only.split(' ').any(|one| one == windows::LUA.0));
        let built = |with: &String| with.split(' ').all(|one| windows::LIBRARIES.contains(&one));
        lua && self.with.as_ref().is_none_or(built) && self.not_on_windows().is_none()
    }

    /// Why it is not run on Windows: what it is about that Unix alone has, or what it needs that is not built there.
    ///
    /// # Panics
    /// It declares another system than Unix.
    #[must_use]
    pub fn not_on_windows(&self) -> Option<String> {
        let on = self.on.as_ref().map(|on| {
            on.strip_prefix("unix: ").expect("the one system that is declared, and why").to_owned()
        });
        on.or_else(|| self.needs.as_ref().map(|needs| format!("it needs {}", needs.replace(' ', " and "))))
    }

    /// Whether it is in one of the files that are about `library`.
    #[must_use]
    pub fn is_about(&self, library: &str) -> bool {
        OF_THE_MATRIX.iter().any(|(name, groups)| *name == library && groups.contains(&&*self.group))
    }

    /// Whether the matrix runs it for `library`: it is about that library, and wants no other.
    #[must_use]
    pub fn is_of(&self, library: &str) -> bool {
        self.is_about(library)
            && self.with.as_ref().is_none_or(|with| with.split(' ').all(|one| one == library))
    }

    /// Whether the matrix runs it for any.
    #[must_use]
    pub fn is_of_the_matrix(&self) -> bool {
        OF_THE_MATRIX.iter().any(|(library, _)| self.is_of(library))
    }

    /// Whether a module of `release` can have what it is about.
    ///
    /// # Panics
    /// Its `since` is no version.
    #[must_use]
    pub fn is_since(&self, release: &Version) -> bool {
        self.since.as_ref().is_none_or(|since| since.parse::<Version>().expect("a version") <= *release)
    }

    /// Runs it in a process of its own, with what `place` has and the system's modules, and nothing else.
    ///
    /// # Errors
    /// What the process printed, where it failed.
    pub fn run(&self, place: &Environment) -> Result<(), String> {
        let mut command = place.command();
        command
            .arg(workspace().join("compat-tests/scenarios/lib/runner.lua"))
            .arg(&self.file)
            .arg(&self.name);
        command.env("DSS_TEST_FOLDER", &place.folder);
        // Where code that must not run would leave a trace: a file of this run's own.
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        command.env("DSS_TEST_TRACE", place.folder.join(format!("trace.{}.{run}", std::process::id())));
        if let Some(interpreter) = system_interpreter(place.lua) {
            command.env("DSS_TEST_INTERPRETER", interpreter);
        }
        let ended = limited(&mut command, Duration::from_secs(120));
        if ended.succeeded() { Ok(()) } else { Err(ended.report()) }
    }
}

/// All scenarios, in the order of their files.
///
/// # Panics
/// They cannot be read.
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
        "realtime" => may_be_realtime(),
        other => panic!("no scenario can need `{other}`"),
    };
    // The gate says that what it installed must be there. Debian 12 has nothing for 5.5, and copas up to 5.2.
    let packaged = match need {
        "copas" => ["lua51", "lua52", "luajit"].contains(&lua.0),
        // Not a package, but a right: root's, or that of a limit (`ulimit -r`).
        "realtime" => cfg!(target_os = "linux"),
        _ => lua.0 != "lua55",
    };
    assert!(
        present || !packaged || std::env::var_os("DSS_REQUIRE_SYSTEM_LUA").is_none(),
        "{need} for {lua} is missing, and DSS_REQUIRE_SYSTEM_LUA says that it must be here"
    );
    present
}

/// Whether this process may have threads of real-time priority, as root may.
#[cfg(target_os = "linux")]
fn may_be_realtime() -> bool {
    let asked = std::thread::spawn(|| {
        let priority = libc::sched_param { sched_priority: 1 };
        // SAFETY: the parameter lives through the call, which changes this thread alone.
        let refused = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
        refused == 0
    });
    asked.join().expect("nothing panics")
}

#[cfg(not(target_os = "linux"))]
fn may_be_realtime() -> bool {
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
