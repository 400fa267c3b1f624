//! Platforms whose linkers and systems are not here: the module and the command `dss` are compiled for them, and no more.

use super::{cargo, fetch, folder};
use crate::artefacts::{try_succeed, workspace};

/// The packages that are compiled, with those that they need.
const PACKAGES: [&str; 4] = ["dss-lua", "dss-cli", "dss-abi-c1v0", "dss-abi-c2v0"];

/// A processor and a system.
#[derive(Debug)]
pub struct Compiled {
    /// Its name on the command line and in the report.
    pub name: &'static str,
    /// Rust's name of it.
    triple: &'static str,
}

/// All platforms that are compiled for only.
pub const COMPILED: &[Compiled] = &[
    Compiled { name: "macos", triple: "aarch64-apple-darwin" },
    Compiled { name: "msvc", triple: "x86_64-pc-windows-msvc" },
];

impl Compiled {
    /// The platform with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Compiled> {
        COMPILED.iter().find(|platform| platform.name == name)
    }

    /// Compiles the module for Lua 5.4 and the command `dss`, with warnings as errors.
    ///
    /// # Errors
    /// Rust's standard library for it is missing, or something does not compile: what the tool said.
    pub fn check(&self, tell: &dyn Fn(String)) -> Result<(), String> {
        fetch::standard_library(self.triple, tell)?;
        tell(format!("{}: compiling the module and the command dss", self.name));
        let mut command = cargo();
        command.args(["check", "--quiet", "--target", self.triple]);
        command.args(["--no-default-features", "--features", "dss-lua/lua54"]);
        for package in PACKAGES {
            command.args(["--package", package]);
        }
        let triple = self.triple.replace('-', "_").to_uppercase();
        command.env(format!("CARGO_TARGET_{triple}_RUSTFLAGS"), "-Dwarnings");
        command.env("CARGO_TARGET_DIR", folder().join("compiled")).current_dir(workspace());
        try_succeed(&mut command).map(drop)
    }
}
