//! Runs the examples in the documents. Every fenced block is a test. A block in an unknown language fails. All pages of the book are one document:
//! a library of one page is used by another.
//!
//! | block | test |
//! |---|---|
//! | `lua` | runs in the Lua 5.4 host, and must print what the line `<!-- prints: one \| two -->` above it says |
//! | `c`, `rust` | is compiled as the library whose `luaopen_`, `library!` or `DSS_LIBRARY` it has; a `lua` block of the document must require or load it |
//! | `cpp` | is compiled as the library whose `DSS_CPP_LIBRARY` it has, as for C, or else as a part of one |
//! | `rust` without either | is a part of a library, compiled with the manifest of a v2 library of its page, or else of the document |
//! | `toml` | is the manifest of the document's library of that name |
//! | `sh`, `console` | runs line by line, with paths that lead into the target folder; see `docs/shell.rs` |
//! | `sh` with `<!-- in: NAME -->` | runs in the folder of the library NAME: see `docs/scripts.rs` for Rust, and `docs/languages.rs` for C++, Zig and Go |
//! | `sh` with `<!-- installed -->` | runs on a machine where DSS is installed; see `docs/scripts.rs` |
//! | `text` | is the output of the program in `docs/programs.rs` that the line `<!-- test: name -->` above it names; `dss-check` and `dss-inspect` are in `docs/dss.rs`, and `wrong-lua` is the message of another Lua's module |
//! | `lua` with `<!-- part of: HOST -->` | is compiled, and the modules of DSS's that it requires are there; `tests/hosts.rs` runs such programs in the hosts |
//! | any with `<!-- part -->` | is an excerpt or another program's file, which no test runs |
//!
//! A `lua` block may have a `<!-- test: name -->` too: that program then runs before it, in the same state. A line `{{#include FILE}}` stands for a file
//! of the tree, or for the part of it that an anchor names.
//!
//! Links into the tree must lead to something that exists. The book's contents list all of its pages, and its reference all functions.

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/book.rs"]
mod book;
#[path = "docs/dss.rs"]
mod dss;
#[path = "docs/languages.rs"]
mod languages;
#[path = "docs/libraries.rs"]
mod libraries;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/machine.rs"]
mod machine;
#[path = "docs/programs.rs"]
mod programs;
#[path = "docs/rockspec.rs"]
mod rockspec;
#[path = "docs/scripts.rs"]
mod scripts;
#[path = "docs/shell.rs"]
mod shell;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use blocks::Block;
use compat_tests::artefacts::{Artefacts, copy, target, workspace};
use compat_tests::luas::{self, Lua};
use compat_tests::run::limited;
use libtest_mimic::{Arguments, Trial};

