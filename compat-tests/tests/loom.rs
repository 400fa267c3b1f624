//! Runs the loom models of `dss-impl`. They need a separate build, in which every lock and atomic is loom's.

use std::process::Command;

use compat_tests::artefacts::{cargo, succeed, target};

#[test]
fn the_models_hold() {
    let mut command = models("test");
    command.args(["--test", "loom"]);
    let output = succeed(&mut command);
    let passed = output.lines().find_map(|line| line.strip_prefix("test result: ok. ")).unwrap_or_default();
    let passed: usize = passed.split(' ').next().unwrap_or_default().parse().unwrap_or_default();
    assert!(passed >= 27, "{passed} models ran:\n{output}");
}

// They run at night, because they take minutes.
#[test]
fn the_deep_models_compile() {
    let mut command = models("check");
    command.args(["--test", "loom"]);
    command.env("RUSTFLAGS", "--cfg loom --cfg deep").env("CARGO_TARGET_DIR", target().join("deep-check"));
    succeed(&mut command);
}

/// A command of cargo's on the core, built for the models.
fn models(command: &str) -> Command {
    let mut cargo = cargo();
    cargo.args([command, "--package", "dss-impl", "--release"]);
    // This build is not shipped, so it does not need the optimisations for size.
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    cargo.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target().join("loom"));
    cargo
}
