//! C++ exceptions that are thrown in a library's functions, pass through DSS and Lua, and are caught in the host. Nothing may
//! abort, and no thread may still wait after the state is closed. `fixtures/cpp-exception/cpp_exception.cpp` is the host and the
//! libraries; it needs g++.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, succeed, target, workspace};
use compat_tests::luas::Lua;
use compat_tests::run::limited;
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

const LUAS: [Lua; 2] = [Lua("lua51"), Lua("lua54")];

/// Whether there is a C++ compiler.
///
/// # Panics
/// It is missing, and `DSS_REQUIRE_SYSTEM_LUA` says that it must be installed.
fn has_compiler() -> bool {
    let asked = Command::new("g++").arg("--version").stdout(Stdio::null()).status();
    let present = asked.is_ok_and(|status| status.success());
    assert!(
        present || env::var_os("DSS_REQUIRE_SYSTEM_LUA").is_none(),
        "g++ is missing, and DSS_REQUIRE_SYSTEM_LUA says that it must be here"
    );
    present
}

/// The static library of Lua in `folder`.
fn archive(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("the host's Lua was built");
    let mut files = entries.map(|entry| entry.expect("a readable folder").path());
    files.find(|file| file.extension().is_some_and(|ending| ending == "a")).expect("Lua's library")
}

/// Compiles the program with all of a Lua linked into it, as an application that embeds Lua would be.
fn program(artefacts: &Artefacts) -> PathBuf {
    let folder = target().join("cpp-exception");
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    let include = PathBuf::from(succeed(Command::new(artefacts.host()).arg("--include")).trim());
    let source = workspace().join("compat-tests/fixtures/cpp-exception/cpp_exception.cpp");
    let output = folder.join(artefacts.lua.0);
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-I"]).arg(&include);
    compiler.arg("-I").arg(workspace().join("dss-abi/c1v0/include")).arg(source).arg("-o").arg(&output);
    compiler.args(["-Wl,-E", "-Wl,--whole-archive"]).arg(archive(&include.with_file_name("lib")));
    compiler.args(["-Wl,--no-whole-archive", "-lpthread", "-ldl", "-lm"]);
    succeed(&mut compiler);
    output
}

fn run(lua: Lua, case: &str) -> Result<(), Failed> {
    static PROGRAMS: [OnceLock<PathBuf>; LUAS.len()] = [const { OnceLock::new() }; LUAS.len()];
    let artefacts = Artefacts::of(lua);
    let at = LUAS.iter().position(|known| *known == lua).expect("one of them");
    let mut command = Command::new(PROGRAMS[at].get_or_init(|| program(artefacts)));
    command.args(case.split(' ')).env("DSS_CPATH", artefacts.folder.join("?.so"));
    let ended = limited(&mut command, Duration::from_secs(90));
    if ended.succeeded() { Ok(()) } else { Err(ended.report().into()) }
}

fn main() {
    let arguments = Arguments::from_args();
    // On other systems C++ and Lua's C code use different unwinders.
    let left_out = !cfg!(target_os = "linux") || !has_compiler();
    let mut trials = Vec::new();
    for lua in LUAS {
        for case in CASES {
            let trial = Trial::test(format!("{lua}::{case}"), move || run(lua, case));
            trials.push(trial.with_ignored_flag(left_out));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
