//! How each host that is a program of its own is started.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use compat_tests::artefacts::{Artefacts, target, workspace};

use crate::{DAEMON, Host};

/// Where the hosts' parts are.
pub(crate) fn hosts() -> PathBuf {
    workspace().join("compat-tests/hosts")
}

/// A folder for what a host wants to have there.
fn folder(host: Host) -> PathBuf {
    let folder = target().join("hosts").join(if host.idle { "idle" } else { "" }).join(host.name);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

/// Where the host answers a client of its own: a socket that it binds, or a file that it writes a port to.
pub(crate) fn socket(host: Host) -> PathBuf {
    folder(host).join(format!("{}.socket", host.lua))
}

/// What a daemon writes to.
pub(crate) fn output(host: Host) -> PathBuf {
    folder(host).join("output")
}

/// A host with an environment in which its Lua finds DSS.
fn program(host: Host, name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    Artefacts::of(host.lua).environment().set_variables(&mut command);
    command.env("DSS_HOSTS_PROGRAM", hosts().join("program.lua"));
    command.env("DSS_HOSTS_SOCKET", socket(host));
    command
}

pub(crate) fn neovim(host: Host) -> Command {
    let mut command = program(host, "nvim");
    let script = format!("luafile {}", hosts().join("neovim.lua").display());
    command.args(["--headless", "-u", "NONE", "-c"]).arg(script).arg("--listen").arg(socket(host));
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
    let configuration = format!(
        "global\n  lua-load {}\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n\
         frontend answers\n  bind {}\n  http-request return status 200\n",
        script.display(),
        socket(host).display()
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, configuration).expect("the target folder can be written to");
    let mut command = program(host, "haproxy");
    if host.name == DAEMON {
        command.arg("-D").env("DSS_HOSTS_OUTPUT", output(host));
    }
    command.arg("-f").arg(file);
    command
}

/// Where `.ci/nginx` unpacks it.
pub(crate) fn nginx_root() -> PathBuf {
    target().join("nginx")
}

pub(crate) fn nginx(host: Host) -> Command {
    nginx_with(
        host,
        &format!("init_worker_by_lua_file {};", hosts().join("nginx.lua").display()),
        "return 200;",
    )
}

/// nginx with something for its workers to begin with, and an answer.
pub(crate) fn nginx_with(host: Host, begin: &str, answer: &str) -> Command {
    let (root, folder) = (nginx_root(), folder(host));
    let configuration = format!(
        "daemon off; worker_processes 1; user root; pid pid; error_log stderr error; worker_shutdown_timeout 60s;\n\
         load_module {modules}/ndk_http_module.so; load_module {modules}/ngx_http_lua_module.so;\n\
         env DSS_PATH; env DSS_HOSTS_PROGRAM; env DSS_HOSTS_IDLE;\nevents {{}}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n  \
         lua_package_path ';;{root}/usr/share/lua/5.1/?.lua;{hosts}/?.lua;';\n  {begin}\n  \
         server {{ listen unix:{socket}; location / {{ {answer} }} }}\n}}\n",
        modules = root.join("usr/lib/nginx/modules").display(),
        root = root.display(),
        hosts = hosts().display(),
        socket = socket(host).display(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).expect("the target folder can be written to");
    let mut command = program(host, root.join("usr/sbin/nginx"));
    let libraries = ["lib", "usr/lib"].map(|at| root.join(at).join("x86_64-linux-gnu"));
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).expect("no colon in it"));
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(file);
    command
}

pub(crate) fn kresd(host: Host) -> Command {
    let mut command = program(host, "kresd");
    // Or it would listen on ports of its choice.
    command.env("KRESD_NO_LISTEN", "1");
    command.args(["-n", "-q", "-c"]).arg(hosts().join("kresd.lua")).arg(folder(host));
    command
}

pub(crate) fn love(host: Host) -> Command {
    let mut command = program(host, "love");
    command.arg(hosts().join("love"));
    command
}

pub(crate) fn mpv(host: Host) -> Command {
    let mut command = program(host, "mpv");
    command.args(["--no-config", "--no-terminal", "--idle", "--vo=null", "--ao=null"]);
    command.arg(format!("--script={}", hosts().join("mpv.lua").display()));
    command.arg(format!("--input-ipc-server={}", socket(host).display()));
    command
}
