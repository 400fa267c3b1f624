//! The libraries that the documents show, built as their authors would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use compat_tests::artefacts::{cargo, succeed, target, workspace};
use compat_tests::c::{self, Module};

use crate::blocks::Block;
use crate::{artefacts, folder, read};

/// The three files that a C library copies.
const COPIED: [&str; 3] =
    ["include/darksidesync_api.h", "helper/darksidesync_aux.h", "helper/darksidesync_aux.c"];

/// What Lua calls the library in `block`.
pub(crate) fn name(block: &Block) -> String {
    let (_, after) = match &*block.language {
        "c" => block.text.split_once("int luaopen_").expect("a library in C has its luaopen_ function"),
        _ => {
            let (_, after) =
                block.text.split_once("#[mlua::lua_module]").expect("a library in Rust says what it is");
            after.split_once("fn ").expect("a function follows")
        }
    };
    after.split('(').next().expect("split gives one").to_owned()
}

/// Whether Lua code requires the module `name`.
pub(crate) fn requires(code: &str, name: &str) -> bool {
    [format!("require \"{name}\""), format!("require(\"{name}\")")].iter().any(|form| code.contains(form))
}

/// Builds the libraries of `all` that `code` requires.
pub(crate) fn build_required(code: &str, all: &[Block]) {
    for block in all.iter().filter(|block| ["c", "rust"].contains(&&*block.language)) {
        let name = name(block);
        if requires(code, &name) {
            build(&name, all);
        }
    }
}

/// Builds the library `name` of `all` into the folder `modules`, once in this process.
pub(crate) fn build(name: &str, all: &[Block]) {
    static BUILT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if built.iter().any(|one| one == name) {
        return;
    }
    let is_it = |block: &&Block| ["c", "rust"].contains(&&*block.language) && self::name(block) == name;
    let block = all.iter().find(is_it).expect("a library of the document");
    let output = folder("modules").join(format!("{name}.so"));
    match &*block.language {
        "c" => {
            let sources = c_sources(name, block, "c");
            let helper = sources.join("darksidesync_aux.c");
            c::compile(&Module {
                sources: &[sources.join(format!("{name}.c")), helper],
                includes: &[include(), sources],
                flags: &[],
                output: &output,
            });
        }
        _ => {
            let manifest =
                all.iter().find(|block| block.language == "toml").expect("its manifest is in the document");
            build_crate(name, block, manifest, &output);
        }
    }
    built.push(name.to_owned());
}

/// The folder of the headers of the Lua in which the examples run.
pub(crate) fn include() -> PathBuf {
    PathBuf::from(succeed(Command::new(artefacts().host()).arg("--include")).trim())
}

/// Makes a folder with the library's source and the files that it copies.
pub(crate) fn c_sources(name: &str, block: &Block, folder_name: &str) -> PathBuf {
    let folder = folder(folder_name);
    fs::write(folder.join(format!("{name}.c")), &block.text).expect("the target folder can be written to");
    for file in COPIED {
        let path = workspace().join("dss-abi/c1v0").join(file);
        let name = path.file_name().expect("a file");
        fs::copy(&path, folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    folder
}

/// Builds a crate of the document's manifest and source, offline: all that it depends on is here already.
fn build_crate(name: &str, block: &Block, manifest: &Block, output: &Path) {
    // Its build brings in what the crate depends on.
    let _ = artefacts();
    let folder = folder(&format!("crates/{name}"));
    assert!(manifest.text.contains(&format!("name = \"{name}\"\n")), "the manifest is not that of {name}");
    // Not yet released, or not this: the crate in the tree.
    let released = "dss-abi-v1 = { version";
    assert_eq!(manifest.text.matches(released).count(), 1, "the manifest depends on `{released} ...`");
    let here = format!("dss-abi-v1 = {{ path = \"{}\", version", workspace().join("dss-abi/v1").display());
    let manifest = manifest.text.replace(released, &here);
    fs::create_dir_all(folder.join("src")).expect("the target folder can be written to");
    let write = |file: &str, text: &str| fs::write(folder.join(file), text).expect("a folder made above");
    write("Cargo.toml", &format!("{manifest}\n[workspace]\n\n{}", profiles()));
    write("Cargo.lock", &read("Cargo.lock"));
    write("src/lib.rs", &block.text);
    let mut command = cargo();
    command.current_dir(&folder).args(["build", "--quiet", "--offline", "--profile", "compat"]);
    succeed(&mut command);
    let built = target().join("cargo/compat");
    let from = ["so", "dylib"].map(|ending| built.join(format!("lib{name}.{ending}")));
    let from = from.iter().find(|path| path.exists()).expect("cargo built a shared library");
    fs::copy(from, output).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The workspace's profiles, so that what it has built is used again.
fn profiles() -> String {
    let manifest = read("Cargo.toml");
    let at = manifest.find("[profile.release]").expect("the workspace has profiles");
    manifest[at..].to_owned()
}
