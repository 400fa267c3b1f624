//! The artefacts under a tool that watches them, for `.ci/sanitize`. `DSS_SANITIZER` names it: `address` also finds leaks, `thread` finds
//! races, `memcheck` is valgrind's, on the module as it is released.
//!
//! For the first two, the host has the sanitizer's runtime, and everything that is compiled for it is instrumented: Lua, the module, the libraries
//! in Rust and C, and std, which is built from its source. The libraries in C++, Zig and Go are as they always are.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::c;
use crate::scenarios::Scenario;

/// A tool that watches a program's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sanitizer {
    /// Uses of memory that is not there, and leaks.
    Address,
    /// Data races.
    Thread,
    /// Uses of memory that is not there or was never written.
    Memcheck,
}

/// Scenarios that cannot run under a tool: the tools, the start of their names, and why.
const LEFT_OUT: &[(&[Sanitizer], &str, &str)] = {
    use Sanitizer::{Address, Memcheck, Thread};
    const ALL: &[Sanitizer] = &[Address, Thread, Memcheck];
    &[
        (ALL, "faults::out of memory", "the tool itself needs the memory that it limits"),
        (ALL, "badinput::out of memory", "the tool itself needs the memory that it limits"),
        (ALL, "new::a callback that runs out of memory", "the tool itself needs the memory that it limits"),
        (ALL, "v2/bounds::a million deliveries", "it measures the memory of the process"),
        (&[Thread], "v2/values::a string is copied once", "it measures the memory of the process"),
        (&[Thread], "faults::a child that was forked", "the tool knows no threads that begin after a fork"),
        (&[Thread], "tasks_many::", "its tasks have 60 seconds, which is too short under the tool"),
        (
            &[Thread],
            "task::a long chain of tasks",
            "the tool itself ends by SIGSEGV in it; the other two tools pass it",
        ),
        (&[Thread], "c2v0/cpptypes::", "a library in C++ is not instrumented"),
        (&[Thread], "c2v0/re2::", "a library in C++ is not instrumented"),
        (&[Thread], "c2v0/zig::", "a library in Zig is not instrumented"),
        (&[Thread], "c2v0/go::", "a library in Go is not instrumented"),
        (&[Memcheck], "c2v0/go::", "the tool does not understand Go's moving stacks"),
        (&[Memcheck], "c2v0/re2::", "RE2 reads uninitialised memory on purpose"),
        (&[Memcheck], "faults::no membarrier", NO_FILTERS),
        (&[Memcheck], "faults::membarrier is forbidden", NO_FILTERS),
        (&[Memcheck], "v2/faults::no membarrier", NO_FILTERS),
        (&[Memcheck], "v2/faults::membarrier is forbidden", NO_FILTERS),
    ]
};

const NO_FILTERS: &str = "the tool has no filters of system calls";

/// Scenarios that end with memory that nobody can reach any more, and why that is right.
const LEAKS: &[(&str, &str)] = &[
    ("faults::a state that was open at a fork", "a forked child does not have the threads that had it"),
    ("faults::a state that had only required", "a forked child does not have the threads that had it"),
    ("faults::a child that was forked", "a forked child does not have the threads that had it"),
    ("descriptor::", UNLOADED),
    ("keep::", UNLOADED),
    ("v2::require finds", UNLOADED),
];

const UNLOADED: &str = "a C library that never registered is unloaded with its list of states";

impl Sanitizer {
    /// The one that `DSS_SANITIZER` names.
    ///
    /// # Panics
    /// It names none of the three.
    #[must_use]
    pub fn chosen() -> Option<Sanitizer> {
        let wanted = env::var("DSS_SANITIZER").ok().filter(|name| !name.is_empty())?;
        let known = [Sanitizer::Address, Sanitizer::Thread, Sanitizer::Memcheck];
        let found = known.into_iter().find(|sanitizer| sanitizer.name() == wanted);
        assert!(found.is_some(), "DSS_SANITIZER is {wanted:?}: wanted `address`, `thread` or `memcheck`");
        found
    }

    /// The chosen one, if what it watches has to be compiled for it.
    pub(crate) fn compiled_in() -> Option<Sanitizer> {
        Self::chosen().filter(|sanitizer| sanitizer.instruments())
    }

    /// Its name, by which compilers know it if it is LLVM's.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sanitizer::Address => "address",
            Sanitizer::Thread => "thread",
            Sanitizer::Memcheck => "memcheck",
        }
    }

    /// Whether code has to be compiled for it.
    pub(crate) fn instruments(self) -> bool {
        self != Sanitizer::Memcheck
    }

    /// The profile of the artefacts that it watches.
    pub(crate) fn profile(self) -> &'static str {
        if self.instruments() { "compat" } else { "release" }
    }

    /// The options of clang. It instruments, and links no runtime: there can be one alone, the host's. gcc's code would name gcc's.
    pub(crate) fn flags(self) -> [String; 2] {
        ["-Xclang".to_owned(), format!("-fsanitize={}", self.name())]
    }

    /// Has a build by cargo instrument what it compiles, std included.
    pub(crate) fn instrument(self, cargo: &mut Command) {
        let target = c::target();
        // The host has to show its runtime to what it loads.
        let flags = format!("-Zsanitizer={} -Clink-arg=-Wl,--export-dynamic", self.name());
        cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags);
        cargo.env("CARGO_UNSTABLE_BUILD_STD", "std").env("CARGO_BUILD_TARGET", &target);
        let of_target = |name: &str| format!("{name}_{}", target.replace('-', "_"));
        cargo.env(of_target("CC"), "clang").env(of_target("CFLAGS"), self.flags().join(" "));
    }

    /// Why a scenario is not run under it.
    #[must_use]
    pub fn leaves_out(self, scenario: &Scenario) -> Option<&'static str> {
        if scenario.needs().any(|need| need == "interpreter") {
            return Some("it runs the system's Lua");
        }
        let name = full_name(scenario);
        let found =
            LEFT_OUT.iter().find(|(tools, start, _)| tools.contains(&self) && name.starts_with(start));
        found.map(|(_, _, why)| *why)
    }

    /// A command that runs `host` under it, for that scenario. What it finds makes the run fail.
    pub(crate) fn watching(self, host: &Path, scenario: &Scenario) -> Command {
        let mut command = Command::new(host);
        match self {
            Sanitizer::Address => {
                let leaks = !LEAKS.iter().any(|(start, _)| full_name(scenario).starts_with(start));
                // Zig's threads have a signal stack of their own, which the runtime would take for its own.
                let options = format!("detect_leaks={}:use_sigaltstack=0:exitcode=77", i32::from(leaks));
                // The runtime looks for `throw` when the process starts.
                command.env("ASAN_OPTIONS", options).env("LD_PRELOAD", "libstdc++.so.6");
            }
            Sanitizer::Thread => {
                // A thread that still runs when the process ends, or ended and was not joined, is no race.
                let mut options = "exitcode=77:die_after_fork=0:report_thread_leaks=0".to_owned();
                if full_name(scenario).starts_with("faults::a handler of signals") {
                    // Under the tool Lua falls so far behind that handlers find the queue without room, and need memory.
                    options.push_str(":report_signal_unsafe=0");
                }
                command.env("TSAN_OPTIONS", options);
            }
            Sanitizer::Memcheck => {
                command = Command::new("valgrind");
                command.args(["--quiet", "--error-exitcode=77", "--fair-sched=yes"]).arg(host);
            }
        }
        command
    }
}

fn full_name(scenario: &Scenario) -> String {
    format!("{}::{}", scenario.group, scenario.name)
}
