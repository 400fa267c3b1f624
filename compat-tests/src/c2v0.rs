//! The libraries of c2v0. Each is built from `dss.h` alone, as its author would do it: with the compiler of its language and without cargo.
//! One file of each works in every Lua.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use crate::artefacts::{try_succeed, workspace};
use crate::c;
use crate::scenarios::required;

/// How a library is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// With the C compiler of the tests.
    C,
    /// With g++.
    Cpp,
    /// With the `zig` of the PyPI package `ziglang`.
    Zig,
    /// With Go, and cgo for the declaration.
    Go,
}

impl Language {
    /// Whether this machine has the compiler.
    ///
    /// # Panics
    /// It does not, and `DSS_REQUIRE_SYSTEM_LUA` says that everything that tests can use must be installed.
    #[must_use]
    pub fn has_compiler(self) -> bool {
        required(self.is_installed(), &format!("compiler for {self:?}"))
    }

    fn is_installed(self) -> bool {
        match self {
            Language::C => true,
            Language::Cpp => runs("g++", &["--version"]),
            Language::Zig => runs("python3", &["-m", "ziglang", "version"]),
            Language::Go => runs("go", &["version"]),
        }
    }
}

/// A library of c2v0.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// Its name.
    pub name: &'static str,
    /// Its folder in `compat-tests`.
    pub folder: &'static str,
    /// The language it is written in.
    pub language: Language,
    /// Further arguments for its compiler.
    pub flags: &'static [&'static str],
    /// The system library that it needs, by its name in `pkg-config`.
    pub on: Option<&'static str>,
}

/// The libraries that the tests use. The first ones need only a C compiler.
pub const LIBRARIES: &[Library] = &[
    Library {
        name: "probe_c2v0",
        folder: "fixtures/probe-c2v0",
        language: Language::C,
        flags: &[],
        on: None,
    },
    Library {
        name: "probe_refuses",
        folder: "fixtures/probe-c2v0",
        language: Language::C,
        flags: &["-DPROBE_REFUSES", "-DPROBE_NAME=\"probe_refuses\""],
        on: None,
    },
    Library {
        name: "curl",
        folder: "libraries/c2v0/curl",
        language: Language::C,
        flags: &[],
        on: Some("libcurl"),
    },
    Library {
        name: "re2",
        folder: "libraries/c2v0/re2",
        language: Language::Cpp,
        flags: &[],
        on: Some("re2"),
    },
    Library {
        name: "cpptypes",
        folder: "fixtures/cpptypes-c2v0",
        language: Language::Cpp,
        flags: &[],
        on: None,
    },
    Library {
        name: "zigsum",
        folder: "libraries/c2v0/zig-sum",
        language: Language::Zig,
        flags: &[],
        on: None,
    },
    Library {
        name: "gozip",
        folder: "libraries/c2v0/go-zip",
        language: Language::Go,
        flags: &["-buildvcs=false"],
        on: None,
    },
];

/// All warnings, as errors.
pub const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// The folder of the header.
#[must_use]
pub fn include() -> PathBuf {
    workspace().join("dss-abi/c2v0/include")
}

/// The source files in a folder with the suffix `ending`.
fn sources(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == ending));
    files.sort();
    files
}

/// Whether a program is installed and succeeds with these arguments.
#[must_use]
pub fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

