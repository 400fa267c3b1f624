//! Compiling C modules as their authors would: one compiler call, against a Lua's headers.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artefacts::try_succeed;

/// One shared library to compile.
pub struct Module<'a> {
    /// What to compile.
    pub sources: &'a [PathBuf],
    /// Where headers are.
    pub includes: &'a [PathBuf],
    /// Further flags.
    pub flags: &'a [&'a str],
    /// What to make.
    pub output: &'a Path,
}

/// The triple of this machine, as the compiler crate wants it.
fn target() -> String {
    let os = match std::env::consts::OS {
        "macos" => "apple-darwin",
        "linux" => "unknown-linux-gnu",
        other => other,
    };
    format!("{}-{os}", std::env::consts::ARCH)
}

/// Compiles, with warnings as errors.
///
/// # Panics
/// The compiler is not there, or refuses the sources.
pub fn compile(module: &Module<'_>) {
    if let Err(error) = try_compile(module) {
        panic!("{error}");
    }
}

/// The same.
///
/// # Errors
/// The compiler is not there, or refuses the sources: what it said.
///
/// # Panics
/// The folder of the output cannot be written to.
pub fn try_compile(module: &Module<'_>) -> Result<(), String> {
    let target = target();
    let compiler =
        cc::Build::new().target(&target).host(&target).opt_level(2).cargo_metadata(false).get_compiler();
    let partial = module.output.with_extension(format!("{}.part", std::process::id()));
    let mut command: Command = compiler.to_command();
    command.args(["-std=gnu11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]);
    if cfg!(target_os = "macos") {
        command.args(["-undefined", "dynamic_lookup"]);
    }
    command.args(module.flags);
    for include in module.includes {
        command.arg("-I").arg(include);
    }
    command.args(module.sources).arg("-o").arg(&partial).arg("-lpthread");
    try_succeed(&mut command).map_err(|error| format!("the C compiler: {error}"))?;
    std::fs::rename(&partial, module.output).expect("the folder was just written to");
    Ok(())
}
