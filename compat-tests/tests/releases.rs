//! What was built against a release works with today's module: libraries built from the frozen crates alone.

use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::{Artefacts, cargo, extension, succeed, target, workspace};
use compat_tests::c::{self, Module};
use compat_tests::luas::{ALL, Lua};
use compat_tests::scenarios;

const RELEASE: &str = "2.0.0";

/// A folder with the crates of the release, as their archives have them.
fn frozen() -> PathBuf {
    let folder = target().join("released").join(RELEASE);
    let _ = fs::remove_dir_all(folder.join("crates"));
    fs::create_dir_all(folder.join("crates")).expect("the target folder can be written to");
    let release = workspace().join("compat-tests/releases").join(RELEASE);
    for entry in fs::read_dir(&release).expect("the release is there") {
        let archive = entry.expect("a readable folder").path();
        if archive.extension().is_some_and(|ending| ending == "crate") {
            let file = fs::File::open(&archive).expect("a frozen crate");
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
            archive.unpack(folder.join("crates")).expect("an archive");
        }
    }
    folder
}

/// A workspace in which the probe for v1 is built with nothing of this one but its own sources.
fn probe(folder: &Path, lua: Lua) -> PathBuf {
    let probe = folder.join("probe-v1");
    let _ = fs::remove_dir_all(&probe);
    fs::create_dir_all(probe.join("src")).expect("the target folder can be written to");
    let sources = workspace().join("compat-tests/fixtures/probe-v1");
    fs::copy(sources.join("Cargo.toml"), probe.join("Cargo.toml")).expect("the probe's manifest");
    for entry in fs::read_dir(sources.join("src")).expect("the probe's sources") {
        let file = entry.expect("a readable folder").path();
        let name = file.file_name().expect("a file");
        fs::copy(&file, probe.join("src").join(name)).expect("the target folder can be written to");
    }
    let ours = fs::read_to_string(workspace().join("Cargo.toml")).expect("the workspace's manifest");
    let line =
        |start: &str| ours.lines().find(|line| line.starts_with(start)).expect("a line of it").to_owned();
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"probe-v1\"]\n\n\
         [workspace.package]\nversion = \"{RELEASE}\"\n{}\n{}\n{}\n{}\n\n\
         [workspace.dependencies]\n{}\n{}\ndss-abi = \"2.0.0\"\ndss-abi-v1 = \"1.0.0\"\n\n\
         [patch.crates-io]\ndss-abi = {{ path = \"crates/dss-abi-2.0.0\" }}\n\
         dss-abi-v1 = {{ path = \"crates/dss-abi-v1-1.0.0\" }}\n\n\
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
    build.current_dir(folder).args([
        "build",
        "--quiet",
        "--release",
        "--no-default-features",
        "--features",
        lua.0,
    ]);
    build.env("CARGO_TARGET_DIR", folder.join("target"));
    succeed(&mut build);
    let modules = folder.join(lua.0);
    fs::create_dir_all(&modules).expect("the target folder can be written to");
    let built = folder.join("target/release").join(format!("libprobe_v1.{}", extension()));
    fs::copy(built, modules.join("probe_v1.so")).expect("it was built");
    modules
}

/// Runs the scenarios that `wanted` picks, with the modules of `first`.
fn run(lua: Lua, first: &Path, wanted: impl Fn(&str, &str) -> bool) {
    let all = scenarios::all();
    let picked: Vec<_> = all.iter().filter(|it| wanted(&it.group, &it.name) && it.is_for(lua)).collect();
    assert!(!picked.is_empty(), "no scenario is of that name any more");
    for scenario in picked {
        if let Err(report) = scenario.run(Artefacts::of(lua), &[first.to_owned()]) {
            panic!("{}: {report}", scenario.name);
        }
    }
}

#[test]
fn a_v1_library_of_the_release_works_in_the_module_of_today() {
    let lua = ALL.into_iter().find(|lua| lua.0 == "lua54").expect("one of the six");
    let modules = probe(&frozen(), lua);
    // What was added to the probe since is of its sources here, not of the crates.
    run(lua, &modules, |group, _| group == "v1");
}

#[test]
fn a_c_library_built_from_the_release_works_in_the_module_of_today() {
    let lua = ALL.into_iter().find(|lua| lua.0 == "lua54").expect("one of the six");
    let crates = target().join("released").join(RELEASE).join("c");
    let _ = fs::remove_dir_all(&crates);
    fs::create_dir_all(&crates).expect("the target folder can be written to");
    let archive = format!("compat-tests/releases/{RELEASE}/dss-abi-c1v0-1.0.0.crate");
    let file = fs::File::open(workspace().join(archive)).expect("a frozen crate");
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(&crates).expect("an archive");
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
    run(lua, &crates, |group, name| group == "libraries" && name.starts_with("all four"));
}
