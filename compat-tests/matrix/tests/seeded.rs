//! Seeded breaks: each test breaks something published in a copy of the tree, and checks that the freeze check or the matrix
//! finds and names it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use compat_tests::artefacts::workspace;
use compat_tests::standalone::{copy_sources, version_in};
use compat_tests::{freeze, frozen};

/// A copy of the tree that a test can break.
struct Branch {
    top: PathBuf,
}

impl Branch {
    fn new(name: &str) -> Branch {
        let top = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seeded").join(name);
        let _ = fs::remove_dir_all(&top);
        copy_sources(workspace(), &top);
        Branch { top }
    }

    /// Replaces a text that occurs exactly once in the file.
    fn replace(&self, file: &str, from: &str, to: &str) -> &Branch {
        let path = self.top.join(file);
        let text = fs::read_to_string(&path).expect("a file of the tree");
        assert_eq!(
            text.matches(from).count(),
            1,
            "{file} must contain `{from}` exactly once: update this seeded break"
        );
        fs::write(path, text.replace(from, to)).expect("the copy can be written to");
        self
    }

    /// Makes a crate a later patch release. In a crate that has the released version, every file is compared.
    fn patch_release(&self, package: &str) -> &Branch {
        let version = version_in(&self.top.join(package));
        let (minor, patch) = version.rsplit_once('.').expect("three numbers");
        let next = patch.parse::<u32>().expect("a number") + 1;
        let line = |version: &str| format!("\nversion = \"{version}\"");
        self.replace(&format!("{package}/Cargo.toml"), &line(&version), &line(&format!("{minor}.{next}")))
    }

    /// Puts a crate back to what its release froze, so that every file is compared.
    fn release(&self, package: &str, name: &str, version: &str) -> &Branch {
        let krate = frozen::crates()
            .into_iter()
            .find(|krate| krate.name == name && krate.version.to_string() == version);
        let unpacked = frozen::unpack(&krate.expect("it was released"), &self.top.join("unpacked"));
        let to = self.top.join(package);
        let _ = fs::remove_dir_all(to.join("src"));
        for added in [".cargo_vcs_info.json", "Cargo.lock"] {
            let _ = fs::remove_file(unpacked.join(added));
        }
        fs::rename(unpacked.join("Cargo.toml.orig"), unpacked.join("Cargo.toml"))
            .expect("cargo keeps the original");
        copy_sources(&unpacked, &to);
        self
    }

    /// What the freeze check finds.
    fn differences(&self) -> Vec<String> {
        freeze::differences(&self.top).iter().map(ToString::to_string).collect()
    }
}

fn assert_named(differences: &[String], wanted: &[&str]) {
    let named = differences.iter().any(|difference| wanted.iter().all(|text| difference.contains(text)));
    assert!(named, "no difference names {wanted:?}: {differences:#?}");
}

#[test]
fn a_tree_without_a_break_has_no_difference() {
    let branch = Branch::new("none");
    assert_eq!(branch.differences(), Vec::<String>::new());
    // A patch release that does not change what crosses the boundary has no difference either.
    branch.patch_release("dss-abi/v2").replace(
        "dss-abi/v2/src/limits.rs",
        "The oldest items are dropped to make room.",
        "Drops the oldest items to make room.",
    );
    assert_eq!(branch.differences(), Vec::<String>::new());
}

#[test]
fn a_release_that_is_gone_or_made_again_is_named() {
    let branch = Branch::new("releases");
    let releases = branch.top.join("compat-tests/releases");
    fs::remove_dir_all(releases.join("2.0.0")).expect("the copy can be written to");
    let sums = releases.join("2.1.0/SHA256SUMS");
    let text = fs::read_to_string(&sums).expect("a release has its checksums");
    let line = text.lines().find(|line| line.contains("dss-abi-v2-1")).expect("it froze v2");
    let archive = line.split_once("  ").expect("`sum  name`").1;
    fs::remove_file(releases.join("2.1.0").join(archive)).expect("the copy can be written to");
    fs::write(&sums, text.replace(&format!("{line}\n"), "")).expect("the copy can be written to");
    fs::remove_dir_all(branch.top.join("dss-abi/v2-derive")).expect("the copy can be written to");
    let differences = branch.differences();
    assert_named(&differences, &["releases/2.0.0/SHA256SUMS", "was released, and is gone"]);
    assert_named(&differences, &["releases/2.1.0/SHA256SUMS", "is not the list that was released"]);
    assert_named(&differences, &["dss-abi-v2-derive was released in 2.1.0, and is gone"]);
}

