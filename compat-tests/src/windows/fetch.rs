//! The Debian packages for building for Windows, unpacked into the target folder and not installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::artefacts::try_succeed;
use crate::debian;

/// Rust with the sources of its standard library, which is built for Windows here; gcc, g++ and binutils for Windows; and Wine.
const PACKAGES: [&str; 16] = [
    "rustc-web",
    "libstd-rust-web-dev",
    "rust-web-src",
    "cargo-web",
    "binutils-mingw-w64-x86-64",
    "gcc-mingw-w64-base",
    "gcc-mingw-w64-x86-64-win32",
    "gcc-mingw-w64-x86-64-win32-runtime",
    "gcc-mingw-w64-x86-64-posix",
    "gcc-mingw-w64-x86-64-posix-runtime",
    "g++-mingw-w64-x86-64-posix",
    "libz-mingw-w64",
    "mingw-w64-common",
    "mingw-w64-x86-64-dev",
    "wine64",
    "libwine",
];

/// Fetches and unpacks the packages into `folder/root`, unless that was done.
///
/// # Errors
/// A package cannot be fetched or unpacked: which one, and the error of the tool.
pub(super) fn fetch(folder: &Path, tell: &dyn Fn(String)) -> Result<(), String> {
    let root = folder.join("root");
    let done = folder.join("fetched");
    let packages = PACKAGES.join("\n");
    if fs::read_to_string(&done).is_ok_and(|fetched| fetched == packages) {
        return Ok(());
    }
    tell("fetching the packages of Rust, mingw-w64 and Wine".to_owned());
    let mut wanted: Vec<String> = PACKAGES.iter().map(|name| (*name).to_owned()).collect();
    wanted.extend(needed()?);
    // Mostly shared libraries of cargo and Wine. If this list cannot be made, a program that lacks a library says so.
    wanted.extend(debian::missing(&PACKAGES).unwrap_or_default());
    wanted.sort();
    wanted.dedup();
    debian::unpack(&wanted, &root).map_err(|error| {
        format!(
            "what builds for Windows could not be fetched: {error}\nIt is in Debian 12 with its security updates, for \
             x86-64. Does `apt-get update` help?"
        )
    })?;
    settle_wine(&root)?;
    fs::write(&done, packages).map_err(|error| format!("{}: {error}", done.display()))
}

/// Packages with their version in their name: Rust's standard library for Linux, and the LLVM that it needs.
fn needed() -> Result<[String; 2], String> {
    let library = dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = dependency(&library, "libllvm")?;
    Ok([library, llvm])
}

/// Replaces a file of Wine's, so that it works from any folder.
fn settle_wine(root: &Path) -> Result<(), String> {
    // Replace a script that calls the server by its installed path.
    let server = root.join("usr/lib/wine/wineserver");
    let failed = |error| format!("{}: {error}", server.display());
    fs::remove_file(&server).map_err(failed)?;
    fs::hard_link(server.with_file_name("wineserver64"), &server).map_err(failed)
}

/// The dependency of `package` whose name begins with `start`.
fn dependency(package: &str, start: &str) -> Result<String, String> {
    let said = try_succeed(Command::new("apt-cache").args(["show", "--no-all-versions", package]))?;
    let depends = said.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
    let mut names = depends.split(", ").filter_map(|one| one.split(' ').next());
    names
        .find(|name| name.starts_with(start))
        .map(str::to_owned)
        .ok_or_else(|| format!("the package {package} depends on no {start}*, but on: {depends}"))
}
