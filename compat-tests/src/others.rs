//! What else hands items from a background thread to a script, beside DSS, for `benches/others.rs`: each contender is a script in
//! `benches/others`, and does the same work. What the machine lacks is said, and left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::artefacts::{Artefacts, succeed, target, workspace};
use crate::c;
use crate::c2v0::runs;
use crate::environment::system_modules;
use crate::luas::Lua;
use crate::run::limited;

/// One of those that are compared.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// Its name in the table.
    pub title: &'static str,
    /// Whether it is DSS.
    pub is_dss: bool,
    /// What it needs that is not built here.
    pub needs: Needs,
    script: &'static str,
    how: &'static str,
}

/// What a contender needs that is not built here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// luv for its Lua.
    Luv,
    /// Lua Lanes 3 for its Lua.
    Lanes,
    /// Node, and its header.
    Node,
}

const fn contender(
    title: &'static str,
    is_dss: bool,
    needs: Needs,
    script: &'static str,
    how: &'static str,
) -> Contender {
    Contender { title, is_dss, needs, script, how }
}

/// The contenders in a Lua.
pub const IN_LUA: [Contender; 8] = [
    contender("DSS, `wait`, a thread in C", true, Needs::Nothing, "dss.lua", "C wait"),
    contender("DSS, `wait`, a thread in Rust", true, Needs::Nothing, "dss.lua", "wait"),
    contender("DSS, luv's loop, a thread in C", true, Needs::Luv, "dss.lua", "C luv"),
    contender("DSS, luv's loop, a thread in Rust", true, Needs::Luv, "dss.lua", "luv"),
    contender("`uv_async`, a thread in C", false, Needs::Luv, "async.lua", "C"),
    contender("`uv_async`, a thread in Lua", false, Needs::Luv, "async.lua", "Lua"),
    contender("a queue as in Lanes", false, Needs::Nothing, "as_lanes.lua", ""),
    contender("Lanes' linda", false, Needs::Lanes, "linda.lua", ""),
];

/// The one without Lua.
pub const NODE: Contender = contender("Node's thread-safe function", false, Needs::Node, "node.js", "");

/// How many items are handed over, and how many of them are waited for one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// The items without an answer.
    pub items: usize,
    /// The round trips.
    pub trips: usize,
}

/// What a run measured, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// The time for one item, from the start of the thread to the last callback, divided by the items.
    pub item: f64,
    /// The median of the round trips.
    pub half: f64,
    /// Their 99th percentile.
    pub slow: f64,
}

/// The folder of the scripts and of the sources in C.
fn sources() -> PathBuf {
    workspace().join("compat-tests/benches/others")
}

/// Where LuaRocks installs modules for `lua`, besides the folders of the system.
fn rocks(lua: Lua) -> [PathBuf; 2] {
    ["share", "lib"].map(|part| Path::new("/usr/local").join(part).join("lua").join(lua.folder()))
}

fn has_module(folders: &[PathBuf], file: &str) -> bool {
    folders.iter().any(|folder| folder.join(file).exists())
}

/// The folder with `node_api.h`.
fn node_headers() -> Option<PathBuf> {
    if !runs("node", &["--version"]) {
        return None;
    }
    let program = PathBuf::from(succeed(Command::new("node").args(["-p", "process.execPath"])).trim());
    let prefix = program.parent()?.parent()?;
    ["include/node", "include/nodejs/src"]
        .map(|folder| prefix.join(folder))
        .into_iter()
        .find(|folder| folder.join("node_api.h").exists())
}

impl Contender {
    /// What the machine lacks for it in `lua`, or `None` if it can run.
    #[must_use]
    pub fn missing(&self, lua: Lua) -> Option<String> {
        let title = lua.title();
        match self.needs {
            Needs::Nothing => None,
            Needs::Luv => {
                (!has_module(&system_modules(lua), "luv.so")).then(|| format!("there is no luv for {title}"))
            }
            Needs::Lanes => (!has_module(&rocks(lua), "lanes/core.so"))
                .then(|| format!("there is no Lua Lanes 3 for {title}")),
            Needs::Node => node_headers().is_none().then(|| "there is no Node, or no node_api.h".to_owned()),
        }
    }

    /// Does the work in a process of its own. `artefacts` are those of its Lua, and `built` is what [`build`] returned.
    ///
    /// # Panics
    /// It fails, or an item is missing or comes out of order. The message has its output.
    #[must_use]
    pub fn run(&self, artefacts: &Artefacts, built: &Path, work: Work) -> Figures {
        let mut command = if self.needs == Needs::Node {
            let mut command = Command::new("node");
            command.arg(sources().join(self.script)).arg(built.join("addon.node"));
            command
        } else {
            let mut further = vec![built.join(artefacts.lua.0)];
            further.extend(rocks(artefacts.lua));
            let mut environment = artefacts.environment();
            environment.folders.extend(further);
            environment.libraries.push(built.to_owned());
            let mut command = environment.command();
            command.arg(sources().join(self.script));
            command
        };
        command.args([work.items, work.trips].map(|number| number.to_string())).arg(self.how);
        let ended = limited(&mut command, Duration::from_secs(120));
        assert!(ended.succeeded(), "{}: {}", self.title, ended.report());
        let found: BTreeMap<&str, f64> = ended
            .stdout
            .lines()
            .filter_map(|line| line.split_once('|'))
            .filter_map(|(name, figure)| Some((name, figure.parse().ok()?)))
            .collect();
        let figure = |name| {
            *found.get(name).unwrap_or_else(|| panic!("{}: no figure {name}: {}", self.title, ended.report()))
        };
        Figures { item: figure("item"), half: figure("p50"), slow: figure("p99") }
    }
}

/// Compiles what the contenders have in C, for each Lua of `artefacts` and for Node if it is there. Returns the folder.
///
/// # Panics
/// The compiler is missing, or rejects the sources.
#[must_use]
pub fn build(artefacts: &[Artefacts]) -> PathBuf {
    let built = target().join("others");
    let compile = |source: &str, include: &Path, output: &Path| {
        c::compile(&c::Module {
            sources: &[sources().join(source)],
            includes: &[include.to_owned()],
            flags: &[],
            libraries: &[],
            output,
        });
    };
    let library = built.join("dss_sender.so");
    fs::create_dir_all(&built).expect("the target folder can be written to");
    compile("dss.c", &crate::c2v0::include(), &library);
    for artefacts in artefacts {
        let folder = built.join(artefacts.lua.0);
        fs::create_dir_all(&folder).expect("the target folder can be written to");
        let include = succeed(Command::new(artefacts.host()).arg("--include"));
        for name in ["queue", "keeper"] {
            compile(&format!("{name}.c"), Path::new(include.trim()), &folder.join(format!("{name}.so")));
        }
    }
    if let Some(include) = node_headers() {
        compile("addon.c", &include, &built.join("addon.node"));
    }
    built
}