#[test]
fn a_method_that_is_moved_is_named() {
    let branch = Branch::new("reordered");
    let file = "dss-abi/v2/layout.txt";
    let text = fs::read_to_string(branch.top.join(file)).expect("a file of the tree");
    // The layout dump as it is after the two methods are swapped.
    let line = |start: &str| {
        text.lines().find(|line| line.trim_start().starts_with(start)).expect("a method").to_owned()
    };
    let (register, unregister) = (line("register: unsafe fn"), line("unregister: unsafe fn"));
    branch
        .patch_release("dss-abi/v2")
        .replace(file, &format!("{register}\n{unregister}\n"), &format!("{unregister}\n{register}\n"))
        .replace(
            "dss-abi/v2/src/contract.rs",
            "    fn unregister(&self, handle: usize) -> RResult<(), Code>;\n",
            "    fn unregister_(&self, handle: usize) -> RResult<(), Code>;\n",
        );
    assert_named(&branch.differences(), &[file, "register: unsafe fn", "2.1.0 has"]);
}

#[test]
fn a_field_that_is_wider_is_named() {
    let branch = Branch::new("widened");
    branch
        .patch_release("dss-abi/v2")
        .replace("dss-abi/v2/src/contract.rs", "    pub policy: u32,", "    pub policy: u64,")
        .replace(
            "dss-abi/v2/layout.txt",
            "policy: u32 (size 4, alignment 4)",
            "policy: u64 (size 8, alignment 8)",
        );
    let wanted = ["dss-abi/v2/layout.txt", "2.1.0 has `policy: u32", "here has `policy: u64"];
    assert_named(&branch.differences(), &wanted);
}

#[test]
fn a_code_with_another_number_is_named() {
    let branch = Branch::new("renumbered");
    branch
        .patch_release("dss-abi/c1v0")
        .replace(
            "dss-abi/c1v0/src/lib.rs",
            "DSS_ERR_ALREADY_REGISTERED: c_int = -108",
            "DSS_ERR_ALREADY_REGISTERED: c_int = -110",
        )
        .replace(
            "dss-abi/c1v0/include/darksidesync_api.h",
            "DSS_ERR_ALREADY_REGISTERED -108",
            "DSS_ERR_ALREADY_REGISTERED -110",
        )
        .patch_release("dss-abi/v2")
        .replace("dss-abi/v2/src/contract.rs", "POLICY_WAIT: u32 = 2", "POLICY_WAIT: u32 = 5");
    let differences = branch.differences();
    assert_named(
        &differences,
        &["darksidesync_api.h", "DSS_ERR_ALREADY_REGISTERED -108", "DSS_ERR_ALREADY_REGISTERED -110"],
    );
    assert_named(
        &differences,
        &[
            "dss-abi/c1v0/src/lib.rs",
            "2.0.0 has `pub const DSS_ERR_ALREADY_REGISTERED: c_int = -108;`",
            "here has `pub const DSS_ERR_ALREADY_REGISTERED: c_int = -110;`",
        ],
    );
    assert_named(
        &differences,
        &[
            "dss-abi/v2/src/contract.rs",
            "2.1.0 has `pub const POLICY_WAIT: u32 = 2;`",
            "here has `pub const POLICY_WAIT: u32 = 5;`",
        ],
    );
}

