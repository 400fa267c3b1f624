//! Forcing a relink when several sources are built in one target folder.

use std::fs;
use std::path::Path;

/// Forces a relink of the shared library `built` if the file last came from another source than `source`.
///
/// Cargo treats the same package from two sources as two packages, and each can be fresh. But both write the same file, so
/// cargo would leave the file of the other source there.
///
/// # Panics
/// `built` is not in a target folder, or the folder cannot be written to.
pub(crate) fn relink_if_foreign(built: &Path, source: &str) {
    let folder = built.parent().expect("cargo builds into a folder");
    let file = built.file_name().expect("a shared library has a name");
    let mark = built.with_extension("source");
    if fs::read_to_string(&mark).is_ok_and(|known| known == source) {
        return;
    }
    for linked in [folder.join("deps").join(file), built.to_owned()] {
        let _ = fs::remove_file(linked);
    }
    fs::create_dir_all(folder).expect("the target folder can be written to");
    fs::write(mark, source).expect("the target folder can be written to");
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::PathBuf;

    use compat_tests::artefacts::{cargo, extension, succeed};

    /// A package with the same name for each label, but another constant.
    fn package(top: &Path, label: &str) -> PathBuf {
        let folder = top.join(label).join(format!("{label}-library"));
        fs::create_dir_all(folder.join("src")).expect("the target folder can be written to");
        let workspace = format!("[workspace]\nresolver = \"2\"\nmembers = [\"{label}-library\"]\n");
        let manifest = "[package]\nname = \"shared\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\
                        [lib]\ncrate-type = [\"cdylib\"]\n";
        let source = format!("#[no_mangle]\npub static WHOSE: [u8; 32] = *b\"{:32}\";\n", label);
        fs::write(top.join(label).join("Cargo.toml"), workspace).expect("it was just made");
        fs::write(folder.join("Cargo.toml"), manifest).expect("it was just made");
        fs::write(folder.join("src/lib.rs"), source).expect("it was just made");
        top.join(label)
    }

    #[test]
    fn each_source_has_its_own_library_however_often_it_is_built() {
        let top = crate::folder().join(format!("relink.{}", std::process::id()));
        let packages = ["one", "other"].map(|label| (label, package(&top, label)));
        let target = top.join("target");
        let built = target.join("debug").join(format!("libshared.{}", extension()));
        for round in 0..2 {
            for (label, folder) in &packages {
                relink_if_foreign(&built, label);
                let mut build = cargo();
                build.args(["build", "--quiet", "--offline"]).current_dir(folder);
                succeed(build.env("CARGO_TARGET_DIR", &target));
                let bytes = fs::read(&built).expect("cargo built it");
                let wanted = format!("{label:32}");
                let found = bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes());
                assert!(found, "in round {round}, {label} got another's library");
            }
        }
        fs::remove_dir_all(&top).expect("it was made above");
    }
}
