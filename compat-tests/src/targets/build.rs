//! Building for a target: the host, the module, the libraries, and the command `dss`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fetch::{GCC, target_libdir};
use super::{Target, Tools, make};
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
    if matches!(target.tools, Tools::Musl) {
        settle_musl(target)?;
    }
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

/// Makes musl usable from the folder that it was unpacked into.
fn settle_musl(target: &Target) -> Result<(), String> {
    let root = target.root();
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let specs = root.join("usr/lib/x86_64-linux-musl/musl-gcc.specs");
    let text = fs::read_to_string(&specs).map_err(|error| failed(&specs, error))?;
    let text = text
        .replace("/usr/", &format!("{}/usr/", root.display()))
        .replace("/lib/ld-musl-x86_64.so.1", &target.loader().display().to_string());
    let ours = target.specs();
    fs::write(&ours, text).map_err(|error| failed(&ours, error))?;
    // A system with musl has a `libgcc_s.so.1` that is built for it. Debian has none, so each file gets the unwinder of Rust's
    // standard library for musl.
    let unwinder = target_libdir(target.triple)?.join("self-contained/libunwind.a");
    let script = target.unwinder().join("libgcc_s.so");
    make(&target.unwinder())?;
    fs::write(&script, format!("INPUT({})\n", unwinder.display())).map_err(|error| failed(&script, error))
}

impl Target {
    /// The C compiler, which also links what Rust compiles.
    pub(super) fn compiler(&self) -> PathBuf {
        match self.tools {
            Tools::Cross { gnu, .. } => self.root().join(format!("usr/bin/{gnu}-gcc-{GCC}")),
            Tools::Musl => PathBuf::from("gcc"),
        }
    }

    pub(super) fn archiver(&self) -> PathBuf {
        match self.tools {
            Tools::Cross { gnu, .. } => self.root().join(format!("usr/bin/{gnu}-ar")),
            Tools::Musl => PathBuf::from("ar"),
        }
    }

    /// The dynamic loader of its programs.
    pub(super) fn loader(&self) -> PathBuf {
        match self.tools {
            Tools::Cross { loader, .. } => self.shared_libraries().join(loader),
            // With musl it is the same file.
            Tools::Musl => self.root().join("lib/x86_64-linux-musl/libc.so"),
        }
    }

    /// The folder with its libc.
    fn shared_libraries(&self) -> PathBuf {
        match self.tools {
            Tools::Cross { gnu, .. } => self.root().join("usr").join(gnu).join("lib"),
            Tools::Musl => self.root().join("lib/x86_64-linux-musl"),
        }
    }

    /// The specs by which gcc compiles for musl.
    fn specs(&self) -> PathBuf {
        self.folder().join("musl.specs")
    }

    /// The folder with the unwinder for musl.
    fn unwinder(&self) -> PathBuf {
        self.folder().join("unwinder")
    }

    /// The options by which the C compiler finds what lies in the target folder.
    pub(super) fn c_flags(&self) -> Vec<String> {
        match self.tools {
            Tools::Cross { .. } => vec![format!("--sysroot={}", self.root().display())],
            Tools::Musl => vec!["-specs".to_owned(), self.specs().display().to_string()],
        }
    }

    /// The options by which what is linked finds its libc when it runs.
    fn link_flags(&self) -> Vec<String> {
        let mut flags = self.c_flags();
        flags.push(format!("-Wl,--dynamic-linker={}", self.loader().display()));
        flags.push(format!("-Wl,-rpath,{}", self.shared_libraries().display()));
        if matches!(self.tools, Tools::Musl) {
            // Debian has `libc.so` in another folder than `libc.a`, which would be linked if the other was not found first.
            let folders = [self.shared_libraries(), self.unwinder()];
            flags.extend(folders.iter().map(|folder| format!("-L{}", folder.display())));
        }
        flags
    }

    /// The options of the Rust compiler.
    pub(super) fn rustflags(&self) -> Vec<String> {
        let mut flags: Vec<String> =
            self.link_flags().iter().map(|flag| format!("-Clink-arg={flag}")).collect();
        if matches!(self.tools, Tools::Musl) {
            // Rust links musl statically, and makes no shared library, unless it is told otherwise.
            flags.extend(["-Ctarget-feature=-crt-static", "-Clink-self-contained=no"].map(str::to_owned));
        }
        flags
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
