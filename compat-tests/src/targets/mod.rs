//! Other processors and another libc: a host, the module and the libraries, built here for them and run here.
//!
//! Nothing is installed on the system. The compilers are Debian's packages, unpacked into the target folder; a processor that
//! this machine is not is emulated by `qemu-user`. Only Rust's standard library comes from rustup, which adds it to the toolchain
//! in use.

mod build;
mod compiled;
mod fetch;
mod run;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::artefacts::{self, forget_toolchain, workspace};
use crate::luas::Lua;
use crate::scenarios::{Scenario, may_be_realtime};

pub use compiled::{COMPILED, Compiled};

/// The Luas that are built for each target: the oldest, and the one with 64-bit integers that most hosts have.
pub const LUAS: [Lua; 2] = [Lua("lua51"), Lua("lua54")];

/// The libraries that are built for each target.
const LIBRARIES: [&str; 9] = [
    "probe",
    "timer",
    "luaexit",
    "plain_v1",
    "probe_v1",
    "probe_v2",
    "probe_c2v0",
    "probe_refuses",
    "fswatch",
];

/// A processor and a libc.
#[derive(Debug)]
pub struct Target {
    /// Its name on the command line and in the report.
    pub name: &'static str,
    /// Rust's name of it.
    triple: &'static str,
    /// Where the C compiler and the libc come from.
    tools: Tools,
    /// The emulator, if this machine cannot run its programs.
    emulator: Option<&'static str>,
    /// The layouts of the revisions, in these two files of the workspace.
    layouts: [&'static str; 2],
}

/// Where the C compiler and the libc come from.
#[derive(Debug)]
enum Tools {
    /// Debian's cross compiler and glibc.
    Cross {
        /// The GNU name of the target, with which the names of the tools begin.
        gnu: &'static str,
        /// Debian's name of the target.
        debian: &'static str,
        /// The file name of the dynamic loader.
        loader: &'static str,
    },
    /// The system's C compiler, and Debian's musl.
    Musl,
}

/// The layouts of every system with 64 bits.
const WIDE: [&str; 2] = ["dss-abi/v1/layout.txt", "dss-abi/v2/layout.txt"];

/// All targets, in the order in which they are built.
pub const ALL: &[Target] = &[
    Target {
        name: "i686",
        triple: "i686-unknown-linux-gnu",
        tools: Tools::Cross { gnu: "i686-linux-gnu", debian: "i386", loader: "ld-linux.so.2" },
        emulator: None,
        layouts: ["compat-tests/layouts/v1-i686.txt", "compat-tests/layouts/v2-i686.txt"],
    },
    Target {
        name: "musl",
        triple: "x86_64-unknown-linux-musl",
        tools: Tools::Musl,
        emulator: None,
        layouts: WIDE,
    },
    Target {
        name: "aarch64",
        triple: "aarch64-unknown-linux-gnu",
        tools: Tools::Cross { gnu: "aarch64-linux-gnu", debian: "arm64", loader: "ld-linux-aarch64.so.1" },
        emulator: Some("qemu-aarch64-static"),
        layouts: WIDE,
    },
    Target {
        name: "s390x",
        triple: "s390x-unknown-linux-gnu",
        tools: Tools::Cross { gnu: "s390x-linux-gnu", debian: "s390x", loader: "ld64.so.1" },
        emulator: Some("qemu-s390x-static"),
        layouts: WIDE,
    },
    Target {
        name: "armv7",
        triple: "armv7-unknown-linux-gnueabihf",
        tools: Tools::Cross { gnu: "arm-linux-gnueabihf", debian: "armhf", loader: "ld-linux-armhf.so.3" },
        emulator: Some("qemu-arm-static"),
        layouts: ["compat-tests/layouts/v1-armv7.txt", "compat-tests/layouts/v2-armv7.txt"],
    },
];

/// A target for which everything is built.
#[derive(Debug)]
pub struct Built {
    target: &'static Target,
}

/// Fetches what is missing and builds everything for `target`. Reports slow steps through `tell`.
///
/// # Errors
/// Something cannot be fetched, or a build fails: which one, and the error of the tool.
pub fn prepare(target: &'static Target, tell: &dyn Fn(String)) -> Result<Built, String> {
    if env::consts::ARCH != "x86_64" || env::consts::OS != "linux" {
        return Err("the targets are built by Linux on x86-64".to_owned());
    }
    fetch::fetch(target, tell)?;
    for lua in LUAS {
        tell(format!("{}: building the host, the module and the libraries for {lua}", target.name));
        build::build(target, lua)?;
    }
    Ok(Built { target })
}

impl Target {
    /// The target with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Target> {
        ALL.iter().find(|target| target.name == name)
    }

