//! Runs the scenarios of the libraries of c2v0 in C and C++ with AddressSanitizer in the library, in Lua 5.4: what a library hands over is read as far as
//! it goes and no further, what it is handed is good for as long as the header says, and nothing is freed twice or lost.
//!
//! The module is not instrumented; what its allocator frees is. Without a sanitizer's runtime the tests are ignored with a message. If
//! `DSS_REQUIRE_SYSTEM_LUA` is set, they fail.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, target};
use compat_tests::c2v0::{LIBRARIES, Language};
use compat_tests::luas::Lua;
use compat_tests::run::limited;
use compat_tests::scenarios::{self, Scenario, required};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let there = required(cfg!(target_os = "linux") && runtime().is_some(), "AddressSanitizer for gcc");
    let lua = Lua("lua54");
    let is_native = |scenario: &Scenario| {
        let of = |name: &str| scenario.group == name || scenario.group == format!("c2v0/{name}");
        let mut libraries = LIBRARIES.iter().filter(|it| is_instrumented(it.language) && it.can_be_built());
        scenario.is_for(lua) && (of("c2v0") || of("edges") || libraries.any(|it| of(it.name)))
    };
    let trials = scenarios::all().into_iter().filter(is_native).map(|scenario| {
        let name = format!("{}::{}", scenario.group, scenario.name);
        Trial::test(name, move || run(&scenario).map_err(Into::into)).with_ignored_flag(!there)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn is_instrumented(language: Language) -> bool {
    matches!(language, Language::C | Language::Cpp)
}

/// What has to be loaded before all else: the sanitizer's runtime, and that of C++, in which it looks for `throw` when it is loaded.
fn runtime() -> Option<String> {
    let of_gcc = |name: &str| {
        let said = Command::new("gcc").arg(format!("-print-file-name={name}")).output().ok()?;
        let path = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
        path.is_absolute().then(|| path.display().to_string())
    };
    Some(format!(
        "{} {}",
        of_gcc("libasan.so")?,
        of_gcc("libstdc++.so.6").or_else(|| of_gcc("libstdc++.so"))?
    ))
}

/// The folder with the instrumented libraries, built once in this process.
fn folder() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = target().join("sanitized");
        std::fs::create_dir_all(&folder).expect("the target folder can be written to");
        for library in LIBRARIES.iter().filter(|it| is_instrumented(it.language) && it.can_be_built()) {
            let flags = ["-g", "-O1", "-fsanitize=address", "-fno-omit-frame-pointer"];
            library.build_with(&folder, &flags).unwrap_or_else(|error| panic!("{}: {error}", library.name));
        }
        folder
    })
}

fn run(scenario: &Scenario) -> Result<(), String> {
    let mut environment = Artefacts::of(Lua("lua54")).environment();
    environment.libraries.insert(0, folder().clone());
    let mut command = scenario.command(&environment);
    command.env("LD_PRELOAD", runtime().expect("looked for before"));
    command.env("ASAN_OPTIONS", "detect_leaks=1:exitcode=77");
    let ended = limited(&mut command, Duration::from_secs(300));
    if ended.succeeded() { Ok(()) } else { Err(ended.report()) }
}
