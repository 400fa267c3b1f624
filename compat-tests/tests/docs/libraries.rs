//! Builds the libraries in the documents as their authors would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use compat_tests::artefacts::{cargo, extension, succeed, target, workspace};
use compat_tests::c::{self, Module};
use compat_tests::c2v0;

use crate::blocks::Block;
use crate::{artefacts, folder, languages, read};

/// The three files that a C library copies.
const COPIED: [&str; 3] =
    ["include/darksidesync_api.h", "helper/darksidesync_aux.h", "helper/darksidesync_aux.c"];

/// The start of the macro call by which a library for v2 declares itself.
const DECLARED: &str = "library! {";

/// The same of one for c2v0.
const DECLARED_IN_C: &str = "DSS_LIBRARY(\"";

/// The Lua name of the library in `block`. `None` if the block is only a part of a library.
pub(crate) fn name(block: &Block) -> Option<String> {
    let after = |text: &'static str| block.text.split_once(text).map(|(_, after)| after);
    let (after, end) = match &*block.language {
        "c" if is_c2v0(block) => (after(DECLARED_IN_C)?, '"'),
        "c" => (after("int luaopen_")?, '('),
        _ if is_v2(block) => (after(DECLARED)?.split_once("name: \"").expect("its name follows").1, '"'),
        _ => (after("#[mlua::lua_module]")?.split_once("fn ").expect("a function follows").1, '('),
    };
    Some(after.split(end).next().expect("split gives one").to_owned())
}

fn is_v2(block: &Block) -> bool {
    block.text.contains(DECLARED)
}

fn is_c2v0(block: &Block) -> bool {
    block.text.contains(DECLARED_IN_C)
}

/// Whether the library is loaded by DSS and not by Lua.
pub(crate) fn is_loaded_by_dss(block: &Block) -> bool {
    is_v2(block) || is_c2v0(block)
}

/// Whether Lua code requires the module `name`, or loads the library.
pub(crate) fn requires(code: &str, name: &str) -> bool {
    let forms = |function: &str| [format!("{function} \"{name}\""), format!("{function}(\"{name}\"")];
    forms("require").iter().chain(&forms("load")).any(|form| code.contains(form))
}

/// Builds the libraries of `all` that `code` requires or loads.
pub(crate) fn build_required(code: &str, all: &[Block]) {
    languages::build_required(code, all);
    // A file in C may belong to a library in Go.
    for name in all.iter().filter(|block| !block.is_part).filter_map(library) {
        if requires(code, &name) {
            build(&name, all);
        }
    }
}

/// The name of the library in a block, if the block is a library.
fn library(block: &Block) -> Option<String> {
    ["c", "rust"].contains(&&*block.language).then(|| name(block)).flatten()
}

/// Whether `block` is the manifest of the library `name`.
pub(crate) fn is_manifest_of(block: &Block, name: &str) -> bool {
    block.language == "toml" && block.text.contains(&format!("name = \"{name}\"\n"))
}

/// The manifest of the library `name`.
fn manifest<'a>(name: &str, all: &'a [Block]) -> &'a Block {
    let manifest = all.iter().find(|block| is_manifest_of(block, name));
    manifest.unwrap_or_else(|| panic!("the manifest of {name} is not in the document"))
}