    /// How its programs run here.
    #[must_use]
    pub fn how(&self) -> &'static str {
        if self.emulator.is_some() { "emulated" } else { "natively" }
    }

    /// Why `scenario` is not run for it: it needs something that is not built for it, or that this machine or the emulator does
    /// not do.
    /// `None` if it is run, in the Luas that it is written for.
    #[must_use]
    pub fn leaves_out(&self, scenario: &Scenario) -> Option<String> {
        if let Some(need) = scenario.needs().find(|need| !["linux", "realtime"].contains(need)) {
            return Some(format!("it needs {need}, which is not built for other platforms"));
        }
        if scenario.needs().any(|need| need == "realtime") && !may_be_realtime() {
            return Some("this machine allows no real-time priority (as root, or by `ulimit -r`)".to_owned());
        }
        if let Some(with) = scenario.libraries().find(|name| !LIBRARIES.contains(name)) {
            return Some(format!("it needs the library {with}, which is not built for other platforms"));
        }
        self.emulator?;
        match scenario.on() {
            Some("unix: memory is limited") => Some("qemu does not limit memory".to_owned()),
            _ => None,
        }
    }

    /// The folder for everything that is made for it.
    fn folder(&self) -> PathBuf {
        folder().join(self.name)
    }

    /// The folder that the packages are unpacked into.
    fn root(&self) -> PathBuf {
        self.folder().join("root")
    }

    /// The target folder of cargo's builds.
    fn cargo_target(&self) -> PathBuf {
        self.folder().join("cargo")
    }

    /// The folder with the host, the module, and the libraries that are built for one Lua.
    fn modules(&self, lua: Lua) -> PathBuf {
        self.folder().join(lua.0)
    }

    /// The folder with the libraries that do not depend on Lua.
    fn libraries(&self) -> PathBuf {
        self.folder().join("v2")
    }

    /// A command that runs a program of this target. The caller adds its arguments.
    fn program(&self, program: &Path) -> Command {
        match self.emulator {
            None => Command::new(program),
            Some(emulator) => {
                let mut command = Command::new(fetch::emulators().join("usr/bin").join(emulator));
                command.arg(program);
                command
            }
        }
    }

    /// Cargo, which builds for this target with its C compiler.
    fn cargo(&self) -> Command {
        let mut command = cargo();
        let own = self.triple.replace('-', "_");
        let upper = own.to_uppercase();
        command.current_dir(workspace()).env("CARGO_TARGET_DIR", self.cargo_target());
        command.env(format!("CARGO_TARGET_{upper}_LINKER"), self.compiler());
        command.env(format!("CARGO_TARGET_{upper}_RUSTFLAGS"), self.rustflags().join(" "));
        command.env(format!("CC_{own}"), self.compiler());
        command.env(format!("CFLAGS_{own}"), self.c_flags().join(" "));
        command.env(format!("AR_{own}"), self.archiver());
        command.env("LD_LIBRARY_PATH", self.root().join("usr/lib/x86_64-linux-gnu"));
        command
    }
}

/// Cargo of the toolchain in use, without the flags of the outer cargo.
fn cargo() -> Command {
    let mut command = artefacts::cargo();
    let toolchain = env::var_os("RUSTUP_TOOLCHAIN");
    forget_toolchain(&mut command);
    if let Some(toolchain) = toolchain {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command
}

/// The folder for all targets.
fn folder() -> PathBuf {
    artefacts::target().with_file_name("matrix").join("platforms")
}

/// Makes a folder.
fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
