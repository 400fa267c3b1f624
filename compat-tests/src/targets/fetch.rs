//! What a target is built with: Debian's packages, unpacked into the target folder, and Rust's standard library.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Target, Tools, folder};
use crate::artefacts::try_succeed;
use crate::debian;

/// The version of gcc in Debian 12.
pub(super) const GCC: &str = "12";

/// The folder that the emulators are unpacked into.
pub(super) fn emulators() -> PathBuf {
    folder().join("qemu/root")
}

/// Fetches what is missing for `target`.
///
/// # Errors
/// A package cannot be fetched or unpacked, or Rust's standard library is missing: which one, and what to do.
pub(super) fn fetch(target: &Target, tell: &dyn Fn(String)) -> Result<(), String> {
    standard_library(target.triple, tell)?;
    if target.emulator.is_some() {
        packages(&["qemu-user-static".to_owned()], &emulators(), tell)?;
    }
    let wanted: Vec<String> = match target.tools {
        Tools::Musl => vec!["musl".to_owned(), "musl-dev".to_owned()],
        Tools::Cross { gnu, debian, .. } => vec![
            format!("binutils-{gnu}"),
            format!("cpp-{GCC}-{gnu}"),
            format!("gcc-{GCC}-{gnu}"),
            format!("libc6-{debian}-cross"),
            format!("libc6-dev-{debian}-cross"),
            format!("linux-libc-dev-{debian}-cross"),
            format!("libgcc-s1-{debian}-cross"),
            format!("libgcc-{GCC}-dev-{debian}-cross"),
        ],
    };
    packages(&wanted, &target.root(), tell)
}

/// Fetches and unpacks `wanted` into `root`, unless that was done.
fn packages(wanted: &[String], root: &Path, tell: &dyn Fn(String)) -> Result<(), String> {
    let done = root.with_file_name("fetched");
    let list = wanted.join("\n");
    if fs::read_to_string(&done).is_ok_and(|had| had == list) {
        return Ok(());
    }
    tell(format!("fetching {}", wanted.join(", ")));
    debian::unpack(wanted, root).map_err(|error| {
        format!(
            "packages for another platform could not be fetched: {error}\nThey are in Debian 12, for x86-64. Does `apt-get \
             update` help?"
        )
    })?;
    fs::write(&done, list).map_err(|error| format!("{}: {error}", done.display()))
}

/// Adds Rust's standard library for `triple` to the toolchain in use, unless it is there.
pub(super) fn standard_library(triple: &str, tell: &dyn Fn(String)) -> Result<(), String> {
    if target_libdir(triple)?.exists() {
        return Ok(());
    }
    tell(format!("rustup adds the standard library for {triple} to the toolchain in use"));
    try_succeed(Command::new("rustup").args(["target", "add", triple])).map(drop).map_err(|error| {
        format!("the Rust in use has no standard library for {triple}, and rustup does not add it: {error}")
    })
}

/// The folder of Rust's standard library for `triple`.
pub(super) fn target_libdir(triple: &str) -> Result<PathBuf, String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = try_succeed(Command::new(rustc).args(["--print", "target-libdir", "--target", triple]))?;
    Ok(PathBuf::from(said.trim()))
}
