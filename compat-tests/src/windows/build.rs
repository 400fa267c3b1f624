//! Building for Windows: the host, the module, the libraries, and the files that they need.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{LUA, Windows};
use crate::artefacts::{copy, copy_lua_modules, forget_toolchain, try_succeed, workspace};
use crate::c::{CModules, Module};

/// Rust's target triple for Windows.
const TRIPLE: &str = "x86_64-pc-windows-gnu";

/// The prefix of the names of gcc and binutils for Windows.
const TOOLS: &str = "x86_64-w64-mingw32-";

/// Cargo's profile: optimised, with the checks of a debug build, as for the scenarios on Linux.
const PROFILE: &str = "compat";

/// The source of a Windows DLL that Rust's standard library uses for random numbers. Wine has it only since 9.0.
const PRNG: &str = r"
#include <stddef.h>
unsigned char __stdcall SystemFunction036(void *data, unsigned long size);
__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *data, size_t size) {
  while (size > 0) {
    unsigned long part = size < 0x10000000 ? (unsigned long)size : 0x10000000;
    if (!SystemFunction036(data, part)) return 0;
    data += part;
    size -= part;
  }
  return 1;
}
";

/// Builds everything that is written in Rust.
pub(super) fn build(windows: &Windows, tell: &dyn Fn(String)) -> Result<(), String> {
    start_files(windows)?;
    // The host's build script puts the DLL of its Lua there.
    fs::create_dir_all(windows.dll_folder())
        .map_err(|error| format!("{}: {error}", windows.dll_folder().display()))?;
    tell("building the host, the module and the libraries for Windows".to_owned());
    let mut command = windows.cargo("build");
    command.args(["--no-default-features", "--features", LUA.0]);
    try_succeed(command.args(["-p", "dss-test-host", "-p", "dss-lua", "-p", "dss-probe-v1"]))?;
    try_succeed(windows.cargo("build").args(["-p", "dss-probe-v2", "-p", "fswatch-v2"]))?;
    // This library declares Lua's functions itself and works with any Lua, so the DLL to link is given here.
    let mut command = windows.cargo("rustc");
    command.args(["-p", "dss-plain-v1", "--"]);
    try_succeed(command.arg("-C").arg(prefixed("link-arg=", &windows.import_library())))?;

    let built = windows.cargo_target().join(TRIPLE).join(PROFILE);
    let modules = windows.modules();
    for name in ["lua-host.exe", "darksidesync.dll", "probe_v1.dll", "plain_v1.dll"] {
        copy(&built.join(name), &modules.join(name));
    }
    copy(&windows.dll_folder().join(format!("{LUA}.dll")), &modules.join(format!("{LUA}.dll")));
    copy_lua_modules(&modules);
    for (file, name) in [("probe_v2", "probe_v2"), ("fswatch_v2", "fswatch")] {
        copy(&built.join(format!("{file}.dll")), &windows.libraries().join(format!("{name}.dll")));
    }
    windows.compile_prng()
}

/// Compiles the C modules with the headers of the host's Lua. The host has to run, because it prints their path.
pub(super) fn build_c(windows: &Windows) -> Result<(), String> {
    let include = try_succeed(windows.wine().arg(windows.host()).arg("--include"))?;
    let folder = windows.modules();
    let modules = CModules {
        folder: &folder,
        ending: "dll",
        include: Path::new(include.trim()),
        abi: &workspace().join("dss-abi/c1v0"),
        flag: None,
    };
    modules.all(&|module| windows.compile(module))
}

/// Builds the two object files that a Windows program begins and ends with, because Debian's package lacks them.
fn start_files(windows: &Windows) -> Result<(), String> {
    let folder = windows.root().join("usr/lib/rustlib").join(TRIPLE).join("lib");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let sources = windows.root().join("usr/lib/rustlib/src/rust/library/rtstartup");
    for name in ["rsbegin", "rsend"] {
        let object = folder.join(format!("{name}.o"));
        if object.exists() {
            continue;
        }
        let mut command = Command::new(windows.root().join("usr/bin/rustc"));
        windows.set_environment(&mut command);
        command.args(["--target", TRIPLE, "--emit", "obj", "-o"]).arg(&object);
        try_succeed(command.arg(sources.join(format!("{name}.rs"))))?;
    }
    Ok(())
}

/// A path with a prefix, as one argument.
fn prefixed(before: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(before);
    argument.push(path);
    argument
}

impl Windows {
    /// The folder for the DLL of Lua and its import library. The host's build script fills it.
    fn dll_folder(&self) -> PathBuf {
        self.cargo_target().join("dll")
    }

    fn import_library(&self) -> PathBuf {
        self.dll_folder().join(format!("lib{LUA}.dll.a"))
    }

    /// The C compiler for Windows.
    fn gcc(&self) -> PathBuf {
        self.root().join("usr/bin").join(format!("{TOOLS}gcc-win32"))
    }

    /// Sets the environment of the compilers, without the variables that this process's cargo set.
    fn set_environment(&self, command: &mut Command) {
        let bin = self.root().join("usr/bin");
        forget_toolchain(command);
        // Rust looks for dlltool in `PATH`.
        let mut path = vec![bin.clone()];
        path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        command.env("PATH", env::join_paths(path).expect("a path of the target folder"));
        command.env("LD_LIBRARY_PATH", self.shared_libraries());
        command.env("RUSTC", bin.join("rustc"));
        // The standard library uses unstable features.
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_DIR", self.cargo_target());
        command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", self.gcc());
        command.env("CC_x86_64_pc_windows_gnu", self.gcc());
        command.env("AR_x86_64_pc_windows_gnu", bin.join(format!("{TOOLS}ar")));
        command.env("DSS_HOST_DLL", self.dll_folder());
    }

    fn cargo(&self, what: &str) -> Command {
        let mut command = Command::new(self.root().join("usr/bin/cargo"));
        self.set_environment(&mut command);
        command.current_dir(workspace()).args([what, "--quiet", "--profile", PROFILE, "--target", TRIPLE]);
        command.arg("-Zbuild-std=std,panic_unwind");
        command
    }

    /// Compiles a C module, with warnings as errors.
    fn compile(&self, module: &Module<'_>) -> Result<(), String> {
        let mut command = Command::new(self.gcc());
        command.args(["-O2", "-std=gnu11", "-shared", "-static-libgcc", "-Wall", "-Wextra", "-Werror"]);
        command.args(module.flags);
        for include in module.includes {
            command.arg("-I").arg(include);
        }
        command.args(module.sources).arg("-o").arg(module.output);
        // POSIX threads are in a library of gcc, which is linked statically into the module.
        command.arg(self.import_library()).args(["-Wl,-Bstatic", "-lpthread", "-Wl,-Bdynamic"]);
        try_succeed(&mut command).map(drop).map_err(|error| format!("the C compiler for Windows: {error}"))
    }

    fn compile_prng(&self) -> Result<(), String> {
        let source = self.folder.join("bcryptprimitives.c");
        fs::write(&source, PRNG).map_err(|error| format!("{}: {error}", source.display()))?;
        let mut command = Command::new(self.gcc());
        command.args(["-O2", "-shared", "-static-libgcc", "-o"]);
        command.arg(self.modules().join("bcryptprimitives.dll")).arg(&source).arg("-ladvapi32");
        try_succeed(&mut command).map(drop).map_err(|error| format!("the C compiler for Windows: {error}"))
    }
}
