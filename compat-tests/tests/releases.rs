//! What was built against a release works with today's module: libraries built from the frozen crates alone.

use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::{Artefacts, cargo, extension, succeed, target, workspace};
use compat_tests::c::{self, Module};
use compat_tests::luas::{ALL, Lua};
use compat_tests::scenarios;

/// A folder for what is built against a release, with the crates of these archives in it.
fn frozen(release: &str, archives: &[&str]) -> PathBuf {
    let folder = target().join("released").join(release);
    let _ = fs::remove_dir_all(folder.join("crates"));
    fs::create_dir_all(folder.join("crates")).expect("the target folder can be written to");
    for archive in archives {
        unpack(archive, &folder.join("crates"));
    }
    folder
}

/// Unpacks `release/name-version.crate` into `folder/name-version`.
fn unpack(archive: &str, folder: &Path) {
    let archive = workspace().join("compat-tests/releases").join(format!("{archive}.crate"));
    let file = fs::File::open(&archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(folder).expect("an archive");
}

/// Builds the fixture of that name in a workspace of its own, with nothing of this one but the fixture's sources; `depends` has the
/// workspace's dependencies on the frozen crates, and the patches that lead to them. Returns the library.
fn build(folder: &Path, fixture: &str, depends: &str, features: &[&str]) -> PathBuf {
    let place = folder.join(fixture);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(place.join("src")).expect("the target folder can be written to");
    let sources = workspace().join("compat-tests/fixtures").join(fixture);
    fs::copy(sources.join("Cargo.toml"), place.join("Cargo.toml")).expect("the fixture's manifest");
    for entry in fs::read_dir(sources.join("src")).expect("the fixture's sources") {
        let file = entry.expect("a readable folder").path();
        let name = file.file_name().expect("a file");
        fs::copy(&file, place.join("src").join(name)).expect("the target folder can be written to");
    }
    let ours = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace's manifest");
    let line =
        |start: &str| ours.lines().find(|line| line.starts_with(start)).expect("a line of it").to_owned();
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"{fixture}\"]\n\n\
         [workspace.package]\nversion = \"0.0.0\"\n{}\n{}\n{}\n{}\n\n\
         [workspace.dependencies]\n{}\n{}\n{depends}\n\
         [workspace.lints.rust]\nmissing_docs = \"allow\"\n\n[profile.release]\npanic = \"unwind\"\n",
        line("edition ="),
        line("rust-version ="),
        line("license ="),
        line("repository ="),
        line("abi_stable ="),
        line("mlua ="),
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("the target folder can be written to");
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file");
    let mut build = cargo();
    build.current_dir(folder).args(["build", "--quiet", "--release"]).args(features);
    build.env("CARGO_TARGET_DIR", folder.join("target"));
    succeed(&mut build);
    folder.join("target/release").join(format!("lib{}.{}", fixture.replace('-', "_"), extension()))
}

fn lua54() -> Lua {
    ALL.into_iter().find(|lua| lua.0 == "lua54").expect("one of the six")
}

/// Runs the scenarios that `wanted` picks, with the modules of `first`.
fn run(artefacts: &Artefacts, first: &[PathBuf], wanted: impl Fn(&str, &str) -> bool) {
    let all = scenarios::all();
    let picked: Vec<_> =
        all.iter().filter(|it| wanted(&it.group, &it.name) && it.is_for(artefacts.lua)).collect();
    assert!(!picked.is_empty(), "no scenario is of that name any more");
    for scenario in picked {
        if let Err(report) = scenario.run(artefacts, first) {
            panic!("{}: {report}", scenario.name);
        }
    }
}

#[test]
fn a_v1_library_of_the_release_works_in_the_module_of_today() {
    let lua = lua54();
    let folder = frozen("2.0.0", &["2.0.0/dss-abi-2.0.0", "2.0.0/dss-abi-v1-1.0.0"]);
    let depends = "dss-abi = \"2.0.0\"\ndss-abi-v1 = \"1.0.0\"\n\n\
                   [patch.crates-io]\ndss-abi = { path = \"crates/dss-abi-2.0.0\" }\n\
                   dss-abi-v1 = { path = \"crates/dss-abi-v1-1.0.0\" }\n";
    let library = build(&folder, "probe-v1", depends, &["--no-default-features", "--features", lua.0]);
    let modules = folder.join(lua.0);
    fs::create_dir_all(&modules).expect("the target folder can be written to");
    fs::copy(library, modules.join("probe_v1.so")).expect("it was built");
    // What was added to the probe since is of its sources here, not of the crates.
    run(Artefacts::of(lua), &[modules], |group, _| group == "v1");
}

#[test]
fn a_v2_library_of_the_release_works_in_the_module_of_today() {
    let folder =
        frozen("2.1.0", &["2.0.0/dss-abi-2.0.0", "2.1.0/dss-abi-v2-1.0.0", "2.1.0/dss-abi-v2-derive-1.0.0"]);
    let depends = "dss-abi-v2 = { version = \"1.0.0\", default-features = false }\n\n\
                   [patch.crates-io]\ndss-abi = { path = \"crates/dss-abi-2.0.0\" }\n\
                   dss-abi-v2 = { path = \"crates/dss-abi-v2-1.0.0\" }\n\
                   dss-abi-v2-derive = { path = \"crates/dss-abi-v2-derive-1.0.0\" }\n";
    let library = build(&folder, "probe-v2", depends, &[]);
    let today = Artefacts::of(lua54());
    let place = folder.join("v2");
    fs::create_dir_all(&place).expect("the target folder can be written to");
    fs::copy(library, place.join("probe_v2.so")).expect("it was built");
    // A scenario has another library beside it, which is today's.
    fs::copy(today.for_every_lua.join("fswatch.so"), place.join("fswatch.so")).expect("it was built");
    let artefacts = Artefacts { for_every_lua: place, ..today.clone() };
    run(&artefacts, &[], |group, _| {
        ["v2", "v2/bounds", "v2/closing", "v2/objects", "v2/requests", "v2/values"].contains(&group)
    });
}

#[test]
fn a_c_library_built_from_the_release_works_in_the_module_of_today() {
    let lua = lua54();
    let crates = target().join("released").join("c1v0");
    let _ = fs::remove_dir_all(&crates);
    fs::create_dir_all(&crates).expect("the target folder can be written to");
    unpack("2.0.0/dss-abi-c1v0-1.0.0", &crates);
    let abi = crates.join("dss-abi-c1v0-1.0.0");
    let include = succeed(std::process::Command::new(Artefacts::of(lua).host()).arg("--include"));
    c::compile(&Module {
        sources: &[
            workspace().join("compat-tests/libraries/timer/timer.c"),
            abi.join("helper/darksidesync_aux.c"),
        ],
        includes: &[PathBuf::from(include.trim()), abi.join("include"), abi.join("helper")],
        flags: &["-std=c99", "-D_POSIX_C_SOURCE=200809L"],
        output: &crates.join("timer.so"),
    });
    run(Artefacts::of(lua), &[crates], |group, name| group == "libraries" && name.starts_with("all four"));
}
