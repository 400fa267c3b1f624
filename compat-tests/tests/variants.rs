//! Runs the scenarios of the libraries of c2v0 in C and C++ in Lua 5.4, with the libraries built with other flags.
//!
//! - `asan`: with AddressSanitizer. What a library hands over is read as far as it goes and no further, what it is handed is good for as long
//!   as the header says, and nothing is freed twice or lost. The module is not instrumented; what its allocator frees is.
//! - `no_unwind_tables`: without tables for unwinding, as C code for small systems is built. No Lua error and no panic of DSS's may need to pass
//!   through a library's frames.
//!
//! Without a sanitizer's runtime its tests are ignored with a message. If `DSS_REQUIRE_SYSTEM_LUA` is set, they fail.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, target};
use compat_tests::c2v0::{LIBRARIES, Language, Library};
use compat_tests::luas::Lua;
use compat_tests::run::limited;
use compat_tests::scenarios::{self, Scenario, required};
use libtest_mimic::{Arguments, Trial};

const LUA: Lua = Lua("lua54");

static ASAN: Variant = Variant {
    name: "asan",
    flags: &["-g", "-O1", "-fsanitize=address", "-fno-omit-frame-pointer"],
    languages: &[Language::C, Language::Cpp],
    folder: LazyLock::new(|| ASAN.build()),
};

static NO_UNWIND_TABLES: Variant = Variant {
    name: "no_unwind_tables",
    flags: &["-O2", "-fno-exceptions", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"],
    // C++ needs its exceptions.
    languages: &[Language::C],
    folder: LazyLock::new(|| NO_UNWIND_TABLES.build()),
};

/// How the libraries are built.
struct Variant {
    name: &'static str,
    flags: &'static [&'static str],
    languages: &'static [Language],
    /// Where they are, built once in this process.
    folder: LazyLock<PathBuf>,
}

impl Variant {
    fn libraries(&self) -> impl Iterator<Item = &'static Library> {
        LIBRARIES.iter().filter(|it| self.languages.contains(&it.language) && it.can_be_built())
    }

    fn build(&self) -> PathBuf {
        let folder = target().join("variants").join(self.name);
        std::fs::create_dir_all(&folder).expect("the target folder can be written to");
        for library in self.libraries() {
            library
                .build_with(&folder, self.flags)
                .unwrap_or_else(|error| panic!("{}: {error}", library.name));
        }
        folder
    }

    fn is_for(&self, scenario: &Scenario) -> bool {
        let of = |name: &str| scenario.group == name || scenario.group == format!("c2v0/{name}");
        scenario.is_for(LUA) && (of("c2v0") || of("edges") || self.libraries().any(|it| of(it.name)))
    }

    fn run(&self, scenario: &Scenario, environment: &[(&str, String)]) -> Result<(), String> {
        let mut artefacts = Artefacts::of(LUA).environment();
        artefacts.libraries.insert(0, self.folder.clone());
        let mut command = scenario.command(&artefacts);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let ended = limited(&mut command, Duration::from_secs(300));
        if ended.succeeded() { Ok(()) } else { Err(ended.report()) }
    }

    /// The tests, run in that environment; ignored if there is none.
    fn trials(
        &'static self,
        environment: Option<Vec<(&'static str, String)>>,
    ) -> impl Iterator<Item = Trial> {
        let left_out = environment.is_none();
        let environment = environment.unwrap_or_default();
        scenarios::all().into_iter().filter(|scenario| self.is_for(scenario)).map(move |scenario| {
            let name = format!("{}::{}::{}", self.name, scenario.group, scenario.name);
            let environment = environment.clone();
            Trial::test(name, move || self.run(&scenario, &environment).map_err(Into::into))
                .with_ignored_flag(left_out)
        })
    }
}

/// What has to be loaded before all else: the sanitizer's runtime, and that of C++, in which it looks for `throw` when it is loaded.
fn runtime() -> Option<String> {
    let of_gcc = |name: &str| {
        let said = Command::new("gcc").arg(format!("-print-file-name={name}")).output().ok()?;
        let path = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
        path.is_absolute().then(|| path.display().to_string())
    };
    let (asan, cpp) = (of_gcc("libasan.so")?, of_gcc("libstdc++.so.6").or_else(|| of_gcc("libstdc++.so"))?);
    Some(format!("{asan} {cpp}"))
}

fn main() {
    let arguments = Arguments::from_args();
    let runtime = runtime().filter(|_| cfg!(target_os = "linux"));
    let with_asan = required(runtime.is_some(), "AddressSanitizer for gcc").then(|| {
        let options = "detect_leaks=1:exitcode=77".to_owned();
        vec![("LD_PRELOAD", runtime.unwrap_or_default()), ("ASAN_OPTIONS", options)]
    });
    let trials = ASAN.trials(with_asan).chain(NO_UNWIND_TABLES.trials(Some(Vec::new())));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
