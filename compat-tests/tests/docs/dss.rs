//! The output of the command `dss` in the documents.

use std::fs;
use std::process::Command;

use compat_tests::artefacts::{copy, dss, succeed};

use crate::{artefacts, folder};

/// The output of `dss check` for a folder with libraries that fit and one that does not, with the paths of an installed module and libraries.
pub(crate) fn check() -> String {
    let (dir, lua) = (folder("dss-check"), artefacts());
    for (from, to) in [
        (lua.folder.join("darksidesync.so"), "lua/darksidesync.so"),
        (lua.for_every_lua.join("fswatch.so"), "dss/fswatch.so"),
        (lua.for_every_lua.join("sqlite.so"), "dss/sqlite.so"),
        (lua.folder.join("misfit_major.so"), "dss/misfit.so"),
    ] {
        let to = dir.join(to);
        fs::create_dir_all(to.parent().expect("it lies in a folder"))
            .expect("the target folder can be written to");
        fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    let mut command = Command::new(dss());
    let output = command.args(["check", "--module", "lua/darksidesync.so", "dss"]).current_dir(dir).output();
    let output = output.expect("it was just built");
    assert_eq!(output.status.code(), Some(1), "one does not fit");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.replace("lua/darksidesync", "/usr/local/lib/lua/5.4/darksidesync")
        .replace(" dss/", " /usr/local/lib/dss/")
}

/// The output of `dss inspect` for the library that `wanted` describes. The lines that say which compiler and which processor it was built
/// with and for are those of `wanted`.
pub(crate) fn inspect(wanted: &str) -> String {
    let dir = folder("dss-inspect");
    copy(&artefacts().for_every_lua.join("fswatch.so"), &dir.join("fswatch.so"));
    let text = succeed(Command::new(dss()).args(["inspect", "fswatch.so"]).current_dir(dir));
    let of_this_machine = ["  compiler ", "  for "];
    let lines = text.lines().map(|line| {
        let kind = of_this_machine.into_iter().find(|kind| line.starts_with(kind));
        kind.and_then(|kind| wanted.lines().find(|line| line.starts_with(kind))).unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n").replace("fswatch.so", "/usr/local/lib/dss/fswatch.so")
}