/// The documents beside the book.
const DOCUMENTS: [&str; 14] = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "dss-abi/README.md",
    "dss-abi/c1v0/README.md",
    "dss-abi/c2v0/README.md",
    "dss-abi/v1/README.md",
    "dss-abi/v2/README.md",
    "dss-abi/v2-derive/README.md",
    "dss-cli/README.md",
    "dss-impl/README.md",
    "dss-lua/README.md",
    "SECURITY.md",
    "examples/README.md",
];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        check("the rockspec", rockspec::check),
        check("the pictures are of their sources", book::check_pictures),
        check("the book's contents list its pages", book::check_contents),
        check("the book's messages are those of the code", book::check_messages),
        check("the book's reference has every function", book::check_reference),
    ];
    trials.extend(book::files("rockspecs", "rockspec").into_iter().map(|file| {
        let name = file.clone();
        check(name, move || rockspec::check_released(&file))
    }));
    let documents = DOCUMENTS.map(|document| vec![document.to_owned()]);
    for set in documents.into_iter().chain([book::pages()]) {
        let blocks: &'static [Block] =
            set.iter().flat_map(|page| blocks::of(page)).collect::<Vec<_>>().leak();
        for block in blocks {
            // Another Lua's module is built for the first, and a compiler may be missing for the others.
            let left_out = block.test.as_deref() == Some("wrong-lua")
                && !luas::tested().contains(&Lua("lua55"))
                || languages::needs(block, blocks).is_some_and(|language| !language.has_compiler());
            trials.push(Trial::test(block.name(), move || run(block, blocks)).with_ignored_flag(left_out));
        }
        trials
            .extend(set.into_iter().map(|page| check(format!("{page} links"), move || links::check(&page))));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// A test that panics where something is wrong.
fn check(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// The Lua that the examples run in.
fn artefacts() -> &'static Artefacts {
    Artefacts::of(Lua("lua54"))
}

/// A folder for what the examples make, inside cargo's target folder.
fn folder(name: &str) -> PathBuf {
    let folder = target().join("docs").join(name);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

fn run(block: &Block, all: &[Block]) -> Result<(), libtest_mimic::Failed> {
    match &*block.language {
        _ if block.is_part => Ok(()),
        "lua" if block.host.is_some() => {
            book::check_modules(&block.text);
            compare("", &execute(block, &format!("assert(load({:?}))", block.text))?)
        }
        "lua" => {
            let prints =
                block.prints.as_ref().ok_or("a Lua example needs a line `<!-- prints: ... -->` above it")?;
            libraries::build_required(&block.text, all);
            compare(prints, &execute(block, &block.text)?)
        }
        "text" => {
            let name = block
                .test
                .as_ref()
                .ok_or("a text needs a line `<!-- test: ... -->` that says what prints it")?;
            if name == "dss-check" {
                return compare(&block.text, &dss::check());
            }
            if name == "dss-inspect" {
                return compare(&block.text, &dss::inspect(&block.text));
            }
            if name == "wrong-lua" {
                let other = Artefacts::of(Lua("lua55")).folder.join("?.so").display().to_string();
                let code =
                    format!("package.cpath = {other:?}  print((select(2, pcall(require, 'darksidesync'))))");
                return compare(&block.text, &execute(block, &code)?);
            }
            compare(&block.text, &execute(block, programs::called(name))?)
        }
        "rust" if libraries::name(block).is_none() => {
            libraries::check_part(block, all);
            Ok(())
        }
        "cpp" if languages::name(block).is_none() => {
            languages::check_part(block);
            Ok(())
        }
        "c" | "cpp" | "rust" => {
            let name = match languages::name(block) {
                Some(name) => name.to_owned(),
                None => libraries::name(block).ok_or("a library in C has its luaopen_ function")?,
            };
            let user =
                all.iter().find(|other| other.language == "lua" && libraries::requires(&other.text, &name));
            user.ok_or_else(|| format!("no Lua example of the document requires or loads {name}"))?;
            match &*block.language {
                "cpp" => languages::build(&name, all),
                _ => libraries::build(&name, all),
            }
            Ok(())
        }
        "toml" => {
            let mut names = all.iter().filter(|other| other.language == "rust").filter_map(libraries::name);
            let name = names.find(|name| libraries::is_manifest_of(block, name));
            libraries::build(&name.ok_or("a manifest belongs to a library in Rust of the document")?, all);
            Ok(())
        }
        "sh" | "console" => {
            match &block.library {
                Some(name) if languages::needs(block, all).is_some() => languages::build(name, all),
                Some(_) => scripts::run(block, all),
                None if block.is_installed => scripts::run(block, all),
                None => shell::run(block, all),
            }
            Ok(())
        }
        other => Err(format!("a block of language `{other}` is not run by any test").into()),
    }
}

/// Runs Lua code and returns what it printed. If the block is a `lua` block that names a program, that program runs first.
fn execute(block: &Block, code: &str) -> Result<String, libtest_mimic::Failed> {
    let before = match &block.test {
        Some(name) if block.language == "lua" => programs::called(name),
        _ => "",
    };
    let script = folder("scripts").join(block.name().replace(['/', ' ', ':'], "-") + ".lua");
    fs::write(&script, format!("do {before} end\n{code}")).expect("the target folder can be written to");
    let mut command = artefacts().command(&[folder("modules")]);
    let templates =
        [&artefacts().for_every_lua, &folder("v2")].map(|folder| folder.join("?.so").display().to_string());
    // Examples read and write files of the folder they run in.
    let here = folder("here");
    copy(&workspace().join("LICENSE"), &here.join("LICENSE"));
    command.env("DSS_PATH", templates.join(";")).arg(script).current_dir(here);
    let ended = limited(&mut command, Duration::from_secs(60));
    if !ended.succeeded() {
        return Err(ended.report().into());
    }
    if !ended.stderr.is_empty() {
        return Err(format!("it wrote to stderr:\n{}", ended.stderr).into());
    }
    Ok(ended.stdout)
}

/// Compares two texts. A tab counts as a space.
fn compare(wanted: &str, found: &str) -> Result<(), libtest_mimic::Failed> {
    let plain = |text: &str| text.trim().replace('\t', " ");
    if plain(wanted) == plain(found) {
        return Ok(());
    }
    Err(format!("it should print\n{wanted}\nand prints\n{found}").into())
}

/// The text of a file of the workspace.
fn read(path: &str) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
