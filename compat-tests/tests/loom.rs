//! Runs the loom models of `dss-impl`. They need a separate build, in which every lock and atomic is loom's.

use compat_tests::artefacts::{cargo, succeed, target};

#[test]
fn the_models_hold() {
    let mut command = cargo();
    command.args(["test", "--package", "dss-impl", "--release", "--test", "loom"]);
    // This build is not shipped, so it does not need the optimisations for size.
    command.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target().join("loom"));
    let output = succeed(&mut command);
    let passed = output.lines().find_map(|line| line.strip_prefix("test result: ok. ")).unwrap_or_default();
    let passed: usize = passed.split(' ').next().unwrap_or_default().parse().unwrap_or_default();
    assert!(passed >= 27, "{passed} models ran:\n{output}");
}
