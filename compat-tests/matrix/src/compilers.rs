//! The Rust compilers that libraries are built with.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use compat_tests::artefacts::{forget_toolchain, try_succeed};
use semver::Version;

use crate::fetch;

/// The environment variable that lists more compilers, in the format of `PATH`.
const LISTED: &str = "DSS_MATRIX_RUSTC";

/// A Rust compiler, and the cargo to use with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// The first two numbers of its version, after `nightly` or `beta` if it is one.
    pub(crate) name: String,
    /// Its full version.
    pub(crate) release: Version,
    rustc: PathBuf,
    cargo: PathBuf,
    /// The version of cargo.
    cargo_release: Version,
    /// The folder of its shared libraries, if they are not installed on the system.
    libraries: Option<PathBuf>,
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Compiler {
    /// The compiler at `rustc`, with its shared libraries in `libraries`.
    ///
    /// # Errors
    /// The compiler cannot be run, or does not print its version.
    pub(crate) fn at(rustc: &Path, libraries: Option<PathBuf>) -> Result<Compiler, String> {
        let run = |program: &Path| {
            let mut command = Command::new(program);
            if let Some(libraries) = &libraries {
                command.env("LD_LIBRARY_PATH", libraries);
            }
            let said = try_succeed(command.args(["--version", "--verbose"]))?;
            version(&said).ok_or_else(|| format!("{} says no version: {said}", program.display()))
        };
        let release = run(rustc)?;
        // Use its own cargo if it has one. Otherwise use ours, which supports older compilers.
        let beside = rustc.with_file_name("cargo");
        let ours = PathBuf::from(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let cargo = if beside.exists() { beside } else { ours };
        let cargo_release = run(&cargo)?;
        Ok(Compiler {
            name: name(&release),
            release,
            rustc: rustc.to_owned(),
            cargo,
            cargo_release,
            libraries,
        })
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

    /// A command that runs cargo with this compiler.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.env("RUSTC", &self.rustc);
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        forget_toolchain(&mut command);
        command
    }

    /// Whether its cargo is too old for today's registry, so that it needs vendored crates.
    pub(crate) fn wants_vendored(&self) -> bool {
        self.cargo_release.minor < 74
    }
}

/// The version in the output of `--version --verbose`.
fn version(said: &str) -> Option<Version> {
    said.lines().find_map(|line| line.strip_prefix("release: "))?.parse().ok()
}

/// The first two numbers of a version, after its channel if that is not stable.
fn name(release: &Version) -> String {
    let numbers = format!("{}.{}", release.major, release.minor);
    match release.pre.split('.').next() {
        None | Some("") => numbers,
        // `beta.3` is the channel `beta`.
        Some(channel) => format!("{channel} {numbers}"),
    }
}

/// All available compilers: the one in use, those listed, those fetched, and rustup's nightly. Each release appears once, the
/// oldest first.
///
/// # Errors
/// The compiler in use, or one that was listed, cannot be run.
pub(crate) fn all() -> Result<Vec<Compiler>, String> {
    let mut found = vec![Compiler::in_use()?];
    if let Some(listed) = env::var_os(LISTED) {
        for rustc in env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()) {
            found.push(Compiler::at(&rustc, None).map_err(|error| format!("{LISTED}: {error}"))?);
        }
    }
    found.extend(fetch::fetched());
    // This fails without rustup or without its nightly, which is not an error.
    if let Ok(rustc) = try_succeed(Command::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]))
    {
        found.extend(Compiler::at(Path::new(rustc.trim()), None));
    }
    Ok(each_once(found))
}

/// Removes duplicate releases and sorts the rest, the oldest first. If two have the same name, the second is named by its
/// full version.
fn each_once(found: Vec<Compiler>) -> Vec<Compiler> {
    let mut unique: Vec<Compiler> = Vec::new();
    for mut compiler in found {
        if unique.iter().any(|known| known.release == compiler.release) {
            continue;
        }
        if unique.iter().any(|known| known.name == compiler.name) {
            compiler.name = compiler.release.to_string();
        }
        unique.push(compiler);
    }
    unique.sort_by(|one, other| one.release.cmp(&other.release));
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(release: &str) -> Compiler {
        let release = version(&format!("rustc\nrelease: {release}\n")).expect("a version");
        let (rustc, cargo) = (PathBuf::from("rustc"), PathBuf::from("cargo"));
        Compiler {
            name: name(&release),
            cargo_release: release.clone(),
            release,
            rustc,
            cargo,
            libraries: None,
        }
    }

    #[test]
    fn a_compiler_is_named_by_its_channel_and_two_numbers() {
        let name = |release| compiler(release).name;
        assert_eq!(name("1.63.0"), "1.63");
        assert_eq!(name("1.96.0-beta.3"), "beta 1.96");
        assert_eq!(name("1.97.0-nightly"), "nightly 1.97");
        assert_eq!(name("1.95.0-dev"), "dev 1.95");
        assert_eq!(version("rustc 1.95.0"), None);
    }

    #[test]
    fn a_release_appears_once_and_names_are_unique() {
        let found = ["1.95.0", "1.95.1", "1.63.0", "1.95.0", "1.96.0-beta.1", "1.96.0"].map(compiler);
        let names: Vec<_> = each_once(found.to_vec()).into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["1.63", "1.95", "1.95.1", "beta 1.96", "1.96"]);
    }
}
