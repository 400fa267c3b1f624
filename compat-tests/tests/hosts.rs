//! Runs DSS in the hosts and loops that Debian has, each with the module that DSS ships for it: deliveries, requests, an error in a callback,
//! tasks and handlers that await, sustained load, and an end in the middle of a burst. `hosts/program.lua` is what runs in each; `hosts/NAME.lua`
//! is the host's part.
//!
//! Under sustained load the host's own timer must go on. A host that is starved has a share of 0.00 to 0.05 of its ticks; the test asks for a
//! quarter, for a machine may be busy. What is missing is ignored with a message. If `DSS_REQUIRE_SYSTEM_LUA` is set, it fails.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, target, workspace};
use compat_tests::environment::system_modules;
use compat_tests::luas::Lua;
use compat_tests::run::limited;
use compat_tests::scenarios::required;
use libtest_mimic::{Arguments, Trial};

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

fn hosts() -> PathBuf {
    workspace().join("compat-tests/hosts")
}

/// A folder for what a host wants to have there.
fn folder(host: Host) -> PathBuf {
    let folder = target().join("hosts").join(host.name);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

/// A host with an environment in which its Lua finds DSS.
fn program(host: Host, name: &str) -> Command {
    let mut command = Command::new(name);
    Artefacts::of(host.lua).environment().set_variables(&mut command);
    command.env("DSS_HOSTS_PROGRAM", hosts().join("program.lua"));
    command
}

fn neovim(host: Host) -> Command {
    let mut command = program(host, "nvim");
    let script = format!("luafile {}", hosts().join("neovim.lua").display());
    command.args(["--headless", "-u", "NONE", "-c"]).arg(script);
    if host.name.ends_with("schedule") {
        command.env("DSS_HOSTS_SCHEDULE", "1");
    }
    command
}

fn prosody(host: Host) -> Command {
    let folder = folder(host);
    let plugins = folder.join("plugins");
    for made in [&plugins, &folder.join("data"), &folder.join("certs")] {
        fs::create_dir_all(made).expect("as above");
    }
    let copies = [
        (workspace().join("dss-lua/lua/dss/prosody.lua"), "mod_dss.lua"),
        (hosts().join("mod_hosts.lua"), "mod_hosts.lua"),
    ];
    for (from, name) in copies {
        fs::copy(from, plugins.join(name)).expect("a file of the tree");
    }
    let at = folder.display();
    let configuration = format!(
        r#"
run_as_root, daemonize = true, false
pidfile, data_path, plugin_paths = "{at}/pid", "{at}/data", {{ "{at}/plugins" }}
modules_enabled, modules_disabled = {{ "dss", "hosts" }}, {{ "s2s", "c2s", "posix", "tls" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports, s2s_ports, http_ports, https_ports, component_ports = {{}}, {{}}, {{}}, {{}}, {{}}
log = {{ {{ levels = {{ min = "error" }}, to = "console" }} }}
VirtualHost "localhost"
"#
    );
    let file = folder.join("prosody.cfg.lua");
    fs::write(&file, configuration).expect("as above");
    let mut command = program(host, "prosody");
    command.args(["-F", "--config"]).arg(file);
    command
}

fn haproxy(host: Host) -> Command {
    let script = hosts().join("haproxy.lua");
    let folder = folder(host);
    let socket = folder.join("socket");
    let configuration = format!(
        "global\n  lua-load {}\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n\
         frontend none\n  bind {}\n",
        script.display(),
        socket.display()
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration).expect("the target folder can be written to");
    let mut command = program(host, "haproxy");
    command.arg("-f").arg(file);
    command
}

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
