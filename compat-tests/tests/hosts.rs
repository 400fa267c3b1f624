//! Runs DSS in the hosts and loops that Debian has, each with the module that DSS ships for it: deliveries, requests, an error in a callback,
//! tasks and handlers that await, sustained load, and an end in the middle of a burst. `hosts/program.lua` is what runs in each; `hosts/NAME.lua`
//! is the host's part.
//!
//! Under sustained load the host's own timer must go on. A host that is starved has a share of 0.00 to 0.05 of its ticks; the test asks for a
//! quarter, for a machine may be busy. What is missing is ignored with a message. If `DSS_REQUIRE_SYSTEM_LUA` is set, it fails.

use std::env;
use std::process::Command;
use std::time::Duration;

use compat_tests::artefacts::Artefacts;
use compat_tests::environment::system_modules;
use compat_tests::luas::Lua;
use compat_tests::run::limited;
use compat_tests::scenarios::required;
use libtest_mimic::{Arguments, Trial};

#[path = "hosts/programs.rs"]
mod programs;
use programs::{haproxy, hosts, neovim, prosody};

/// A host, or a loop in the tests' own host.
#[derive(Clone, Copy)]
struct Host {
    name: &'static str,
    lua: Lua,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A loop: a file of the module that it is.
    Loop(&'static str),
    /// A program of its own.
    Program { name: &'static str, command: fn(Host) -> Command },
}

const NEOVIM: Kind = Kind::Program { name: "nvim", command: neovim };

const HOSTS: [Host; 11] = [
    Host { name: "luv", lua: Lua("lua54"), kind: Kind::Loop("luv.so") },
    Host { name: "luv", lua: Lua("luajit"), kind: Kind::Loop("luv.so") },
    Host { name: "cqueues", lua: Lua("lua54"), kind: Kind::Loop("cqueues.lua") },
    Host { name: "posix", lua: Lua("lua53"), kind: Kind::Loop("posix.so") },
    Host { name: "event", lua: Lua("lua54"), kind: Kind::Loop("luaevent.lua") },
    Host { name: "glib", lua: Lua("lua51"), kind: Kind::Loop("lgi.lua") },
    Host { name: "copas", lua: Lua("lua51"), kind: Kind::Loop("copas.lua") },
    Host { name: "neovim", lua: Lua("luajit"), kind: NEOVIM },
    Host { name: "neovim_schedule", lua: Lua("luajit"), kind: NEOVIM },
    Host { name: "prosody", lua: Lua("lua54"), kind: Kind::Program { name: "prosody", command: prosody } },
    Host { name: "haproxy", lua: Lua("lua53"), kind: Kind::Program { name: "haproxy", command: haproxy } },
];

/// Whether this machine has it.
fn is_there(host: Host) -> bool {
    let there = match host.kind {
        Kind::Loop(file) => system_modules(host.lua).iter().any(|folder| folder.join(file).exists()),
        Kind::Program { name, .. } => {
            let paths = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&paths).any(|folder| folder.join(name).exists())
        }
    };
    required(there, &format!("{} for {}", host.name, host.lua))
}

fn run(host: Host) -> Result<(), String> {
    let mut command = match host.kind {
        Kind::Loop(_) => {
            let mut command = Artefacts::of(host.lua).environment().command();
            command.arg(hosts().join(format!("{}.lua", host.name))).arg(hosts().join("program.lua"));
            command
        }
        Kind::Program { command, .. } => command(host),
    };
    let ended = limited(&mut command, Duration::from_secs(120));
    let value = |name: &str| {
        ended.stdout.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
    };
    let counts = [
        ("delivered", "200"),
        ("replied", "200"),
        ("errors", "1"),
        ("awaited", "1"),
        ("answer", "42"),
        ("failure", "after the await"),
        ("handled", "20000"),
    ];
    let counted = counts.iter().all(|(name, wanted)| value(name) == Some(wanted));
    let share = value("share").and_then(|share| share.parse::<f64>().ok());
    let is_over = ended.stdout.lines().any(|line| line.trim() == "done");
    if counted && is_over && share.is_some_and(|share| share >= 0.25) && ended.succeeded() {
        println!("{} in {}: share {}", host.name, host.lua, share.unwrap_or_default());
        return Ok(());
    }
    Err(ended.report())
}

fn main() {
    let arguments = Arguments::from_args();
    let trials = HOSTS.into_iter().map(|host| {
        let left_out = !cfg!(target_os = "linux") || !is_there(host);
        Trial::test(format!("{}::{}", host.lua, host.name), move || run(host).map_err(Into::into))
            .with_ignored_flag(left_out)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