impl Library {
    /// The library with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Library> {
        LIBRARIES.iter().find(|library| library.name == name)
    }

    /// Whether this machine has everything to build it.
    ///
    /// # Panics
    /// It does not, and `DSS_REQUIRE_SYSTEM_LUA` says that everything that tests can use must be installed.
    #[must_use]
    pub fn can_be_built(&self) -> bool {
        static CAN: LazyLock<Vec<bool>> =
            LazyLock::new(|| LIBRARIES.iter().map(Library::has_tools).collect());
        LIBRARIES.iter().zip(&*CAN).any(|(library, can)| library.name == self.name && *can)
    }

    fn has_tools(&self) -> bool {
        let there = self.language.is_installed()
            && self.on.is_none_or(|package| runs("pkg-config", &["--exists", package]));
        required(there, &format!("compiler or package for {}", self.name))
    }

    /// The folder with its sources.
    #[must_use]
    pub fn sources(&self) -> PathBuf {
        workspace().join("compat-tests").join(self.folder)
    }

    /// Its source files with the extension `ending`.
    #[must_use]
    pub fn sources_in(&self, ending: &str) -> Vec<PathBuf> {
        sources(&self.sources(), ending)
    }

    /// Builds a library in C, with the header in `include`, further flags, and the libraries that it is linked to.
    ///
    /// # Errors
    /// The compiler fails: its output.
    pub fn build_c(
        &self,
        output: &Path,
        include: &Path,
        flags: &[&str],
        libraries: &[&str],
    ) -> Result<(), String> {
        let sources = self.sources_in("c");
        let all: Vec<_> =
            ["-std=gnu11", "-Wpedantic"].iter().chain(self.flags).chain(flags).copied().collect();
        let includes = [include.to_owned()];
        c::try_compile(&c::Module { sources: &sources, includes: &includes, flags: &all, libraries, output })
    }

    /// Builds the library into `folder`.
    ///
    /// # Errors
    /// A compiler fails: its output.
    pub fn build(&self, folder: &Path) -> Result<(), String> {
        self.build_with(folder, &[])
    }

    /// As [`Self::build`], with further arguments for the compiler.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_with(&self, folder: &Path, further: &[&str]) -> Result<(), String> {
        let output = folder.join(format!("{}.so", self.name));
        let on: Vec<String> = match self.on {
            Some(package) => {
                let said = try_succeed(Command::new("pkg-config").args(["--cflags", "--libs", package]))?;
                said.split_whitespace().map(str::to_owned).collect()
            }
            None => Vec::new(),
        };
        match self.language {
            Language::C => {
                let on: Vec<_> = on.iter().map(String::as_str).collect();
                self.build_c(&output, &include(), further, &on)
            }
            Language::Cpp => {
                let mut command = Command::new("g++");
                command
                    .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-pthread"])
                    .args(STRICT)
                    .args(self.flags)
                    .args(further);
                command.arg("-I").arg(include()).args(self.sources_in("cpp")).arg("-o").arg(&output).args(on);
                try_succeed(&mut command).map(drop)
            }
            Language::Zig => {
                let zig = || {
                    let mut command = Command::new("python3");
                    command.current_dir(folder).args(["-m", "ziglang"]);
                    command
                };
                let header = include().join("dss.h");
                let translated =
                    try_succeed(zig().args(["translate-c", "-lc", "-I"]).arg(include()).arg(header))?;
                let dss = folder.join("dss.zig");
                fs::write(&dss, translated).map_err(|error| format!("{}: {error}", dss.display()))?;
                let source = self.sources().join(format!("{}.zig", self.name));
                // For any processor of this kind, not only for this machine's.
                let options =
                    ["build-lib", "-dynamic", "-O", "ReleaseSafe", "-fPIC", "-lc", "-mcpu=baseline"];
                let mut command = zig();
                command.args(options).arg(format!("-femit-bin={}", output.display())).args(["--dep", "dss"]);
                command.arg(format!("-Mroot={}", source.display())).arg(format!("-Mdss={}", dss.display()));
                try_succeed(command.args(["--name", self.name]).args(self.flags)).map(drop)
            }
            Language::Go => {
                let mut command = Command::new("go");
                command.args(["build", "-buildmode=c-shared", "-trimpath"]).args(self.flags);
                command.arg("-o").arg(&output).arg(".").current_dir(self.sources());
                command
                    .env("CGO_CFLAGS", format!("-O2 -I{}", include().display()))
                    .env("GOFLAGS", "-mod=mod");
                command.env("GO111MODULE", "auto");
                try_succeed(&mut command)?;
                // Go also writes a header, which nothing here includes.
                let _ = fs::remove_file(output.with_extension("h"));
                Ok(())
            }
        }
    }
}

/// Builds all libraries that are wanted and can be built here into `folder`, in parallel, because most of their compilers use one core.
///
/// # Panics
/// A build fails.
pub(crate) fn build_all(folder: &Path, is_wanted: impl Fn(&str) -> bool) {
    thread::scope(|scope| {
        for library in LIBRARIES.iter().filter(|library| is_wanted(library.name) && library.can_be_built()) {
            scope.spawn(|| library.build(folder).unwrap_or_else(|error| panic!("{}: {error}", library.name)));
        }
    });
}
