//! Everything that is built for one Lua, in one folder.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::build_lock::BuildLock;
use crate::c::{self, CModules};
use crate::c2v0;
use crate::environment::Environment;
use crate::luas::{ALL, Lua};
use crate::sanitizer::Sanitizer;
use crate::stamp;
use crate::walk;

/// A folder with everything for one Lua: `lua-host`, `darksidesync.so`, `dss.lua` and the libraries.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// The Lua they are built for.
    pub lua: Lua,
    /// The folder.
    pub folder: PathBuf,
    /// The folder with the libraries that are the same files for every Lua.
    pub for_every_lua: PathBuf,
    /// The folder with the c2v0 libraries, which are also the same for every Lua.
    pub c2v0: PathBuf,
}

/// A package, cargo's name of its file, and Lua's or DSS's name of it.
type Package = (&'static str, &'static str, &'static str);

/// The Rust packages that Lua requires. The last one is the same for every Lua; the others are built for each.
const PACKAGES: [Package; 6] = [
    ("dss-lua", "libdarksidesync", "darksidesync"),
    ("dss-lib-luaexit", "libluaexit", "luaexit"),
    ("dss-lib-fswatch", "libfswatch", "fswatch"),
    ("dss-lib-httpd", "libhttpd", "httpd"),
    ("dss-probe-v1", "libprobe_v1", "probe_v1"),
    ("dss-plain-v1", "libplain_v1", "plain_v1"),
];

/// The libraries that do not depend on Lua and are built once.
const FOR_EVERY_LUA: [Package; 5] = [
    ("fswatch-v2", "libfswatch_v2", "fswatch"),
    ("httpd-v2", "libhttpd_v2", "httpd"),
    ("sqlite-v2", "libsqlite_v2", "sqlite"),
    ("dss-probe-v2", "libprobe_v2", "probe_v2"),
    ("dss-authors-v2", "libauthors_v2", "authors"),
];

/// The packages and libraries that the benchmarks use. Nothing else is built for them.
const MEASURED: [&str; 5] = ["dss-lua", "dss-probe-v1", "dss-probe-v2", "sqlite-v2", "probe_c2v0"];

/// Copies the modules in Lua that DSS ships.
///
/// # Panics
/// A file cannot be copied.
pub(crate) fn copy_lua_modules(to: &Path) {
    let from = workspace().join("dss-lua/lua");
    fs::create_dir_all(to.join("dss")).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for file in walk::files(&from, |_| true) {
        let within = file.strip_prefix(&from).expect("it was found in there");
        copy(&file, &to.join(within));
    }
}

/// The top folder of the workspace.
///
/// # Panics
/// Never: this crate is in a folder directly below it.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a workspace")
}

/// The folder that this crate builds into, inside cargo's target folder.
#[must_use]
pub fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    workspace().join(target).join("compat").join(Sanitizer::chosen().map_or("", Sanitizer::name))
}

/// A command that runs the same cargo as the one running this process, but with another target folder, because the outer
/// cargo may hold the lock of its own.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).env("CARGO_TARGET_DIR", target().join("cargo"));
    // The outer cargo set these for its own run.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    if let Some(sanitizer) = Sanitizer::compiled_in() {
        sanitizer.instrument(&mut command);
    }
    command
}

/// The folder that [`cargo`] builds a profile into.
fn built(profile: &str) -> PathBuf {
    let of_target = Sanitizer::compiled_in().map_or_else(String::new, |_| c::target());
    target().join("cargo").join(of_target).join(profile)
}

/// Removes from a command the variables that this process's cargo set, so that it can run a cargo of another toolchain.
pub fn forget_toolchain(command: &mut Command) {
    for variable in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN", "CARGO_BUILD_TARGET"]
    {
        command.env_remove(variable);
    }
}

/// Runs `command` and returns its stdout.
///
/// # Panics
/// The command cannot be run, or fails. The message has its output.
pub fn succeed(command: &mut Command) -> String {
    try_succeed(command).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs `command` and returns its stdout.
///
/// # Errors
/// The command cannot be run, or fails: the command and its output.
pub fn try_succeed(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        return Err(format!("{command:?} failed: {}\n{stdout}{stderr}", output.status));
    }
    Ok(text(&output.stdout))
}

/// The options of cargo that select what is built for `lua`. Another selection has other features, and compiles much again.
#[must_use]
pub fn selection(lua: Lua) -> Vec<&'static str> {
    options(lua, PACKAGES.iter().chain(&FOR_EVERY_LUA))
}

/// The same for some packages.
fn options<'a>(lua: Lua, packages: impl Iterator<Item = &'a Package>) -> Vec<&'static str> {
    let mut options = vec!["--no-default-features", "--features", lua.0, "--package", "dss-test-host"];
    // Those for every Lua are built along, because one build of all is faster than two.
    for (package, ..) in packages {
        options.extend(["--package", package]);
    }
    options
}

