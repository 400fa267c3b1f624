//! Building for a target: the host, the module, the libraries, and the command `dss`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::fetch::GCC;
use super::{Target, make};
use crate::artefacts::{copy, copy_lua_modules, try_succeed, workspace};
use crate::c::{CModules, Module};
use crate::c2v0::{Library, STRICT, include};
use crate::luas::Lua;

/// Cargo's profile: optimised, with the checks of a debug build, as for the scenarios of this machine.
const PROFILE: &str = "compat";

/// What is built by cargo.
const PACKAGES: [&str; 8] = [
    "dss-test-host",
    "dss-lua",
    "dss-lib-luaexit",
    "dss-probe-v1",
    "dss-plain-v1",
    "dss-probe-v2",
    "fswatch-v2",
    "dss-cli",
];

/// Builds everything for `lua`, and what is the same for every Lua.
pub(super) fn build(target: &Target, lua: Lua) -> Result<(), String> {
    let (modules, libraries) = (target.modules(lua), target.libraries());
    make(&modules)?;
    make(&libraries)?;
    let mut command = target.cargo();
    command.args(["build", "--quiet", "--profile", PROFILE, "--target", target.triple]);
    command.args(["--no-default-features", "--features", lua.0]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    try_succeed(&mut command)?;
    let built = target.cargo_target().join(target.triple).join(PROFILE);
    copy(&built.join("lua-host"), &modules.join("lua-host"));
    for name in ["darksidesync", "luaexit", "probe_v1", "plain_v1"] {
        copy(&built.join(format!("lib{name}.so")), &modules.join(format!("{name}.so")));
    }
    for (file, name) in [("probe_v2", "probe_v2"), ("fswatch_v2", "fswatch")] {
        copy(&built.join(format!("lib{file}.so")), &libraries.join(format!("{name}.so")));
    }
    copy(&built.join("dss"), &target.dss());
    copy_lua_modules(&modules);
    target.build_c(&modules, &libraries)
}

impl Target {
    /// The C compiler, which also links what Rust compiles.
    pub(super) fn compiler(&self) -> PathBuf {
        self.root().join(format!("usr/bin/{}-gcc-{GCC}", self.gnu))
    }

    pub(super) fn archiver(&self) -> PathBuf {
        self.root().join(format!("usr/bin/{}-ar", self.gnu))
    }

    /// The dynamic loader of its programs.
    pub(super) fn loader(&self) -> PathBuf {
        self.shared_libraries().join(self.loader)
    }

    /// The folder with its libc.
    fn shared_libraries(&self) -> PathBuf {
        self.root().join("usr").join(self.gnu).join("lib")
    }

    /// The options by which the C compiler finds what lies in the target folder.
    pub(super) fn c_flags(&self) -> Vec<String> {
        vec![format!("--sysroot={}", self.root().display())]
    }

    /// The options by which what is linked finds its libc when it runs.
    fn link_flags(&self) -> Vec<String> {
        let mut flags = self.c_flags();
        flags.push(format!("-Wl,--dynamic-linker={}", self.loader().display()));
        flags.push(format!("-Wl,-rpath,{}", self.shared_libraries().display()));
        flags
    }

    /// The options of the Rust compiler.
    pub(super) fn rustflags(&self) -> Vec<String> {
        self.link_flags().iter().map(|flag| format!("-Clink-arg={flag}")).collect()
    }

    /// The command `dss` for this target.
    pub(super) fn dss(&self) -> PathBuf {
        self.folder().join("dss")
    }

    /// Compiles the C modules with the headers of the host's Lua. The host has to run, because it prints their path.
    fn build_c(&self, modules: &Path, libraries: &Path) -> Result<(), String> {
        let headers = try_succeed(self.program(&modules.join("lua-host")).arg("--include"))?;
        let all = CModules {
            folder: modules,
            ending: "so",
            include: Path::new(headers.trim()),
            abi: &workspace().join("dss-abi/c1v0"),
            flag: None,
        };
        all.all(&|module| self.compile(module))?;
        all.linux(&|module| self.compile(module))?;
        for name in ["probe_c2v0", "probe_refuses"] {
            let library = Library::named(name).expect("it is one of them");
            let flags: Vec<_> = STRICT.iter().chain(library.flags).copied().collect();
            self.compile(&Module {
                sources: &library.sources_in("c"),
                includes: &[include()],
                flags: &flags,
                libraries: &[],
                output: &libraries.join(format!("{name}.so")),
            })?;
        }
        Ok(())
    }

    /// Compiles a C module, with warnings as errors.
    fn compile(&self, module: &Module<'_>) -> Result<(), String> {
        let mut command = Command::new(self.compiler());
        command.env("LD_LIBRARY_PATH", self.root().join("usr/lib/x86_64-linux-gnu"));
        command.args(["-O2", "-std=gnu11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]);
        command.args(module.flags).args(self.link_flags());
        for include in module.includes {
            command.arg("-I").arg(include);
        }
        command.args(module.sources).arg("-o").arg(module.output).args(module.libraries).arg("-lpthread");
        let failed = |error| format!("the C compiler for {}: {error}", self.name);
        try_succeed(&mut command).map(drop).map_err(failed)
    }
}
