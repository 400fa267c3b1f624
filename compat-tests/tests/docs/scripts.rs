//! The blocks of commands that run as one script, like a reader would paste them: in the folder of a library, or on a machine where
//! DSS is installed.
//!
//! A [`Machine`] in the test's own folder stands for the reader's. What the script makes is used after it: a module is required, and
//! what an `export` says must lead to a library.

use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::{extension, succeed, target, workspace};
use compat_tests::luas::ALL;
use compat_tests::walk;

use crate::blocks::Block;
use crate::machine::{self, Machine};
use crate::{artefacts, folder, libraries, shell};

/// Runs `block` on a machine where DSS is installed. If it names a library in Rust, it runs in the folder of its crate.
pub(crate) fn run(block: &Block, all: &[Block]) {
    let own = format!("scripts/{}", block.name().replace(['/', ' ', ':'], "-"));
    // Files of an earlier run would hide that this run does not make them.
    let _ = fs::remove_dir_all(folder(&own));
    let machine = Machine::new(&folder(&own), &block.text);
    if !makes_its_own(block) {
        machine.install();
    }
    let place = match &block.library {
        Some(name) if !makes_its_own(block) => {
            let crate_of = libraries::crate_folder(name, all);
            let _ = fs::remove_dir_all(crate_of.join("out"));
            write_script(name, &crate_of, block, all);
            crate_of
        }
        _ => machine.at(""),
    };
    // A workspace of its own, so that `cargo new` does not add to the one around it.
    fs::write(machine.at("Cargo.toml"), "[workspace]\n").expect("the target folder can be written to");
    let mut command = machine.command(&script(block, &machine));
    if block.text.contains("packaging/install") {
        machine.without_a_build(&mut command);
    } else {
        shell::as_inner_cargo(&mut command);
        command.env("CARGO_NET_OFFLINE", "true");
    }
    succeed(command.current_dir(place));
    check(&machine, block);
}

/// Whether the block begins with nothing.
fn makes_its_own(block: &Block) -> bool {
    block.text.contains("cargo new") || block.text.contains("packaging/install")
}

/// The commands of `block` with the paths of `machine`, and commands that use what it exports.
fn script(block: &Block, machine: &Machine) -> String {
    let built = match block.library {
        Some(_) => target().join("cargo/compat"),
        None => machine.built(),
    };
    let (built, prefix) = (built.display(), machine.prefix());
    let replacements = [
        ("~/DarkSideSync/target/", "target/".to_owned()),
        ("$PWD/target/", "target/".to_owned()),
        ("target/release/", format!("{built}/")),
        ("target/debug/", format!("{built}/")),
        ("/usr/local/", format!("{}/", prefix.display())),
        ("packaging/install ", format!("{} ", workspace().join("packaging/install").display())),
        (" --release", String::new()),
        ("cargo build", "cargo build --profile compat".to_owned()),
        ("cargo test", "cargo test --profile compat".to_owned()),
        ("sudo ", String::new()),
    ];
    let mut script = String::new();
    for line in shell::lines(&block.text) {
        assert!(is_known(&line), "no test knows how to run `{line}`");
        let mut line = replacements.iter().fold(line, |line, (from, to)| line.replace(from, to));
        if line.starts_with("for lua in ") {
            line = with_luas(&line);
        }
        if let Some(name) = &block.library {
            for name in [name.as_str(), "?"] {
                line = line.replace(&format!("lib{name}.so"), &format!("lib{name}.{}", extension()));
            }
        }
        script.push_str(&line);
        script.push('\n');
    }
    if script.contains("export DSS_PATH") {
        let load = match &block.library {
            Some(name) => name,
            None => {
                script.push_str("cp \"$SAMPLE\" \"${DSS_PATH%%\\?*}\"\n");
                "authors"
            }
        };
        script.push_str(&format!("lua5.4 -e 'require \"dss\" require(\"darksidesync\").load(\"{load}\")'\n"));
    }
    if script.contains("PKG_CONFIG_PATH=") {
        script.push_str("test -f \"$PKG_CONFIG_PATH/darksidesync.pc\"\n");
    }
    script
}

/// Whether the test may run the command of `line`.
fn is_known(line: &str) -> bool {
    let words: Vec<_> =
        shell::without_assignments(line.trim_start_matches("sudo ")).split_whitespace().collect();
    matches!(
        *words,
        ["cargo", "build" | "new" | "test", ..]
            | [
                "mkdir" | "cp" | "mv" | "cd" | "export" | "dss" | "target/release/dss" | "packaging/install",
                ..
            ]
            | ["for", "lua", "in", ..]
            | ["\"$lua\"", _]
            | ["done"]
    )
}

/// A line `for lua in ...; do` without the Luas that are not tested.
fn with_luas(line: &str) -> String {
    let (names, rest) = line["for lua in ".len()..].split_once(';').expect("a loop is `for ... in ...; do`");
    let tested = names.split_whitespace().filter(|name| {
        let lua = ALL.into_iter().find(|lua| machine::program_of(*lua) == *name);
        machine::has_lua(lua.unwrap_or_else(|| panic!("{name} is no Lua")))
    });
    let tested: Vec<_> = tested.collect();
    assert!(!tested.is_empty(), "`{line}` has no Lua that is tested");
    format!("for lua in {};{rest}", tested.join(" "))
}

/// Writes the Lua code of the page that uses the library `name` to the file that the commands run.
fn write_script(name: &str, crate_of: &Path, block: &Block, all: &[Block]) {
    let file = format!("tests/{name}.lua");
    if block.text.contains(&file) {
        let user = all.iter().find(|other| {
            other.document == block.document
                && other.language == "lua"
                && libraries::requires(&other.text, name)
        });
        let user = user.unwrap_or_else(|| panic!("no Lua example of {} loads {name}", block.document));
        fs::create_dir_all(crate_of.join("tests")).expect("the target folder can be written to");
        fs::write(crate_of.join(file), &user.text).expect("it was just made");
    }
}

/// Checks that what the commands made can be used.
fn check(machine: &Machine, block: &Block) {
    for line in shell::lines(&block.text).filter(|line| line.starts_with("cargo new ")) {
        let name = line.rsplit(' ').next().expect("rsplit gives one");
        for file in ["Cargo.toml", "src/lib.rs"] {
            assert!(machine.at(name).join(file).exists(), "`{line}` makes no {file}");
        }
    }
    let made = walk::files(&machine.at(""), |_| true);
    let is_installed = |path: &&PathBuf| {
        path.ends_with("lib/lua/5.4/darksidesync.so") && path.metadata().is_ok_and(|it| it.is_file())
    };
    let installed: Vec<_> = made.iter().filter(is_installed).collect();
    assert!(
        !block.text.contains("packaging/install") || !installed.is_empty(),
        "`packaging/install` installs no module"
    );
    for module in installed {
        let prefix = module.ancestors().nth(4).expect("it lies below lib/lua/5.4");
        let (lib, share) = (prefix.join("lib/lua/5.4/?.so"), prefix.join("share/lua/5.4/?.lua"));
        let code = "require 'darksidesync' require 'dss'";
        let mut command = std::process::Command::new(artefacts().host());
        succeed(command.arg("--cpath").arg(lib).arg("--path").arg(share).args(["-e", code]));
    }
}