/// Covers records that are not in a layout dump, two constants of one name in one file, and a constant that is not public.
#[test]
fn a_patch_release_that_changes_what_is_not_in_a_dump_is_named() {
    let branch = Branch::new("records");
    let record = "dss-abi/src/record.rs";
    branch
        .patch_release("dss-abi")
        .replace(record, "SIZE_2_0: u32 = 8 + 4 *", "SIZE_2_0: u32 = 8 + 5 *")
        .patch_release("dss-abi/v1")
        .replace("dss-abi/v1/src/attach.rs", "WANTS: &str = \"^1.0.0\"", "WANTS: &str = \"^1.0.1\"")
        .patch_release("dss-abi/v2")
        .replace(
            "dss-abi/v2/src/declaration.rs",
            "    pub requires: [u8; 64],",
            "    pub requires: [u8; 32],",
        );
    let request = "dss-abi/src/request.rs";
    fs::remove_file(branch.top.join(request)).expect("the copy can be written to");
    let differences = branch.differences();
    assert_named(&differences, &[record, "2.0.0 has `pub const SIZE_2_0: u32 = 8 + 4 *"]);
    assert_named(&differences, &[request, "2.0.0 has `pub const BUILT_TO_UNWIND: u32 = 1;`"]);
    assert_named(&differences, &["v1/src/attach.rs", "2.0.0 has `const WANTS: &str = \"^1.0.0\";`"]);
    assert_named(&differences, &["v2/src/declaration.rs", "here has `pub requires: [u8; 32],`"]);
}

/// `abi_stable` affects every layout, but the manifests of the crates do not change when its version does.
#[test]
fn another_abi_stable_is_named() {
    let branch = Branch::new("abi_stable");
    branch.replace("Cargo.toml", "abi_stable = { version = \"=0.11.3\"", "abi_stable = { version = \"0.11\"");
    let differences = branch.differences();
    for folder in ["dss-abi/v1", "dss-abi/v2"] {
        assert_named(
            &differences,
            &[folder, "wants abi_stable `0.11` here, and wants abi_stable `=0.11.3` in 2."],
        );
    }
    branch.patch_release("dss-abi/v2");
    assert_named(&branch.differences(), &["dss-abi/v2/Cargo.toml: wants abi_stable `0.11` here"]);
}

#[test]
fn a_file_that_was_not_published_is_named() {
    let branch = Branch::new("added");
    branch.release("dss-abi", "dss-abi", "2.0.0").release("dss-abi/v1", "dss-abi-v1", "1.0.0");
    let added = ["dss-abi/build.rs", "dss-abi/v1/include/more.h", "dss-abi/v1/.cargo/config.toml"];
    for file in added {
        let path = branch.top.join(file);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the copy can be written to");
        fs::write(path, "").expect("the copy can be written to");
    }
    let differences = branch.differences();
    for file in added {
        assert_named(&differences, &[file, "as 2.0.0 released it"]);
    }
    assert_eq!(differences.len(), added.len());
}

#[test]
fn an_implementation_that_is_gone_is_named() {
    let branch = Branch::new("implementation");
    branch.release("dss-abi/v1", "dss-abi-v1", "1.0.0");
    branch.replace("dss-abi/v1/src/error.rs", "impl std::error::Error for DeliverError {}\n\n", "");
    assert_named(
        &branch.differences(),
        &["dss-abi/v1/src/error.rs", "2.0.0 has `impl std::error::Error for DeliverError {}`"],
    );
}

/// This break does not change a published file. A library of the release finds it in a cell.
#[test]
fn a_cancel_that_is_lost_fails_a_cell() {
    let branch = Branch::new("lost-cancel");
    branch.replace(
        "dss-impl/src/dispatcher/outstanding.rs",
        "    boundary::discard_queued(adapter, handle, &item.payload, item.waiter.is_some());\n",
        "",
    );
    assert_eq!(branch.differences(), Vec::<String>::new());
    let report = branch.top.join("report");
    let mut matrix = Command::new(env!("CARGO_BIN_EXE_matrix"));
    matrix.arg("--tree").arg(&branch.top).arg("--report").arg(&report).args(["v1 2.0.0", "lua54"]);
    let output = matrix.output().expect("the matrix runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("0 work, 0 are refused as declared, 1 not as declared"), "{text}");
    assert!(text.contains("in lost-cancel lua54: "), "{text}");
    assert!(text.contains("plain: unregister"), "{text}");
    // The report names it in every format.
    for (name, wanted) in
        [("matrix.md", "## Not as declared"), ("junit.xml", "<failure"), ("index.html", "✗")]
    {
        let text = fs::read_to_string(report.join(name)).expect("the report was written");
        assert!(text.contains(wanted) && text.contains("plain: unregister"), "{name}: {text}");
    }
}
