//! Forces a relink if a built file came from another source: several sources are built in one target folder.

use std::fs;
use std::path::Path;

/// Forces cargo to link the shared library `built` again if the file last came from another source than `whom`. Cargo takes the packages of
/// all sources for one that is up to date, and their shared libraries for one file.
///
/// # Panics
/// `built` is not in a target folder, or the folder cannot be written to.
pub(crate) fn relink_if_foreign(built: &Path, whom: &str) {
    let folder = built.parent().expect("cargo builds into a folder");
    let file = built.file_name().expect("a shared library has a name");
    let mark = built.with_extension("for");
    if fs::read_to_string(&mark).is_ok_and(|known| known == whom) {
        return;
    }
    for linked in [folder.join("deps").join(file), built.to_owned()] {
        let _ = fs::remove_file(linked);
    }
    fs::create_dir_all(folder).expect("the target folder can be written to");
    fs::write(mark, whom).expect("the target folder can be written to");
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::PathBuf;

    use compat_tests::artefacts::{cargo, extension, succeed};

    /// A package that is named as the other's, with a constant of its own.
    fn package(top: &Path, label: &str) -> PathBuf {
        let folder = top.join(label).join(format!("{label}-library"));
        fs::create_dir_all(folder.join("src")).expect("the target folder can be written to");
        let workspace = format!("[workspace]\nresolver = \"2\"\nmembers = [\"{label}-library\"]\n");
        let manifest = "[package]\nname = \"relinked\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\
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
        let place = top.join("target");
        let built = place.join("debug").join(format!("librelinked.{}", extension()));
        for round in 0..2 {
            for (label, folder) in &packages {
                relink_if_foreign(&built, label);
                let mut build = cargo();
                build.args(["build", "--quiet", "--offline"]).current_dir(folder);
                succeed(build.env("CARGO_TARGET_DIR", &place));
                let bytes = fs::read(&built).expect("cargo built it");
                let wanted = format!("{label:32}");
                let found = bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes());
                assert!(found, "in round {round}, {label} got another's library");
            }
        }
        fs::remove_dir_all(&top).expect("it was made above");
    }
}
