//! Compiling C modules as their authors would: one compiler call, against a Lua's headers; and those of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artefacts::{try_succeed, workspace};

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

/// The compiler that is used: that of `CC`, or the system's.
fn compiler() -> cc::Tool {
    let target = target();
    cc::Build::new().target(&target).host(&target).opt_level(2).cargo_metadata(false).get_compiler()
}

/// Its name and version, as far as it says one: `cc 12`.
#[must_use]
pub fn compiler_name() -> String {
    let compiler = compiler();
    let name = compiler.path().file_name().unwrap_or(compiler.path().as_os_str()).to_string_lossy();
    let said = try_succeed(compiler.to_command().arg("-dumpversion")).unwrap_or_default();
    format!("{name} {}", said.trim()).trim_end().to_owned()
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
    command.args(module.sources).arg("-o").arg(&partial).arg("-lpthread");
    try_succeed(&mut command).map_err(|error| format!("the C compiler: {error}"))?;
    std::fs::rename(&partial, module.output).expect("the folder was just written to");
    Ok(())
}

/// What compiles a C module.
pub type Compile<'a> = &'a dyn Fn(&Module<'_>) -> Result<(), String>;

/// Where C modules are made, and of what.
#[derive(Clone, Copy, Debug)]
pub struct CModules<'a> {
    /// The folder that they are made in.
    pub folder: &'a Path,
    /// How their files end.
    pub ending: &'a str,
    /// A Lua's headers.
    pub include: &'a Path,
    /// The crate of 1.0's interface, with its header and its helper.
    pub abi: &'a Path,
    /// A flag more, for each.
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
        compile(&Module { sources, includes: &includes, flags: &flags, output: &output })
    }

    /// Has `compile` make the libraries of 1.0's interface.
    ///
    /// # Errors
    /// What `compile` says.
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

    /// Has `compile` make those that only Linux can have.
    ///
    /// # Errors
    /// What `compile` says.
    pub fn linux(&self, compile: Compile<'_>) -> Result<(), String> {
        let source = workspace().join("compat-tests/fixtures/faults/faults.c");
        self.make(compile, "faults", &[source], &[])
    }

    /// Has `compile` make each C module of the tests that every system can have.
    ///
    /// # Errors
    /// What `compile` says.
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
