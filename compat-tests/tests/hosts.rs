//! Runs DSS in the hosts and loops that Debian has, each with the module that DSS ships for it: deliveries, requests, an error in a callback,
//! tasks and handlers that await, sustained load, in whose midst the module is removed and installed again, and an end in the middle of a burst. `hosts/program.lua` is what runs in each; `hosts/NAME.lua`
//! is the host's part.
//!
//! Under sustained load the host's own timer must go on. A host that is starved has a share of 0.00 to 0.05 of its ticks; the test asks for a
//! quarter, for a machine may be busy. What is missing is ignored with a message. If `DSS_REQUIRE_SYSTEM_LUA` is set, it fails.

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use compat_tests::artefacts::Artefacts;
use compat_tests::environment::system_modules;
use compat_tests::luas::Lua;
use compat_tests::run::limited;
use compat_tests::scenarios::required;
use libtest_mimic::{Arguments, Trial};

#[path = "hosts/client.rs"]
mod client;
#[path = "hosts/programs.rs"]
mod programs;
#[path = "hosts/reload.rs"]
mod reload;
use client::{Client, HTTP, MESSAGE_PACK};
use programs::{haproxy, hosts, kresd, love, mpv, neovim, nginx, nginx_root, output, prosody, socket};

/// How long a host may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A host, or a loop in the tests' own host.
#[derive(Clone, Copy)]
struct Host {
    name: &'static str,
    lua: Lua,
    kind: Kind,
    /// With nothing to do.
    idle: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A loop: a file of the module that it is.
    Loop(&'static str),
    /// A program of its own.
    Program { name: &'static str, command: fn(Host) -> Command },
}

/// HAProxy as a daemon: it requires DSS, and forks, and its parent exits.
const DAEMON: &str = "haproxy_daemon";

impl Host {
    const fn looping(name: &'static str, lua: &'static str, file: &'static str) -> Self {
        Host { name, lua: Lua(lua), kind: Kind::Loop(file), idle: false }
    }

    const fn program(
        name: &'static str,
        lua: &'static str,
        program: &'static str,
        command: fn(Host) -> Command,
    ) -> Self {
        Host { name, lua: Lua(lua), kind: Kind::Program { name: program, command }, idle: false }
    }
}

const HOSTS: [Host; 16] = [
    Host::looping("luv", "lua54", "luv.so"),
    Host::looping("luv", "luajit", "luv.so"),
    Host::looping("cqueues", "lua54", "cqueues.lua"),
    Host::looping("posix", "lua53", "posix.so"),
    Host::looping("event", "lua54", "luaevent.lua"),
    Host::looping("glib", "lua51", "lgi.lua"),
    Host::looping("copas", "lua51", "copas.lua"),
    Host::program("neovim", "luajit", "nvim", neovim),
    Host::program("neovim_schedule", "luajit", "nvim", neovim),
    Host::program("prosody", "lua54", "prosody", prosody),
    Host::program("nginx", "luajit", "nginx", nginx),
    Host::program("haproxy", "lua53", "haproxy", haproxy),
    Host::program(DAEMON, "lua53", "haproxy", haproxy),
    Host::program("kresd", "luajit", "kresd", kresd),
    Host::program("love", "luajit", "love", love),
    Host::program("mpv", "lua52", "mpv", mpv),
];

/// nginx with another program.
const RELOADED: Host = Host::program("nginx_reloaded", "luajit", "nginx", nginx);
const RECOVERS: Host = Host::program("nginx_recovers", "luajit", "nginx", nginx);

/// Whether this machine has it.
fn is_there(host: Host) -> bool {
    let there = match host.kind {
        Kind::Loop(file) => system_modules(host.lua).iter().any(|folder| folder.join(file).exists()),
        Kind::Program { name, .. } => {
            let paths = env::var_os("PATH").unwrap_or_default();
            let unpacked = nginx_root().join("usr/sbin");
            env::split_paths(&paths).chain([unpacked]).any(|folder| folder.join(name).exists())
        }
    };
    required(there, &format!("{} for {}", host.name, host.lua))
}

/// What the client asks the host.
fn request(host: Host) -> &'static [u8] {
    match host.name {
        "neovim" | "neovim_schedule" => MESSAGE_PACK,
        "mpv" => b"script-message-to mpv ask\n",
        _ => HTTP,
    }
}

/// What a daemon writes to a file, which it does until it is done or has failed.
fn output_of_daemon(host: Host) -> String {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(output(host)).unwrap_or_default();
        let is_over = text.lines().any(|line| line.starts_with("done") || line.starts_with("failed"));
        if is_over || begun.elapsed() > LIMIT {
            return text;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Those that have nothing to wait on, and look now and then.
const LOOKING: [&str; 3] = ["haproxy", DAEMON, "love"];

/// Starts a host with nothing to do.
fn idle(host: Host) -> Result<usize, String> {
    let host = Host { idle: true, ..host };
    let ended = limited(&mut command(host), LIMIT);
    let woken = ended.stdout.lines().find_map(|line| line.trim().strip_prefix("woken ")?.trim().parse().ok());
    woken.filter(|_| ended.succeeded()).ok_or_else(|| ended.report())
}

/// Starts a host with the program.
fn command(host: Host) -> Command {
    let mut command = match host.kind {
        Kind::Loop(_) => {
            let mut command = Artefacts::of(host.lua).environment().command();
            command.arg(hosts().join(format!("{}.lua", host.name))).arg(hosts().join("program.lua"));
            command.env("DSS_HOSTS_SOCKET", socket(host));
            command
        }
        Kind::Program { command, .. } => command(host),
    };
    if host.idle {
        command.env("DSS_HOSTS_IDLE", "1");
    }
    // One of an earlier run could not be bound again.
    let _ = fs::remove_file(socket(host));
    command
}

fn run(host: Host) -> Result<(), String> {
    // Beside the other one: it takes nothing from it.
    let idle = (!LOOKING.contains(&host.name)).then(|| thread::spawn(move || idle(host)));
    let mut command = command(host);
    let client = Client::start(socket(host), request(host));
    let _ = fs::remove_file(output(host));
    let mut ended = limited(&mut command, LIMIT);
    if host.name == DAEMON {
        ended.stdout = output_of_daemon(host);
    }
    let answers = client.stop();
    let woken = idle.map(|thread| thread.join().expect("it does not panic")).transpose()?;
    let value = |name: &str| {
        ended.stdout.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(' ')).map(str::trim)
    };
    // The others have nothing that is installed, or not later.
    let renews = !matches!(host.name, "posix" | "haproxy" | DAEMON | "love" | "mpv");
    let counts = [
        ("delivered", "200"),
        ("replied", "200"),
        ("errors", "1"),
        ("awaited", "1"),
        ("slept", "true"),
        ("answer", "42"),
        ("failure", "after the await"),
        ("handled", "50000"),
        ("renewed", if renews { "true" } else { "nil" }),
    ];
    let counted = counts.iter().all(|(name, wanted)| value(name) == Some(wanted));
    let share = value("share").and_then(|share| share.parse::<f64>().ok());
    // One that waits for the end of the load takes as long as that.
    let took = value("took").and_then(|took| took.parse().ok()).map(Duration::from_secs_f64);
    let answered = match host.name {
        "posix" | "event" => true,
        _ => answers.count > 10 && took.is_some_and(|took| answers.longest * 2 < took),
    };
    let is_over = ended.stdout.lines().any(|line| line.trim() == "done");
    // The timer's one, and what the host does by itself. One that looks ten times a second has 40. So has mpv:
    // its scripts do not run on the main thread, and elsewhere each sleep of DSS's ends after 0.1 s.
    let sleeps = woken.is_none_or(|woken| woken <= if host.name == "mpv" { 48 } else { 8 });
    if counted
        && answered
        && sleeps
        && is_over
        && share.is_some_and(|share| share >= 0.25)
        && ended.succeeded()
    {
        println!(
            "{} in {}: share {}, longest of {} answers {:.1} ms, idle wakes {woken:?}",
            host.name,
            host.lua,
            share.unwrap_or_default(),
            answers.count,
            answers.longest.as_secs_f64() * 1e3
        );
        return Ok(());
    }
    Err(format!("{answers:?}, idle wakes {woken:?}\n{}", ended.report()))
}

fn main() {
    let arguments = Arguments::from_args();
    let trial = |host: Host, run: fn(Host) -> Result<(), String>| {
        let left_out = !cfg!(target_os = "linux") || !is_there(host);
        Trial::test(format!("{}::{}", host.lua, host.name), move || run(host).map_err(Into::into))
            .with_ignored_flag(left_out)
    };
    let mut trials: Vec<_> = HOSTS.into_iter().map(|host| trial(host, run)).collect();
    trials.push(trial(RELOADED, reload::run));
    trials.push(trial(RECOVERS, reload::recovers));
    libtest_mimic::run(&arguments, trials).exit();
}
