//! Builds the libraries in C++, Zig and Go that the documents show, by the commands of their pages.
//!
//! The sources are the blocks that show a whole file, and the block in C++ that declares the library. They lie in one folder with the
//! headers, where the commands run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use compat_tests::artefacts::{copy, succeed};
use compat_tests::c2v0::{self, Language};

use crate::blocks::Block;
use crate::{folder, libraries, shell};

/// The start of the macro call by which a library in C++ declares itself.
const DECLARED: &str = "DSS_CPP_LIBRARY(\"";

/// The library in a block of C++. `None` if the block is only a part of a library.
pub(crate) fn name(block: &Block) -> Option<&str> {
    let after = block.text.split_once(DECLARED)?.1;
    (block.language == "cpp").then(|| after.split('"').next().expect("split gives one"))
}

/// The names of the libraries that commands of `all` build, each with the block of these commands.
fn commands(all: &[Block]) -> impl Iterator<Item = (&str, &Block)> {
    let named = all.iter().filter_map(|block| Some((block.library.as_deref()?, block)));
    named.filter(|(_, block)| compiler(block).is_some())
}

/// The compiler that the commands of `block` call.
fn compiler(block: &Block) -> Option<Language> {
    shell::lines(&block.text).find_map(|line| {
        match shell::without_assignments(&line).split_whitespace().next() {
            Some("g++") => Some(Language::Cpp),
            Some("zig") => Some(Language::Zig),
            Some("go") => Some(Language::Go),
            _ => None,
        }
    })
}

/// The compiler that the test of `block` calls, because it is C++, builds such a library or loads one.
pub(crate) fn needs(block: &Block, all: &[Block]) -> Option<Language> {
    match &*block.language {
        "cpp" => Some(Language::Cpp),
        "lua" => {
            let mut used = commands(all).filter(|(name, _)| libraries::requires(&block.text, name));
            used.find_map(|(_, block)| compiler(block))
        }
        "sh" => block.library.as_ref().and_then(|_| compiler(block)),
        _ => None,
    }
}

/// Builds the libraries of `all` in these languages that `code` loads.
pub(crate) fn build_required(code: &str, all: &[Block]) {
    commands(all).filter(|(name, _)| libraries::requires(code, name)).for_each(|(name, _)| build(name, all));
}

/// Builds the library `name`, once in this process, into the folder `v2`.
pub(crate) fn build(name: &str, all: &[Block]) {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceLock<()>>>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let own = built.entry(name.to_owned()).or_default().clone();
    // Others are built meanwhile.
    drop(built);
    own.get_or_init(|| {
        let block = commands(all).find(|(other, _)| *other == name);
        let block = block.unwrap_or_else(|| panic!("no commands of the document build {name}")).1;
        run(name, block, &lay_out(name, block, all));
    });
}

/// Makes a folder with the sources of the library `name`.
fn lay_out(name: &str, block: &Block, all: &[Block]) -> PathBuf {
    let folder = folder(&format!("languages/{name}"));
    let put = |file: &str, text: &str| {
        fs::write(folder.join(file), text).expect("the target folder can be written to")
    };
    for other in all.iter().filter(|other| other.document == block.document) {
        if let Some(file) = &other.file {
            put(file, &other.text);
        } else if self::name(other) == Some(name) {
            put(&format!("{name}.cpp"), &other.text);
        }
    }
    let headers = match compiler(block) {
        // Its page has them in a folder of their own.
        Some(Language::Go) => folder.join("include"),
        _ => folder.clone(),
    };
    fs::create_dir_all(&headers).expect("the target folder can be written to");
    for header in ["dss.h", "dss.hpp"] {
        copy(&c2v0::include().join(header), &headers.join(header));
    }
    folder
}

/// Runs the commands of `block`, which must make the library.
fn run(name: &str, block: &Block, inside: &Path) {
    let file = inside.join(format!("{name}.so"));
    // A file of an earlier run would hide that this run does not make it.
    let _ = fs::remove_file(&file);
    for line in shell::lines(&block.text) {
        let words: Vec<_> = shell::without_assignments(&line).split_whitespace().collect();
        assert!(
            matches!(*words, ["g++", ..] | ["zig", "translate-c" | "build-lib", ..] | ["go", "build", ..]),
            "no test knows how to run `{line}`"
        );
        let line = match line.strip_prefix("zig ") {
            // As with `--release` in cargo's commands, the test is of the command, not of how fast what it builds is.
            Some(rest) => format!("python3 -m ziglang {}", rest.replace("-O ReleaseSafe", "-O Debug")),
            None => line,
        };
        let mut command = Command::new("sh");
        // The folder is no checkout of its own, as an author's would be.
        succeed(command.arg("-euc").arg(line).current_dir(inside).env("GOFLAGS", "-buildvcs=false"));
    }
    assert!(file.exists(), "the commands make no {name}.so");
    copy(&file, &folder("v2").join(format!("{name}.so")));
}

/// Compiles a block in C++ that is a part of a library.
pub(crate) fn check_part(block: &Block) {
    let name = block.name().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let source = folder("parts").join(format!("{name}.cpp"));
    fs::write(&source, format!("#include <dss.hpp>\n{}", block.text))
        .expect("the target folder can be written to");
    let mut command = Command::new("g++");
    command.args(["-std=c++17", "-fsyntax-only"]).args(c2v0::STRICT).arg("-I").arg(c2v0::include());
    succeed(command.arg(source));
}
