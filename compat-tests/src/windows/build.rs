//! Building for Windows: the host, the module, the libraries, the demo, and the files that they need.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::tools::TRIPLE;
use super::{LUA, Windows};
use crate::artefacts::{copy, copy_lua_modules, try_succeed, workspace};
use crate::c::{CModules, Module};
use crate::c2v0::{Language, Library, STRICT, include};

/// What is built by cargo.
const PACKAGES: [&str; 11] = [
    "dss-test-host",
    "dss-lua",
    "dss-lib-fswatch",
    "dss-lib-httpd",
    "dss-probe-v1",
    "dss-probe-v2",
    "fswatch-v2",
    "httpd-v2",
    "sqlite-v2",
    "dss-authors-v2",
    "compat-tests",
];

/// What cargo builds for one Lua.
const MODULES: [&str; 7] = [
    "lua-host.exe",
    "demo.exe",
    "darksidesync.dll",
    "fswatch.dll",
    "httpd.dll",
    "probe_v1.dll",
    "plain_v1.dll",
];

/// What cargo builds for every Lua, and DSS's name of it.
const FOR_EVERY_LUA: [(&str, &str); 5] = [
    ("fswatch_v2", "fswatch"),
    ("httpd_v2", "httpd"),
    ("sqlite_v2", "sqlite"),
    ("probe_v2", "probe_v2"),
    ("authors_v2", "authors"),
];

/// The libraries of c2v0 that are built for Windows. The others need packages that are not built for it.
const C2V0: [&str; 3] = ["probe_c2v0", "probe_refuses", "cpptypes"];

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
    // The host's build script puts the DLL of its Lua there.
    fs::create_dir_all(windows.dll_folder())
        .map_err(|error| format!("{}: {error}", windows.dll_folder().display()))?;
    if cfg!(not(windows)) {
        start_files(windows)?;
    }
    tell("building the host, the module, the libraries and the demo for Windows".to_owned());
    let mut command = windows.cargo("build");
    command.args([
        "--no-default-features",
        "--features",
        LUA.0,
        "--lib",
        "--bin",
        "lua-host",
        "--bin",
        "demo",
    ]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    try_succeed(&mut command)?;
    // This library declares Lua's functions itself and works with any Lua, so the DLL to link is given here.
    let mut command = windows.cargo("rustc");
    command.args(["-p", "dss-plain-v1", "--"]);
    try_succeed(command.arg("-C").arg(prefixed("link-arg=", &windows.import_library())))?;

    let (built, modules) = (windows.built(), windows.modules());
    for name in MODULES {
        copy(&built.join(name), &modules.join(name));
    }
    copy(&windows.dll(), &modules.join(format!("{LUA}.dll")));
    copy_lua_modules(&modules);
    for (file, name) in FOR_EVERY_LUA {
        copy(&built.join(format!("{file}.dll")), &windows.libraries().join(format!("{name}.dll")));
    }
    if cfg!(windows) { Ok(()) } else { compile_prng(windows) }
}

/// Compiles the modules and libraries in C and C++, the former with the headers of the host's Lua. The host has to run, because it
/// prints their path.
pub(super) fn build_c(windows: &Windows) -> Result<(), String> {
    let headers = try_succeed(windows.run_host().arg("--include"))?;
    let folder = windows.modules();
    let modules = CModules {
        folder: &folder,
        ending: "dll",
        include: Path::new(headers.trim()),
        abi: &workspace().join("dss-abi/c1v0"),
        flag: None,
    };
    modules.all(&|module| windows.compile(module))?;
    for name in C2V0 {
        let library = Library::named(name).expect("it is one of them");
        let output = windows.libraries().join(format!("{name}.dll"));
        let build = |ending: &str, flags: &[&str], compile: &dyn Fn(&Module<'_>) -> Result<(), String>| {
            compile(&Module {
                sources: &library.sources_in(ending),
                includes: &[include()],
                flags,
                libraries: &[],
                output: &output,
            })
        };
        match library.language {
            Language::Cpp => build("cpp", library.flags, &|module| windows.compile_cpp(module))?,
            _ => {
                let flags: Vec<_> = STRICT.iter().chain(library.flags).copied().collect();
                build("c", &flags, &|module| windows.compile_c2v0(module))?;
            }
        }
    }
    Ok(())
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

fn compile_prng(windows: &Windows) -> Result<(), String> {
    let source = windows.folder.join("bcryptprimitives.c");
    fs::write(&source, PRNG).map_err(|error| format!("{}: {error}", source.display()))?;
    windows.compile_plain(&source, &windows.modules().join("bcryptprimitives.dll"), &["-ladvapi32"])
}

/// A path with a prefix, as one argument.
fn prefixed(before: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(before);
    argument.push(path);
    argument
}
