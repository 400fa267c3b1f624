//! Compiles what C authors copy, in all dialects, with gcc and clang, against the headers of each Lua.
//!
//! | test | checks |
//! |---|---|
//! | `COMPILER::LUA::dialects` | header and helper compile in each dialect of C, or of C++, without warnings |
//! | `COMPILER::LUA::library` | a library in C++ with the helper is loaded and runs |
//! | `COMPILER::LUA::program` | a program in C++ with the helper and Lua linked into it runs |
//! | `COMPILER::c2v0` | `dss.h` and the library in its head comment compile in each dialect that it is for, without warnings |
//! | `COMPILER::steps` | the library in the documents compiles in each dialect of C |
//! | `COMPILER::faults` | that library leaks nothing if a call of Lua's API raises |
//!
//! The tests of a missing compiler are ignored with a message. If `DSS_REQUIRE_SYSTEM_LUA` is set, they fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, succeed, target, workspace};
use compat_tests::luas::{ALL, Lua};
use compat_tests::run::limited;
use compat_tests::scenarios::required;
use libtest_mimic::{Arguments, Trial};

/// The compilers and their languages.
const COMPILERS: [(&str, Language); 4] =
    [("gcc", Language::C), ("clang", Language::C), ("g++", Language::Cxx), ("clang++", Language::Cxx)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    C,
    Cxx,
}

