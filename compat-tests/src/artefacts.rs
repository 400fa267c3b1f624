//! What is built for one Lua, in a folder of its own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::build_lock::BuildLock;
use crate::c::{self, CModules};
use crate::environment::Environment;
use crate::luas::{ALL, Lua};
use crate::stamp;

/// A folder with all that one Lua needs: `lua-host`, `darksidesync.so` and the libraries, `dss.lua`.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// Which Lua they are for.
    pub lua: Lua,
    /// The folder.
    pub folder: PathBuf,
    /// The folder with the libraries that are the same files for every Lua.
    pub for_every_lua: PathBuf,
}

/// The Rust packages that Lua requires: the package, what cargo calls the file, what Lua calls it. All are built for each Lua
/// but the last, which is the same for all.
const PACKAGES: [(&str, &str, &str); 6] = [
    ("dss-lua", "libdarksidesync", "darksidesync"),
    ("dss-lib-luaexit", "libluaexit", "luaexit"),
    ("dss-lib-fswatch", "libfswatch", "fswatch"),
    ("dss-lib-httpd", "libhttpd", "httpd"),
    ("dss-probe-v1", "libprobe_v1", "probe_v1"),
    ("dss-plain-v1", "libplain_v1", "plain_v1"),
];

/// The libraries that know nothing of Lua, built once for all: the package, what cargo calls the file, what DSS calls it.
const FOR_EVERY_LUA: [(&str, &str, &str); 5] = [
    ("fswatch-v2", "libfswatch_v2", "fswatch"),
    ("httpd-v2", "libhttpd_v2", "httpd"),
    ("sqlite-v2", "libsqlite_v2", "sqlite"),
    ("dss-probe-v2", "libprobe_v2", "probe_v2"),
    ("dss-authors-v2", "libauthors_v2", "authors"),
];

/// The top of the workspace.
///
/// # Panics
/// Not at all: this crate lies one below it.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a workspace")
}

/// The folder into which everything in here is built, inside cargo's own target folder.
#[must_use]
pub fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    workspace().join(target).join("compat")
}

/// Cargo, as the one that runs this, on a target folder that its lock is not held for.
#[must_use]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).env("CARGO_TARGET_DIR", target().join("cargo"));
    // What the outer cargo set for its own run is not for the inner one.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// Has a cargo of another toolchain forget what this process's own cargo set for its run.
pub fn forget_toolchain(command: &mut Command) {
    for variable in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN", "CARGO_BUILD_TARGET"]
    {
        command.env_remove(variable);
    }
}

/// Runs `command`; its output is shown where it fails.
///
/// # Panics
/// It cannot be run, or fails.
pub fn succeed(command: &mut Command) -> String {
    try_succeed(command).unwrap_or_else(|error| panic!("{error}"))
}

/// The same.
///
/// # Errors
/// It cannot be run, or fails: the command and its output.
pub fn try_succeed(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        return Err(format!("{command:?} failed: {}\n{stdout}{stderr}", output.status));
    }
    Ok(text(&output.stdout))
}

impl Artefacts {
    /// Builds everything for `lua`, once in this process, and not at all where the sources are as they were.
    ///
    /// # Panics
    /// A build fails.
    #[must_use]
    pub fn of(lua: Lua) -> &'static Artefacts {
        static BUILT: [OnceLock<Artefacts>; ALL.len()] = [const { OnceLock::new() }; ALL.len()];
        let index = ALL.iter().position(|known| *known == lua).expect("one of the six");
        BUILT[index].get_or_init(|| Self::build(lua, "compat"))
    }

    /// Builds everything for `lua` with cargo's profile `profile`, as soon as nobody else builds there.
    ///
    /// # Panics
    /// A build fails.
    #[must_use]
    pub fn build(lua: Lua, profile: &str) -> Artefacts {
        let _lock = BuildLock::acquire(&target());
        let at = |name: &str| target().join(profile).join(name);
        let artefacts = Artefacts { lua, folder: at(lua.0), for_every_lua: at("v2") };
        stamp::unless_current(&artefacts.folder, || artefacts.make(profile));
        // The libraries that know nothing of Lua.
        stamp::unless_current(&artefacts.for_every_lua, || {
            build_into(&artefacts.for_every_lua, profile, &[], &FOR_EVERY_LUA);
        });
        artefacts
    }

    fn make(&self, profile: &str) {
        let with_host = ["--no-default-features", "--features", self.lua.0, "--package", "dss-test-host"];
        let built = build_into(&self.folder, profile, &with_host, &PACKAGES);
        copy(&built.join("lua-host"), &self.host());
        copy(&workspace().join("dss-lua/lua/dss.lua"), &self.folder.join("dss.lua"));
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

    /// The host, ready to run a script with this folder's modules, and with those in `further` folders.
    #[must_use]
    pub fn command(&self, further: &[PathBuf]) -> Command {
        let mut place = self.place();
        place.folders.extend_from_slice(further);
        place.command()
    }

    /// This folder as a place for scenarios.
    #[must_use]
    pub fn place(&self) -> Environment {
        Environment {
            lua: self.lua,
            host: self.host(),
            folders: vec![self.folder.clone()],
            libraries: vec![self.for_every_lua.clone()],
            folder: self.folder.clone(),
        }
    }
}

/// Has cargo build `packages`, with what `further` asks for, and copies their libraries into `to`; where cargo has all of it.
fn build_into(to: &Path, profile: &str, further: &[&str], packages: &[(&str, &str, &str)]) -> PathBuf {
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", profile]).args(further);
    for (package, ..) in packages {
        command.args(["--package", package]);
    }
    succeed(&mut command);
    let built = target().join("cargo").join(profile);
    for (_, file, name) in packages {
        copy(&built.join(format!("{file}.{}", extension())), &to.join(format!("{name}.so")));
    }
    built
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
        target().join("cargo/compat/dss")
    })
}

/// Copies a file, in one step for who looks on. What is there already stays.
///
/// # Panics
/// It cannot be read, or the folder not be written to.
pub fn copy(from: &Path, to: &Path) {
    let bytes = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return;
    }
    let partial = to.with_extension(format!("{}.part", std::process::id()));
    fs::copy(from, &partial).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    fs::rename(&partial, to).expect("the folder was just written to");
}

/// How this system's shared libraries end.
#[must_use]
pub fn extension() -> &'static str {
    if cfg!(target_os = "macos") { "dylib" } else { "so" }
}
