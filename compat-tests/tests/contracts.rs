//! Checks that what is published does not change: the C header, the layouts, and the frozen files of each release.
//!
//! `DSS_BLESS=1 cargo test --test contracts` writes the generated files again. The checksums of the releases decide whether they
//! may change.

use std::env;
use std::fs;

use compat_tests::artefacts::workspace;
use compat_tests::freeze::{self, FROZEN};
use compat_tests::frozen;
use compat_tests::standalone::version_in;
use semver::Version;

/// Compares a generated text with the file in the tree.
fn fresh(path: &str, generated: &str) {
    let path = workspace().join(path);
    if env::var_os("DSS_BLESS").is_some() {
        fs::write(&path, generated).expect("the tree can be written to");
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    if found != generated {
        let line = found.lines().zip(generated.lines()).position(|(found, generated)| found != generated);
        let line = line.unwrap_or_else(|| found.lines().count().min(generated.lines().count()));
        panic!(
            "{} is stale from line {} on: it has {:?}, and what it is generated from gives {:?}; run \
             `DSS_BLESS=1 cargo test --test contracts`",
            path.display(),
            line + 1,
            found.lines().nth(line),
            generated.lines().nth(line),
        );
    }
}

#[test]
fn the_c_header_is_what_cbindgen_makes_of_the_crate() {
    let folder = workspace().join("dss-abi/c1v0");
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("a configuration");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(folder.join("src/lib.rs"))
        .generate()
        .expect("a header");
    let mut header = Vec::new();
    bindings.write(&mut header);
    let header = String::from_utf8(header).expect("text");
    fresh("dss-abi/c1v0/include/darksidesync_api.h", &header);
    // cbindgen does not support string constants, so these are in its configuration.
    for (name, value) in [
        ("DSS_REGISTRY_NAME", dss_abi_c1v0::DSS_REGISTRY_NAME),
        ("DSS_VERSION_KEY", dss_abi_c1v0::DSS_VERSION_KEY),
        ("DSS_API_1V0_KEY", dss_abi_c1v0::DSS_API_1V0_KEY),
    ] {
        let line = format!("#define {name} \"{value}\"");
        assert!(header.lines().any(|found| found == line), "the header lacks `{line}`");
    }
}

#[test]
fn the_layouts_of_v1_are_those_on_file() {
    if cfg!(target_pointer_width = "64") {
        fresh("dss-abi/v1/layout.txt", &dss_abi_v1::layout::dump());
    }
}

#[test]
fn the_layouts_of_v2_are_those_on_file() {
    if cfg!(target_pointer_width = "64") {
        fresh("dss-abi/v2/layout.txt", &dss_abi_v2::layout::dump());
    }
}

#[test]
fn a_published_revision_is_in_the_tree_as_it_was_released() {
    let found: Vec<_> = freeze::differences(workspace()).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// While the changelog has an unreleased section, a crate may have a version that is newer than the frozen one.
#[test]
fn every_revision_that_was_released_is_frozen() {
    let changes = fs::read_to_string(workspace().join("CHANGELOG.md")).expect("the tree has one");
    let is_unreleased = changes.contains("\n## Unreleased\n");
    for (package, folder) in FROZEN {
        let version: Version = version_in(&workspace().join(folder)).parse().expect("semver");
        let is_frozen = |it: &frozen::FrozenCrate| it.version == version;
        let is_patched = |it: &frozen::FrozenCrate| is_unreleased && it.version < version;
        assert!(
            frozen::crates().iter().any(|it| it.name == package && (is_frozen(it) || is_patched(it))),
            "{package} {version} is in no folder of compat-tests/releases: a release freezes it"
        );
    }
}
