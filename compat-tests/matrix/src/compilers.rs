//! The Rust compilers that libraries are built with.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use compat_tests::artefacts::{forget_toolchain, try_succeed};

use crate::fetch;

/// The variable that lists further compilers, as `PATH` lists folders.
const LISTED: &str = "DSS_MATRIX_RUSTC";

/// A Rust compiler, and the cargo that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// Its version's first two numbers, with `nightly` before them where it is one.
    pub(crate) name: String,
    /// The second number of its version.
    pub(crate) minor: u32,
    rustc: PathBuf,
    cargo: PathBuf,
    /// The second number of cargo's version.
    cargo_minor: u32,
    /// Where its shared libraries lie, if the system does not know.
    libraries: Option<PathBuf>,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Compiler {
    /// The compiler at `rustc`; its shared libraries lie in `libraries`.
    ///
    /// # Errors
    /// It cannot be run, or does not say its version.
    pub(crate) fn at(rustc: &Path, libraries: Option<PathBuf>) -> Result<Compiler, String> {
        let run = |program: &Path| {
            let mut command = Command::new(program);
            if let Some(libraries) = &libraries {
                command.env("LD_LIBRARY_PATH", libraries);
            }
            try_succeed(command.args(["--version", "--verbose"]))
        };
        let said = run(rustc)?;
        let (name, minor) =
            version(&said).ok_or_else(|| format!("{} says no version: {said}", rustc.display()))?;
        // Its own cargo where it has one, and otherwise ours, which knows compilers older than itself.
        let beside = rustc.with_file_name("cargo");
        let ours = PathBuf::from(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let cargo = if beside.exists() { beside } else { ours };
        let said = run(&cargo)?;
        let (_, cargo_minor) =
            version(&said).ok_or_else(|| format!("{} says no version: {said}", cargo.display()))?;
        Ok(Compiler { name, minor, rustc: rustc.to_owned(), cargo, cargo_minor, libraries })
    }

    /// The compiler in use.
    ///
    /// # Errors
    /// As [`Compiler::at`].
    pub(crate) fn in_use() -> Result<Compiler, String> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let root = try_succeed(Command::new(&rustc).args(["--print", "sysroot"]))?;
        Compiler::at(&Path::new(root.trim()).join("bin/rustc"), None)
            .or_else(|_| Compiler::at(Path::new(&rustc), None))
    }

    /// Cargo, with this compiler.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.env("RUSTC", &self.rustc);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        forget_toolchain(&mut command);
        command
    }

    /// Whether its cargo is too old to ask today's registry.
    pub(crate) fn wants_vendored(&self) -> bool {
        self.cargo_minor < 74
    }
}

/// The name of a version, and its second number, in what `--version --verbose` says.
fn version(said: &str) -> Option<(String, u32)> {
    let release = said.lines().find_map(|line| line.strip_prefix("release: "))?;
    let mut numbers = release.split(['.', '-']);
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let nightly = if release.contains("nightly") { "nightly " } else { "" };
    Some((format!("{nightly}{major}.{minor}"), minor.parse().ok()?))
}

/// All compilers there are: that in use, those listed, those fetched, and rustup's nightly; each version once, the oldest
/// first.
///
/// # Errors
/// One that was listed, or that in use, cannot be run.
pub(crate) fn all() -> Result<Vec<Compiler>, String> {
    let mut found = vec![Compiler::in_use()?];
    if let Some(listed) = env::var_os(LISTED) {
        for rustc in env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()) {
            found.push(Compiler::at(&rustc, None).map_err(|error| format!("{LISTED}: {error}"))?);
        }
    }
    found.extend(fetch::fetched());
    // Without rustup there is none, which is no fault.
    if let Ok(rustc) = try_succeed(Command::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]))
    {
        found.extend(Compiler::at(Path::new(rustc.trim()), None));
    }
    let mut unique: Vec<Compiler> = Vec::new();
    for compiler in found {
        if !unique.iter().any(|known| known.name == compiler.name) {
            unique.push(compiler);
        }
    }
    unique.sort_by_key(|compiler| compiler.minor);
    Ok(unique)
}
