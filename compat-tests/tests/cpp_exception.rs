//! C++ exceptions that are thrown in a library's functions, pass through DSS and Lua, and are caught in the host. Nothing may
//! abort, and no thread may still wait after the state is closed. `fixtures/cpp-exception/cpp_exception.cpp` is the host and the
//! libraries of 1.0, `fixtures/throws-c2v0` those of c2v0; it needs g++.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, succeed, target, workspace};
use compat_tests::c2v0::{self, runs};
use compat_tests::luas::Lua;
use compat_tests::run::limited;
use compat_tests::scenarios::required;
use libtest_mimic::{Arguments, Failed, Trial};

/// The arguments of the program: the function that throws, and the call in which it does.
const CASES: [&str; 14] = [
    "decode poll",
    "decode dispatch",
    "decode_waited poll",
    "decode_waited dispatch",
    "return poll",
    "return dispatch",
    "cancelled close",
    "cancelled unregister",
    "cancelled elsewhere",
    "cancelled_waited close",
    "cancelled_waited unregister",
    "cancelled_waited elsewhere",
    "cancel close",
    "thread_exit elsewhere",
];

/// Where the library of c2v0 throws.
const CASES_OF_C2V0: [&str; 3] = ["call", "done", "drop"];

const LUAS: [Lua; 2] = [Lua("lua51"), Lua("lua54")];

/// The static library of Lua in `folder`.
fn archive(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("the host's Lua was built");
    let mut files = entries.map(|entry| entry.expect("a readable folder").path());
    files.find(|file| file.extension().is_some_and(|ending| ending == "a")).expect("Lua's library")
}

fn folder() -> PathBuf {
    let folder = target().join("cpp-exception");
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

/// A call of g++ with a source in `fixtures`.
fn compiler(source: &str, output: &Path) -> Command {
    let source = workspace().join("compat-tests/fixtures").join(source);
    let mut compiler = Command::new("g++");
    compiler
        .args(["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg(source)
        .arg("-o")
        .arg(output);
    compiler
}

/// Compiles a program with all of a Lua linked into it, as an application that embeds Lua would be.
fn program(artefacts: &Artefacts, source: &str, name: &str) -> PathBuf {
    let include = PathBuf::from(succeed(Command::new(artefacts.host()).arg("--include")).trim());
    let output = folder().join(format!("{name}-{}", artefacts.lua.0));
    let mut compiler = compiler(source, &output);
    compiler.arg("-I").arg(&include).arg("-I").arg(workspace().join("dss-abi/c1v0/include"));
    compiler.args(["-Wl,-E", "-Wl,--whole-archive"]).arg(archive(&include.with_file_name("lib")));
    compiler.args(["-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lm"]);
    succeed(&mut compiler);
    output
}

/// The programs of each Lua.
type Programs = [OnceLock<PathBuf>; LUAS.len()];

fn run(programs: &Programs, lua: Lua, source: &str, arguments: &[&str]) -> Result<(), Failed> {
    let artefacts = Artefacts::of(lua);
    let at = LUAS.iter().position(|known| *known == lua).expect("one of them");
    let name = Path::new(source).file_stem().expect("a file").to_string_lossy();
    let mut command = Command::new(programs[at].get_or_init(|| program(artefacts, source, &name)));
    command.args(arguments).env("DSS_CPATH", artefacts.folder.join("?.so"));
    let ended = limited(&mut command, Duration::from_secs(90));
    if ended.succeeded() { Ok(()) } else { Err(ended.report().into()) }
}

/// With libraries that are in the program.
fn run_1v0(lua: Lua, case: &str) -> Result<(), Failed> {
    static PROGRAMS: Programs = [const { OnceLock::new() }; LUAS.len()];
    let arguments: Vec<_> = case.split(' ').collect();
    run(&PROGRAMS, lua, "cpp-exception/cpp_exception.cpp", &arguments)
}

/// With a library in a file of its own, which is made of `dss.h` alone.
fn run_c2v0(lua: Lua, case: &str) -> Result<(), Failed> {
    static PROGRAMS: Programs = [const { OnceLock::new() }; LUAS.len()];
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let output = folder().join("throws.so");
        let mut compiler = compiler("throws-c2v0/throws.cpp", &output);
        succeed(compiler.args(["-shared", "-fPIC", "-I"]).arg(c2v0::include()));
        output
    });
    run(&PROGRAMS, lua, "throws-c2v0/host.cpp", &[case, library.to_str().expect("a path in UTF-8")])
}

fn main() {
    let arguments = Arguments::from_args();
    // On other systems C++ and Lua's C code use different unwinders.
    let left_out = !cfg!(target_os = "linux") || !required(runs("g++", &["--version"]), "g++");
    let mut trials = Vec::new();
    for lua in LUAS {
        for case in CASES {
            let trial = Trial::test(format!("{lua}::{case}"), move || run_1v0(lua, case));
            trials.push(trial.with_ignored_flag(left_out));
        }
        for case in CASES_OF_C2V0 {
            let trial = Trial::test(format!("{lua}::c2v0::{case}"), move || run_c2v0(lua, case));
            trials.push(trial.with_ignored_flag(left_out));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
