//! What is published stays what it is: the C header, the layouts, the frozen files of each release.
//!
//! `DSS_BLESS=1 cargo test --test contracts` writes the generated files anew; whether they may change is another
//! question, and the release's checksums answer it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::workspace;

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
    // cbindgen has no string constants: these stand in its configuration.
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
fn the_layouts_of_v1_are_the_ones_on_file() {
    if cfg!(target_pointer_width = "64") {
        fresh("dss-abi/v1/layout.txt", &dss_abi_v1::layout::dump());
    }
}

#[test]
fn the_layouts_of_v2_are_the_ones_on_file() {
    if cfg!(target_pointer_width = "64") {
        fresh("dss-abi/v2/layout.txt", &dss_abi_v2::layout::dump());
    }
}

/// The releases, and the crates that each froze.
fn releases() -> Vec<PathBuf> {
    let folder = workspace().join("compat-tests/releases");
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut releases: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    releases.retain(|path| path.is_dir());
    releases.sort();
    releases
}

#[test]
fn the_files_of_each_release_are_the_ones_that_were_released() {
    for release in releases() {
        let sums = fs::read_to_string(release.join("SHA256SUMS")).expect("a release has its checksums");
        let mut listed = Vec::new();
        for line in sums.lines() {
            let (sum, name) = line.split_once("  ").expect("`sum  name`");
            let bytes = fs::read(release.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(sha256(&bytes), sum, "{} was changed after its release", release.join(name).display());
            listed.push(name.to_owned());
        }
        for file in fs::read_dir(&release).expect("a folder") {
            let name = file.expect("an entry").file_name().to_string_lossy().into_owned();
            assert!(
                name == "SHA256SUMS" || listed.contains(&name),
                "{name} is in a release without a checksum"
            );
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a frozen crate, as they are in its archive.
fn archived(archive: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    use std::io::Read;
    let file = fs::File::open(archive).expect("a frozen crate");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    archive
        .entries()
        .expect("an archive")
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("readable");
            // The first component is the crate's name and version.
            (path.components().skip(1).collect(), bytes)
        })
        .collect()
}

/// The crates that a release keeps, so that its modules can be built again, and that go on changing.
const KEPT: [&str; 2] = ["dss-impl", "dss-lua"];

/// The crates that a release freezes, and where each is in the tree.
const FROZEN: [(&str, &str); 5] = [
    ("dss-abi", "dss-abi"),
    ("dss-abi-c1v0", "dss-abi/c1v0"),
    ("dss-abi-v1", "dss-abi/v1"),
    ("dss-abi-v2", "dss-abi/v2"),
    ("dss-abi-v2-derive", "dss-abi/v2-derive"),
];

/// The version of a crate in the tree, or that in the name of its archive.
fn version_in_tree(folder: &str) -> String {
    let manifest = fs::read_to_string(workspace().join(folder).join("Cargo.toml")).expect("a manifest");
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
    line.expect("a frozen crate has a version of its own").trim_end_matches('"').to_owned()
}

/// Compares what a release froze of one crate with the tree. Of a later patch release of it, what crosses the boundary
/// must be the same: the files that are generated from it.
fn compare(archive: &Path, released: &str, folder: &str) {
    let version = version_in_tree(folder);
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    assert_eq!(
        minor(&version),
        minor(released),
        "{folder} was released as {released}, and is {version} here: of a published revision, patch releases alone follow"
    );
    for (path, bytes) in archived(archive) {
        let name = path.to_string_lossy();
        let name = match &*name {
            // What cargo writes into an archive itself is not in the tree.
            "Cargo.toml" | "Cargo.lock" | ".cargo_vcs_info.json" => continue,
            "Cargo.toml.orig" => "Cargo.toml",
            name => name,
        };
        if version != released && name != "layout.txt" && !name.ends_with(".h") {
            continue;
        }
        let here = workspace().join(folder).join(name);
        let found = fs::read(&here).unwrap_or_else(|error| panic!("{}: {error}", here.display()));
        assert!(
            found == bytes,
            "{} differs from {}: a published revision never changes",
            here.display(),
            archive.display()
        );
    }
}

#[test]
fn a_published_revision_is_in_the_tree_as_it_was_released() {
    for release in releases() {
        for file in fs::read_dir(&release).expect("a folder") {
            let file = file.expect("an entry").path();
            let Some(name) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".crate")) else {
                continue;
            };
            let (package, version) = name.rsplit_once('-').expect("`name-version.crate`");
            if KEPT.contains(&package) {
                continue;
            }
            let folder = FROZEN.iter().find(|(frozen, _)| *frozen == package);
            let (_, folder) =
                folder.unwrap_or_else(|| panic!("{package} was released, and is no crate of FROZEN"));
            compare(&file, version, folder);
        }
    }
}

#[test]
fn every_revision_that_was_released_is_frozen() {
    for (package, folder) in FROZEN {
        let version = version_in_tree(folder);
        let archive = format!("{package}-{version}.crate");
        assert!(
            releases().iter().any(|release| release.join(&archive).is_file()),
            "{archive} is in no folder of compat-tests/releases: a release freezes it"
        );
    }
}