/// Builds the library `name` of `all`, once in this process, into the folder `modules`, or into `v2` if DSS loads it.
pub(crate) fn build(name: &str, all: &[Block]) {
    let block = all.iter().find(|block| library(block).is_some_and(|it| it == name));
    let block = block.expect("a library of the document");
    let kind = if is_loaded_by_dss(block) { "v2" } else { "modules" };
    let output = folder(kind).join(format!("{name}.so"));
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if built.contains(&output) {
        return;
    }
    match &*block.language {
        "c" if is_c2v0(block) => {
            let source = c_sources(name, block, "c").join(format!("{name}.c"));
            let (includes, flags) = ([c2v0::include()], ["-Wpedantic"]);
            c::compile(&Module {
                sources: &[source],
                includes: &includes,
                flags: &flags,
                libraries: &[],
                output: &output,
            });
        }
        "c" => {
            let sources = c_sources(name, block, "c");
            let helper = sources.join("darksidesync_aux.c");
            c::compile(&Module {
                sources: &[sources.join(format!("{name}.c")), helper],
                includes: &[include(), sources],
                flags: &[],
                libraries: &[],
                output: &output,
            });
        }
        _ => {
            let from = build_crate(name, kind, block, &manifest(name, all).text);
            fs::copy(&from, &output).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }
    built.push(output);
}

/// The folder of the crate of the library `name` for v2, which is built.
pub(crate) fn crate_folder(name: &str, all: &[Block]) -> PathBuf {
    build(name, all);
    folder(&format!("crates/v2/{name}"))
}

/// Compiles a part of a library for v2, with the manifest of the document's library.
pub(crate) fn check_part(block: &Block, all: &[Block]) {
    let is_whole = |other: &&Block| other.language == "rust" && is_v2(other);
    let whole = all.iter().filter(|other| other.document == block.document).find(is_whole);
    let whole = whole.or_else(|| all.iter().find(is_whole));
    let whole = whole.and_then(name).expect("a part belongs to a library for v2 of the document");
    let part =
        format!("part_{}", block.name().replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_lowercase());
    let own = |name: &str| format!("name = \"{name}\"\n");
    let manifest = manifest(&whole, all).text.replace(&own(&whole), &own(&part));
    let _one_at_a_time = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    // Nobody loads it.
    run_cargo("check", &lay_out(&part, "parts", block, &manifest));
}

/// The libraries that have been built. Locked during a build.
static BUILT: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The folder with the headers of the Lua that runs the examples.
pub(crate) fn include() -> PathBuf {
    PathBuf::from(succeed(Command::new(artefacts().host()).arg("--include")).trim())
}

/// Makes a folder with the library's source and the files that it copies.
pub(crate) fn c_sources(name: &str, block: &Block, folder_name: &str) -> PathBuf {
    let folder = folder(folder_name);
    fs::write(folder.join(format!("{name}.c")), &block.text).expect("the target folder can be written to");
    let copied = COPIED.map(|file| workspace().join("dss-abi/c1v0").join(file));
    for path in copied.into_iter().chain([c2v0::include().join("dss.h")]) {
        let name = path.file_name().expect("a file");
        fs::copy(&path, folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    folder
}

/// Builds a crate from the document's manifest and source, and returns the file.
fn build_crate(name: &str, kind: &str, block: &Block, manifest: &str) -> PathBuf {
    run_cargo("build", &lay_out(name, kind, block, manifest));
    target().join("cargo/compat").join(format!("lib{name}.{}", extension()))
}

/// Writes a crate of the document's manifest and source, and returns its folder.
fn lay_out(name: &str, kind: &str, block: &Block, manifest: &str) -> PathBuf {
    let folder = folder(&format!("crates/{kind}/{name}"));
    fs::create_dir_all(folder.join("src")).expect("the target folder can be written to");
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).expect("a folder made above");
    write("Cargo.toml", &format!("{}\n[workspace]\n\n{}", in_tree(manifest), profiles()));
    write("Cargo.lock", &read("Cargo.lock"));
    write("src/lib.rs", &block.text);
    folder
}

/// Works offline, because all dependencies are already present.
fn run_cargo(what: &str, folder: &Path) {
    // This build fetches the dependencies of the crate.
    let _ = artefacts();
    let mut command = cargo();
    command.current_dir(folder).args([what, "--quiet", "--offline", "--profile", "compat"]);
    succeed(&mut command);
}

/// The manifest, with the crate of the tree instead of a released one, which may not exist yet or may differ.
fn in_tree(manifest: &str) -> String {
    let lines = manifest.lines().map(|line| match line.split_once(" = ") {
        Some((package @ ("dss-abi-v1" | "dss-abi-v2"), wanted)) => {
            let folder =
                workspace().join("dss-abi").join(package.rsplit('-').next().expect("rsplit gives one"));
            let rest = match wanted.strip_prefix("{ ") {
                Some(rest) => rest.to_owned(),
                None => format!("version = {wanted} }}"),
            };
            format!("{package} = {{ path = \"{}\", {rest}\n", folder.display())
        }
        _ => format!("{line}\n"),
    });
    let changed: String = lines.collect();
    assert!(changed.contains("dss-abi/v"), "the manifest depends on a dss-abi of a revision");
    changed
}

/// The workspace's profiles, so that what it has built is used again.
fn profiles() -> String {
    let manifest = read("Cargo.toml");
    let at = manifest.find("[profile.release]").expect("the workspace has profiles");
    manifest[at..].to_owned()
}
