//! Compiling C modules as their authors would, with one compiler call and a Lua's headers; and the C modules of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artefacts::{try_succeed, workspace};
use crate::sanitizer::Sanitizer;

/// One shared library to compile.
pub struct Module<'a> {
    /// The source files.
    pub sources: &'a [PathBuf],
    /// The folders with headers.
    pub includes: &'a [PathBuf],
    /// More flags.
    pub flags: &'a [&'a str],
    /// The libraries that it is linked to, as options.
    pub libraries: &'a [&'a str],
    /// The file to make.
    pub output: &'a Path,
}

/// The target triple of this machine, for the crate `cc`.
pub(crate) fn target() -> String {
    let os = match std::env::consts::OS {
        "macos" => "apple-darwin",
        "linux" => "unknown-linux-gnu",
        other => other,
    };
    format!("{}-{os}", std::env::consts::ARCH)
}

/// The C compiler: the one that `CC` names, or the system's.
fn compiler() -> cc::Tool {
    let target = target();
    let mut build = cc::Build::new();
    build.target(&target).host(&target).opt_level(2).cargo_metadata(false);
    if let Some(sanitizer) = Sanitizer::compiled_in() {
        build.compiler("clang").flags(sanitizer.flags());
    }
    build.get_compiler()
}

/// The name of the C compiler, and its version if it prints one: `cc 12`.
#[must_use]
pub fn compiler_name() -> String {
    let compiler = compiler();
    let name = compiler.path().file_name().unwrap_or(compiler.path().as_os_str()).to_string_lossy();
    let said = try_succeed(compiler.to_command().arg("-dumpversion")).unwrap_or_default();
    format!("{name} {}", said.trim()).trim_end().to_owned()
}

/// Compiles a module, with warnings as errors.
///
/// # Panics
/// The compiler is missing, or rejects the sources.
pub fn compile(module: &Module<'_>) {
    if let Err(error) = try_compile(module) {
        panic!("{error}");
    }
}

/// Compiles a module, with warnings as errors.
///
/// # Errors
/// The compiler is missing, or rejects the sources: what it said.
///
/// # Panics
/// The folder of the output cannot be written to.
pub fn try_compile(module: &Module<'_>) -> Result<(), String> {
    let partial = module.output.with_extension(format!("{}.part", std::process::id()));
    let mut command: Command = compiler().to_command();
    command.args(["-std=gnu11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]);
    if cfg!(target_os = "macos") {
        command.args(["-undefined", "dynamic_lookup"]);
    }
    command.args(module.flags);
    for include in module.includes {
        command.arg("-I").arg(include);
    }
    command.args(module.sources).arg("-o").arg(&partial).args(module.libraries).arg("-lpthread");
    try_succeed(&mut command).map_err(|error| format!("the C compiler: {error}"))?;
    std::fs::rename(&partial, module.output).expect("the folder was just written to");
    Ok(())
}

/// A function that compiles a C module.
pub type Compile<'a> = &'a dyn Fn(&Module<'_>) -> Result<(), String>;

/// How the C modules of the tests are built: the output folder, the headers and the flags.
#[derive(Clone, Copy, Debug)]
pub struct CModules<'a> {
    /// The output folder.
    pub folder: &'a Path,
    /// The file extension, without the dot.
    pub ending: &'a str,
    /// The folder with the headers of a Lua.
    pub include: &'a Path,
    /// The folder of the crate with 1.0's interface, its header and its helper.
    pub abi: &'a Path,
    /// One more flag for each module.
    pub flag: Option<&'a str>,
}

impl CModules<'_> {
    fn make(
        &self,
        compile: Compile<'_>,
        name: &str,
        sources: &[PathBuf],
        flags: &[&str],
    ) -> Result<(), String> {
        let includes = [self.include.to_owned(), self.abi.join("include"), self.abi.join("helper")];
        let output = self.folder.join(format!("{name}.{}", self.ending));
        let flags: Vec<_> = flags.iter().copied().chain(self.flag).collect();
        compile(&Module { sources, includes: &includes, flags: &flags, libraries: &[], output: &output })
    }

    /// Builds the libraries of 1.0's interface with `compile`.
    ///
    /// # Errors
    /// The error of `compile`.
    pub fn c1v0(&self, compile: Compile<'_>) -> Result<(), String> {
        let tests = workspace().join("compat-tests");
        let timer = [tests.join("libraries/timer/timer.c"), self.abi.join("helper/darksidesync_aux.c")];
        self.make(compile, "timer", &timer, &["-std=c99", "-D_POSIX_C_SOURCE=200809L"])?;
        for name in ["probe", "probe2", "probe3"] {
            let define = format!("-DPROBE_NAME={name}");
            self.make(compile, name, &[tests.join("fixtures/probe/probe.c")], &[&define])?;
        }
        Ok(())
    }

    /// Builds the modules that exist only on Linux with `compile`.
    ///
    /// # Errors
    /// The error of `compile`.
    pub fn linux(&self, compile: Compile<'_>) -> Result<(), String> {
        let source = workspace().join("compat-tests/fixtures/faults/faults.c");
        self.make(compile, "faults", &[source], &[])
    }

    /// Builds all C modules that work on every system with `compile`.
    ///
    /// # Errors
    /// The error of `compile`.
    pub fn all(&self, compile: Compile<'_>) -> Result<(), String> {
        self.c1v0(compile)?;
        let fixtures = workspace().join("compat-tests/fixtures");
        self.make(compile, "floor", &[fixtures.join("floor/floor.c")], &[])?;
        for (name, flag) in [
            ("misfit_minor", r#"-DREQUIRES="^2.99""#),
            ("misfit_major", r#"-DREQUIRES="^3""#),
            ("misfit_revision", "-DREVISION=9"),
            ("misfit_abort", "-DFLAGS=0"),
            ("misfit_fits", "-DREVISION=2"),
        ] {
            self.make(compile, name, &[fixtures.join("misfit/misfit.c")], &[flag])?;
        }
        Ok(())
    }
}
