//! How each host that is a program of its own is started.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use compat_tests::artefacts::{Artefacts, target, workspace};

use crate::Host;

/// Where the hosts' parts are.
pub(crate) fn hosts() -> PathBuf {
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

pub(crate) fn neovim(host: Host) -> Command {
    let mut command = program(host, "nvim");
    let script = format!("luafile {}", hosts().join("neovim.lua").display());
    command.args(["--headless", "-u", "NONE", "-c"]).arg(script);
    if host.name.ends_with("schedule") {
        command.env("DSS_HOSTS_SCHEDULE", "1");
    }
    command
}

pub(crate) fn prosody(host: Host) -> Command {
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

pub(crate) fn haproxy(host: Host) -> Command {
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
