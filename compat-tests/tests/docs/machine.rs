//! A stand-in for a machine on which DSS is installed: a home, a `/usr/local`, and programs on the `PATH`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use compat_tests::artefacts::{Artefacts, copy, dss, succeed, workspace};
use compat_tests::luas::{ALL, Lua, tested};

use crate::artefacts;

/// A folder that has all of them.
pub(crate) struct Machine(PathBuf);

impl Machine {
    /// Makes a machine without DSS in an empty `folder`. It has Lua 5.4, the tested Luas that `commands` name, and what a build of
    /// a release leaves in `target/release`.
    pub(crate) fn new(folder: &Path, commands: &str) -> Machine {
        let machine = Machine(folder.to_owned());
        for folder in ["bin", "home", "stub"] {
            fs::create_dir_all(machine.at(folder)).expect("the target folder can be written to");
        }
        copy_to(&artefacts().folder.join("darksidesync.so"), &machine.built().join("libdarksidesync.so"));
        copy_to(dss(), &machine.built().join("dss"));
        machine.program("stub/cargo", "exit 0");
        let is_used = |lua: &Lua| *lua == artefacts().lua || commands.contains(&program_of(*lua));
        for lua in ALL.into_iter().filter(|lua| has_lua(*lua) && is_used(lua)) {
            let built = Artefacts::of(lua);
            let own = |variable: &str, file: &str| {
                format!("{variable}=\"${{{variable}-{}}}\"", built.folder.join(file).display())
            };
            let (path, cpath) = (own("LUA_PATH", "?.lua"), own("LUA_CPATH", "?.so"));
            let text = format!("export {path} {cpath}\nexec '{}' \"$@\"", built.host().display());
            machine.program(&format!("bin/{}", program_of(lua)), &text);
        }
        machine
    }

    /// Installs DSS and sample libraries in `/usr/local`.
    pub(crate) fn install(&self) {
        copy_to(dss(), &self.at("bin/dss"));
        let mut install = self.command(&format!(
            "{} --lua lua54 --prefix {}",
            workspace().join("packaging/install").display(),
            self.prefix().display()
        ));
        succeed(self.without_a_build(&mut install));
        for name in ["sqlite.so", "httpd.so", "fswatch.so"] {
            copy_to(&artefacts().for_every_lua.join(name), &self.prefix().join("lib/dss").join(name));
        }
        copy_to(&artefacts().folder.join("timer.so"), &self.prefix().join("lib/lua/5.4/timer.so"));
    }

    /// A shell that runs `script` on this machine, and stops at the first command that fails.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-euc").arg(script).current_dir(&self.0);
        let path = env::var("PATH").expect("a test has a path");
        command.env("PATH", format!("{}:{path}", self.at("bin").display()));
        // The tools of Rust stay where they are.
        let home = PathBuf::from(env::var_os("HOME").expect("a test has a home"));
        for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(variable, env::var_os(variable).map_or_else(|| home.join(folder), PathBuf::from));
        }
        command.env("HOME", self.at("home"));
        for variable in ["LUA_PATH", "LUA_CPATH", "LUA_INIT", "PKG_CONFIG_PATH"] {
            command.env_remove(variable);
        }
        command.env("DSS_PATH", format!("{}/lib/dss/?.so;;", self.prefix().display()));
        // A library that an `export` must make known. It is nowhere else on this machine.
        command.env("SAMPLE", artefacts().for_every_lua.join("authors.so"));
        command
    }

    /// Makes `packaging/install` install what the tests have built. `--test packaging` has it build a release.
    pub(crate) fn without_a_build<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = env::var("PATH").expect("a test has a path");
        command
            .env("PATH", format!("{}:{}:{path}", self.at("stub").display(), self.at("bin").display()))
            .env("CARGO_TARGET_DIR", self.at("target"))
    }

    /// What stands for `/usr/local`.
    pub(crate) fn prefix(&self) -> PathBuf {
        self.at("prefix")
    }

    /// What stands for `target/release` of a checkout.
    pub(crate) fn built(&self) -> PathBuf {
        self.at("target/release")
    }

    /// A path in its folder.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// Writes a shell script that can be run.
    fn program(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the target folder can be written to");
        succeed(Command::new("chmod").arg("+x").arg(path));
    }
}

/// Whether examples may use this Lua.
pub(crate) fn has_lua(lua: Lua) -> bool {
    lua == artefacts().lua || tested().contains(&lua)
}

/// The usual name of a Lua's program.
pub(crate) fn program_of(lua: Lua) -> String {
    if lua.0 == "luajit" { lua.0.to_owned() } else { format!("lua{}", lua.folder()) }
}

fn copy_to(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a file lies in a folder"))
        .expect("the target folder can be written to");
    copy(from, to);
}