impl Language {
    /// The name of the language for the option `-x`.
    fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cxx => "c++",
        }
    }

    /// Its dialects, and whether they have `long long`, which Lua's headers use from 5.3 on.
    fn dialects(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::C => &[("c89", false), ("gnu89", false), ("c99", true), ("c11", true), ("c17", true)],
            Self::Cxx => {
                &[("c++98", false), ("c++11", true), ("c++14", true), ("c++17", true), ("c++20", true)]
            }
        }
    }
}

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (compiler, language) in COMPILERS {
        let there = is_there(compiler);
        // These link libraries and programs in the way of Linux.
        let linked = there && cfg!(target_os = "linux");
        let mut add = |name: String, run: fn(&'static str, Language, Lua), lua: Lua, there: bool| {
            let trial = Trial::test(format!("{compiler}::{name}"), move || {
                run(compiler, language, lua);
                Ok(())
            });
            trials.push(trial.with_ignored_flag(!there));
        };
        for lua in ALL {
            add(format!("{lua}::dialects"), dialects, lua, there);
            if language == Language::Cxx {
                add(format!("{lua}::library"), library, lua, linked);
                add(format!("{lua}::program"), program, lua, linked);
            }
        }
        add("c2v0".to_owned(), c2v0, Lua("lua54"), there);
        if language == Language::C {
            add("steps".to_owned(), steps, Lua("lua54"), there);
            add("faults".to_owned(), faults, Lua("lua54"), linked);
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// The library in the head comment of `dss.h`.
fn example() -> String {
    let header = fs::read_to_string(compat_tests::c2v0::include().join("dss.h")).expect("the header");
    let lines = header.lines().map(|line| line.strip_prefix(" *   ").unwrap_or_default());
    let example = lines.skip_while(|line| !line.starts_with("#include"));
    let mut text = String::new();
    for line in example {
        text.push_str(line);
        text.push('\n');
        if line.starts_with("DSS_LIBRARY") {
            break;
        }
    }
    text
}

fn c2v0(compiler: &'static str, language: Language, lua: Lua) {
    let folder = folder(compiler, lua, "c2v0");
    let source = folder.join("adder.c");
    fs::write(&source, example()).expect("the target folder can be written to");
    for (dialect, _) in language.dialects() {
        // Without `inline`, and without declarations after statements.
        if ["c89", "gnu89"].contains(dialect) {
            continue;
        }
        for option in ["-O0", "-O2"] {
            let mut command = Command::new(compiler);
            command
                .args(["-x", language.name(), &format!("-std={dialect}"), option, "-fPIC", "-shared"])
                .args(STRICT);
            command
                .arg("-I")
                .arg(compat_tests::c2v0::include())
                .arg(&source)
                .arg("-o")
                .arg(folder.join("adder.so"));
            succeed(&mut command);
        }
    }
}

/// Whether the machine has `compiler`.
fn is_there(compiler: &str) -> bool {
    let said = Command::new(compiler).arg("--version").output();
    required(said.is_ok_and(|output| output.status.success()), compiler)
}

/// A fresh folder for one test.
fn folder(compiler: &str, lua: Lua, test: &str) -> PathBuf {
    let folder = target().join("c_dialects").join(format!("{compiler}-{lua}-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

fn abi(file: &str) -> PathBuf {
    workspace().join("dss-abi/c1v0").join(file)
}

fn own(file: &str) -> PathBuf {
    workspace().join("compat-tests/tests/c_dialects").join(file)
}

/// The folder of a Lua's headers.
fn lua_headers(lua: Lua) -> PathBuf {
    PathBuf::from(succeed(Command::new(Artefacts::of(lua).host()).arg("--include")).trim())
}

/// A compiler command for sources that use the headers of Lua and of DSS. Without `dialect`, the compiler's default is used.
fn compile(compiler: &str, language: Language, dialect: Option<(&str, bool)>, lua: Lua) -> Command {
    let mut command = Command::new(compiler);
    command.args(["-x", language.name(), "-O1"]).args(STRICT);
    command.arg("-I").arg(abi("include")).arg("-I").arg(abi("helper"));
    let headers = lua_headers(lua);
    // The headers of 5.3 and later use `long long`, so they are not C89 or C++98. `LUA_USE_C89` avoids it, except for one use in
    // 5.5. So in these dialects Lua's headers count as system headers, without warnings.
    let modern = !["lua51", "lua52", "luajit"].contains(&lua.0);
    match dialect {
        Some((_, false)) if modern => command.arg("-DLUA_USE_C89").arg("-isystem").arg(headers),
        _ => command.arg("-I").arg(headers),
    };
    if let Some((dialect, _)) = dialect {
        command.arg(format!("-std={dialect}"));
    }
    command
}

fn dialects(compiler: &str, language: Language, lua: Lua) {
    let folder = folder(compiler, lua, "dialects");
    for dialect in language.dialects() {
        for source in [abi("helper/darksidesync_aux.c"), own("headers.c")] {
            let mut command = compile(compiler, language, Some(*dialect), lua);
            succeed(command.arg("-c").arg(source).arg("-o").arg(folder.join("object.o")));
        }
    }
}

/// The Lua code that both C++ tests run.
const SCRIPT: &str = "local dss, ticker = require 'darksidesync', require 'ticker'
    local sum = 0
    ticker.start(100, function(n)
        sum = sum + n
        if n == 100 then ticker.stop() end
    end)
    print(dss.run(60) .. ' items, ' .. sum)";

fn library(compiler: &str, language: Language, lua: Lua) {
    let folder = folder(compiler, lua, "library");
    let mut command = compile(compiler, language, None, lua);
    command.args(["-shared", "-fPIC"]).arg(own("ticker.cpp")).arg(abi("helper/darksidesync_aux.c"));
    succeed(command.arg("-o").arg(folder.join("ticker.so")).arg("-lpthread"));
    let mut command = Artefacts::of(lua).command(&[folder]);
    runs(command.args(["-e", SCRIPT]));
}

fn program(compiler: &str, language: Language, lua: Lua) {
    let program = folder(compiler, lua, "program").join("program");
    let mut command = compile(compiler, language, None, lua);
    command.arg("-DPROGRAM").arg(own("ticker.cpp")).arg(abi("helper/darksidesync_aux.c"));
    link(&mut command, lua, &program);
    let cpath = Artefacts::of(lua).folder.join("?.so");
    runs(Command::new(program).arg(cpath).arg(SCRIPT));
}

/// Links what `command` compiles with all of a Lua, so that modules find Lua's API in the program.
fn link(command: &mut Command, lua: Lua, program: &Path) {
    let folder = lua_headers(lua).with_file_name("lib");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let archive = paths.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "a"));
    let archive = archive.expect("the host is linked with it");
    // The next file is an archive, not a source.
    command
        .args(["-x", "none", "-Wl,--whole-archive"])
        .arg(archive)
        .args(["-Wl,--no-whole-archive", "-Wl,-E"]);
    succeed(command.arg("-o").arg(program).args(["-lm", "-ldl", "-lpthread"]));
}

fn runs(command: &mut Command) {
    let ended = limited(command, Duration::from_secs(60));
    assert!(ended.succeeded() && ended.stdout.trim() == "100 items, 5050", "{}", ended.report());
}

/// The library in the documents, as a file in `folder`.
fn steps_source(folder: &Path) -> PathBuf {
    let text = fs::read_to_string(workspace().join("docs/src/writing/c1v0.md")).expect("there are documents");
    let mut blocks = text.split("\n```c\n").skip(1).filter_map(|rest| Some(rest.split_once("\n```\n")?.0));
    let block = blocks.find(|block| block.contains("int luaopen_steps")).expect("the documents have it");
    let source = folder.join("steps.c");
    fs::write(&source, format!("{block}\n")).expect("the folder was just made");
    source
}

fn steps(compiler: &str, language: Language, lua: Lua) {
    let folder = folder(compiler, lua, "steps");
    let source = steps_source(&folder);
    for dialect in language.dialects() {
        let mut command = compile(compiler, language, Some(*dialect), lua);
        succeed(command.arg("-c").arg(&source).arg("-o").arg(folder.join("object.o")));
    }
}

fn faults(compiler: &str, language: Language, lua: Lua) {
    let folder = folder(compiler, lua, "faults");
    let (source, object, program) = (steps_source(&folder), folder.join("steps.o"), folder.join("program"));
    let mut command = compile(compiler, language, None, lua);
    command.arg("-include").arg(own("faults.h")).arg("-c").arg(source);
    succeed(command.arg("-o").arg(&object));
    let mut command = compile(compiler, language, None, lua);
    command.arg(own("faults.c")).arg(abi("helper/darksidesync_aux.c")).args(["-x", "none"]).arg(object);
    link(&mut command, lua, &program);
    let cpath = Artefacts::of(lua).folder.join("?.so");
    let ended = limited(Command::new(program).arg(cpath), Duration::from_secs(120));
    // `start` makes three calls that may raise, each step makes two, and each question makes one.
    assert!(ended.succeeded() && ended.stdout.trim() == "11 calls", "{}", ended.report());
}
