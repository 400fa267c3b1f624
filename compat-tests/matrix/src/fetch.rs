//! Compilers from Debian's packages. They are unpacked into the target folder and not installed.

use std::path::PathBuf;
use std::process::Command;

use compat_tests::artefacts::try_succeed;
use compat_tests::debian;

use crate::compilers::Compiler;

/// A compiler, and the Debian packages that it consists of.
struct Packaged {
    version: &'static str,
    /// The package of the compiler itself, by which the full version is found.
    rustc: &'static str,
    /// Packages that must have the same full version.
    beside: &'static [&'static str],
    /// Packages with other versions.
    further: &'static [&'static str],
    /// Whether to fetch the dependencies of `further` that are not installed.
    depends: bool,
}

const PACKAGED: [Packaged; 3] = [
    Packaged {
        version: "1.63",
        rustc: "rustc",
        beside: &["libstd-rust-1.63", "libstd-rust-dev"],
        // Cargo 1.65, because today's cargo uses compiler options that 1.63 does not have.
        further: &["libllvm14", "cargo"],
        depends: true,
    },
    Packaged {
        version: "1.85",
        rustc: "rustc-web",
        beside: &["libstd-rust-web-1.85", "libstd-rust-web-dev"],
        further: &["libllvm19"],
        depends: false,
    },
    Packaged {
        version: "1.96",
        rustc: "rustc-web",
        beside: &["libstd-rust-web-1.96", "libstd-rust-web-dev"],
        further: &["libllvm22"],
        depends: false,
    },
];

fn folder(version: &str) -> PathBuf {
    crate::folder().join("compilers").join(version)
}

/// The folder of Debian's shared libraries.
fn multiarch() -> String {
    format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH)
}

fn unpacked(version: &str) -> Option<Compiler> {
    let root = folder(version);
    Compiler::at(&root.join("usr/bin/rustc"), Some(root.join(multiarch()))).ok()
}

/// The compilers that have been fetched.
pub(crate) fn fetched() -> Vec<Compiler> {
    PACKAGED.iter().filter_map(|packaged| unpacked(packaged.version)).collect()
}

/// Fetches the compilers that are missing, and reports each one through `tell`.
///
/// # Errors
/// A package cannot be fetched: which one, and what `apt-get` said.
pub(crate) fn fetch(tell: &dyn Fn(String)) -> Result<(), String> {
    for packaged in &PACKAGED {
        let version = packaged.version;
        if unpacked(version).is_some() {
            tell(format!("{version}: is there"));
            continue;
        }
        tell(format!("{version}: fetching"));
        unpack(packaged).map_err(|error| {
            format!("the compiler {version} could not be fetched: {error}\nDoes `apt-get update` help?")
        })?;
        match unpacked(version) {
            Some(compiler) => tell(format!("{version}: rustc {compiler}")),
            None => {
                return Err(format!(
                    "{version} was unpacked into {}, and does not run",
                    folder(version).display()
                ));
            }
        }
    }
    Ok(())
}

fn unpack(packaged: &Packaged) -> Result<(), String> {
    let root = folder(packaged.version);
    let full = full_version(packaged)?;
    let mut wanted: Vec<String> = packaged.beside.iter().map(|name| format!("{name}={full}")).collect();
    wanted.push(format!("{}={full}", packaged.rustc));
    wanted.extend(packaged.further.iter().map(|name| (*name).to_owned()));
    if packaged.depends {
        wanted.extend(missing(packaged)?);
    }
    debian::unpack(&wanted, &root)
}

/// The full version of the compiler's package.
fn full_version(packaged: &Packaged) -> Result<String, String> {
    let known = try_succeed(Command::new("apt-cache").args(["madison", packaged.rustc]))?;
    let mut versions = known.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim);
    versions
        .find(|version| version.starts_with(&format!("{}.", packaged.version)))
        .map(str::to_owned)
        .ok_or_else(|| {
            format!("the package {} has no version {}, but:\n{known}", packaged.rustc, packaged.version)
        })
}

/// The dependencies of `further` that are not installed and are not fetched anyway.
fn missing(packaged: &Packaged) -> Result<Vec<String>, String> {
    let mut missing = debian::missing(packaged.further)?;
    missing.retain(|name| {
        let name = name.as_str();
        name != packaged.rustc && !packaged.beside.contains(&name) && !packaged.further.contains(&name)
    });
    Ok(missing)
}