impl Artefacts {
    /// Builds everything for `lua`, at most once in this process, and only if the sources have changed.
    ///
    /// # Panics
    /// A build fails.
    #[must_use]
    pub fn of(lua: Lua) -> &'static Artefacts {
        static BUILT: [OnceLock<Artefacts>; ALL.len()] = [const { OnceLock::new() }; ALL.len()];
        let index = ALL.iter().position(|known| *known == lua).expect("one of the six");
        BUILT[index].get_or_init(|| {
            Self::build(lua, Sanitizer::chosen().map_or("compat", Sanitizer::profile), |_| true)
        })
    }

    /// Builds what the benchmarks measure as a release is built.
    ///
    /// # Panics
    /// A build fails.
    #[must_use]
    pub fn as_released(lua: Lua) -> Artefacts {
        Self::build(lua, "release", |name| MEASURED.contains(&name))
    }

    /// Builds what is wanted for `lua`. Waits while another process or thread builds there.
    fn build(lua: Lua, profile: &str, is_wanted: impl Fn(&str) -> bool) -> Artefacts {
        let _lock = BuildLock::acquire(&target());
        let at = |name: &str| target().join(profile).join(name);
        let artefacts = Artefacts { lua, folder: at(lua.0), for_every_lua: at("v2"), c2v0: at("c2v0") };
        stamp::unless_current(&artefacts.folder, || artefacts.make(profile, &is_wanted));
        stamp::unless_current(&artefacts.c2v0, || c2v0::build_all(&artefacts.c2v0, &is_wanted));
        artefacts
    }

    fn make(&self, profile: &str, is_wanted: impl Fn(&str) -> bool) {
        let wanted = |packages: &[Package]| {
            packages.iter().copied().filter(|(package, ..)| is_wanted(package)).collect::<Vec<_>>()
        };
        let (packages, for_every_lua) = (wanted(&PACKAGES), wanted(&FOR_EVERY_LUA));
        let mut command = cargo();
        command.args(["build", "--quiet", "--profile", profile]);
        command.args(options(self.lua, packages.iter().chain(&for_every_lua)));
        succeed(&mut command);
        let built = built(profile);
        copy(&built.join("lua-host"), &self.host());
        for (to, packages) in [(&self.folder, packages), (&self.for_every_lua, for_every_lua)] {
            fs::create_dir_all(to).expect("the target folder can be written to");
            for (_, file, name) in packages {
                copy(&built.join(format!("{file}.{}", extension())), &to.join(format!("{name}.so")));
            }
        }
        copy_lua_modules(&self.folder);
        self.compile_c();
    }

    fn compile_c(&self) {
        let include = succeed(Command::new(self.host()).arg("--include"));
        let modules = CModules {
            folder: &self.folder,
            ending: "so",
            include: Path::new(include.trim()),
            abi: &workspace().join("dss-abi/c1v0"),
            flag: None,
        };
        modules.all(&c::try_compile).unwrap_or_else(|error| panic!("{error}"));
        if cfg!(target_os = "linux") {
            modules.linux(&c::try_compile).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// The host's executable.
    #[must_use]
    pub fn host(&self) -> PathBuf {
        self.folder.join("lua-host")
    }

    /// A command that runs the host with the modules of this folder and of the `further` folders. The caller adds the script.
    #[must_use]
    pub fn command(&self, further: &[PathBuf]) -> Command {
        let mut environment = self.environment();
        environment.folders.extend_from_slice(further);
        environment.command()
    }

    /// This folder as an environment for scenarios.
    #[must_use]
    pub fn environment(&self) -> Environment {
        Environment {
            lua: self.lua,
            host: self.host(),
            folders: vec![self.folder.clone()],
            libraries: vec![self.for_every_lua.clone(), self.c2v0.clone()],
            folder: self.folder.clone(),
        }
    }
}

/// The command `dss`, built once in this process.
///
/// # Panics
/// It cannot be built.
#[must_use]
pub fn dss() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        succeed(cargo().args(["build", "--quiet", "--profile", "compat", "--package", "dss-cli"]));
        built("compat").join("dss")
    })
}

/// Copies a file atomically, unless `to` already has the same content.
///
/// # Panics
/// The file cannot be read, or the folder cannot be written to.
pub fn copy(from: &Path, to: &Path) {
    let bytes = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return;
    }
    let partial = to.with_extension(format!("{}.part", std::process::id()));
    fs::copy(from, &partial).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    fs::rename(&partial, to).expect("the folder was just written to");
}

/// The file extension of this system's shared libraries.
#[must_use]
pub fn extension() -> &'static str {
    if cfg!(target_os = "macos") { "dylib" } else { "so" }
}
