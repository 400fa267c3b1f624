//! The tools that build for Windows: cargo and the compilers for C and C++. On Linux they are Debian's, in the folder that they were
//! unpacked into. On Windows they are those on `PATH`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{LUA, Windows};
use crate::artefacts::{self, forget_toolchain, try_succeed, workspace};
use crate::c::Module;
use crate::c2v0::STRICT;

/// Rust's name of the target that is built for on Linux.
pub(super) const TRIPLE: &str = "x86_64-pc-windows-gnu";

/// The prefix of the names of gcc and binutils for Windows.
const TOOLS: &str = "x86_64-w64-mingw32-";

/// Cargo's profile: optimised, with the checks of a debug build, as for the scenarios on Linux.
const PROFILE: &str = "compat";

impl Windows {
    /// The folder that the packages are unpacked into.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The folder of the shared libraries of the packages.
    pub(super) fn shared_libraries(&self) -> PathBuf {
        self.root().join("usr/lib/x86_64-linux-gnu")
    }

    /// The target folder of cargo's builds for Windows.
    pub(super) fn cargo_target(&self) -> PathBuf {
        self.folder.join("cargo")
    }

    /// The folder of what cargo has built.
    pub(super) fn built(&self) -> PathBuf {
        let triple = if cfg!(windows) { "" } else { TRIPLE };
        self.cargo_target().join(triple).join(PROFILE)
    }

    /// The folder for the DLL of Lua and its import library. The host's build script fills it.
    pub(super) fn dll_folder(&self) -> PathBuf {
        self.cargo_target().join("dll")
    }

    /// The DLL of Lua.
    pub(super) fn dll(&self) -> PathBuf {
        self.dll_folder().join(format!("{LUA}.dll"))
    }

    /// The import library of Lua, for Rust's linker.
    pub(super) fn import_library(&self) -> PathBuf {
        let name = if cfg!(target_env = "msvc") { format!("{LUA}.lib") } else { format!("lib{LUA}.dll.a") };
        self.dll_folder().join(name)
    }

    /// A compiler, by the last part of its name.
    fn compiler(&self, name: &str, threads: &str) -> PathBuf {
        if cfg!(windows) {
            return PathBuf::from(name);
        }
        self.root().join("usr/bin").join(format!("{TOOLS}{name}-{threads}"))
    }

    /// The C compiler for Windows.
    fn gcc(&self) -> PathBuf {
        self.compiler("gcc", "win32")
    }

    /// The C++ compiler for Windows. Its threads are those of POSIX, because gcc 12 has no others for C++.
    fn gxx(&self) -> PathBuf {
        self.compiler("g++", "posix")
    }

    /// Sets the environment of Debian's compilers, without the variables that this process's cargo set.
    pub(super) fn set_environment(&self, command: &mut Command) {
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
        command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", self.gcc());
        command.env("CC_x86_64_pc_windows_gnu", self.gcc());
        command.env("AR_x86_64_pc_windows_gnu", bin.join(format!("{TOOLS}ar")));
    }

    /// Cargo, which builds for Windows.
    pub(super) fn cargo(&self, what: &str) -> Command {
        let mut command = if cfg!(windows) {
            artefacts::cargo()
        } else {
            let mut command = Command::new(self.root().join("usr/bin/cargo"));
            self.set_environment(&mut command);
            command
        };
        command.current_dir(workspace()).args([what, "--quiet", "--profile", PROFILE]);
        command.env("CARGO_TARGET_DIR", self.cargo_target()).env("DSS_HOST_DLL", self.dll_folder());
        if cfg!(not(windows)) {
            command.args(["--target", TRIPLE, "-Zbuild-std=std,panic_unwind"]);
        }
        command
    }

    /// Compiles a C module for Lua. On Linux, warnings are errors.
    pub(super) fn compile(&self, module: &Module<'_>) -> Result<(), String> {
        // gcc links the DLL of Lua itself, without an import library.
        self.compile_c(module, &[self.dll()])
    }

    /// Compiles a library in C that knows nothing of Lua. On Linux, warnings are errors.
    pub(super) fn compile_c2v0(&self, module: &Module<'_>) -> Result<(), String> {
        self.compile_c(module, &[])
    }

    fn compile_c(&self, module: &Module<'_>, further: &[PathBuf]) -> Result<(), String> {
        let mut command = Command::new(self.gcc());
        command.args(["-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]).args(module.flags);
        self.link(command, module, further)
    }

    /// Compiles a library in C++. On Linux, warnings are errors.
    pub(super) fn compile_cpp(&self, module: &Module<'_>) -> Result<(), String> {
        let mut command = Command::new(self.gxx());
        command.args(["-O2", "-std=c++17", "-static-libstdc++"]).args(STRICT).args(module.flags);
        self.link(command, module, &[])
    }

    fn link(&self, mut command: Command, module: &Module<'_>, further: &[PathBuf]) -> Result<(), String> {
        if cfg!(windows) {
            // Its version is not known here, and a newer one warns of more.
            command.arg("-Wno-error");
        }
        command.args(["-shared", "-static-libgcc"]);
        for include in module.includes {
            command.arg("-I").arg(include);
        }
        command.args(module.sources).arg("-o").arg(module.output).args(further);
        // POSIX threads are in a library of gcc, which is linked statically into the module.
        command.args(["-Wl,-Bstatic", "-lpthread", "-Wl,-Bdynamic"]).args(module.libraries);
        try_succeed(&mut command).map(drop).map_err(|error| format!("the compiler for Windows: {error}"))
    }

    /// Compiles a DLL from one file with nothing but the system's DLLs.
    pub(super) fn compile_plain(
        &self,
        source: &Path,
        output: &Path,
        libraries: &[&str],
    ) -> Result<(), String> {
        let mut command = Command::new(self.gcc());
        command.args(["-O2", "-shared", "-static-libgcc", "-o"]).arg(output).arg(source).args(libraries);
        try_succeed(&mut command).map(drop).map_err(|error| format!("the compiler for Windows: {error}"))
    }
}
