//! Declarations in libraries that a compiler made, and in what is no file: read, and none of their code run.
#![cfg(all(target_os = "linux", not(loom)))]

mod images;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dss_abi_v2::declaration::SECTION_ELF as SECTION;
use dss_impl::declared::{Declared, FileType, Offering, ReadError, fits, inspect, parse_for, read};
use dss_impl::registry::{by_number, known, offering};
use images::*;
use object::Architecture;
use semver::Version;

fn refusal(result: Result<Declared, ReadError>) -> String {
    result.expect_err("refused").to_string()
}

/// A library built by the C compiler, whose constructor leaves a file called `trace`, with `more` in its source.
fn build(folder: &Path, record: &[u8], more: &str) -> PathBuf {
    let (source, library) = (folder.join("library.c"), folder.join("library.so"));
    let trace = folder.join("trace");
    let code = format!(
        "#include <stdio.h>\n\
         __attribute__((section(\"{SECTION}\"), used, aligned(4))) static const unsigned char record[] = {{{}}};\n\
         __attribute__((constructor)) static void run(void) {{ FILE *f = fopen({trace:?}, \"w\"); if (f) fclose(f); }}\n\
         {more}\n",
        record.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
    );
    fs::write(&source, code).unwrap();
    let built =
        compiler().args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status().expect("a C compiler");
    assert!(built.success());
    library
}

#[test]
#[cfg(all(target_os = "linux", target_endian = "little"))]
fn reading_runs_none_of_the_librarys_code() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let library = build(folder.path(), &Record::new().bytes(), "");
    let found = read(&library).unwrap();
    assert_eq!((found.name.as_str(), found.file.as_deref()), ("fswatch", Some(library.as_path())));
    let mut dss = Offering { version: Version::new(3, 0, 0), ..offering() };
    dss.revisions.retain(|revision| revision.number < 2);
    let misfit = fits(&found, &dss, None, known()).unwrap_err();
    assert_eq!(
        misfit.to_string(),
        format!(
            "fswatch 1.2.3 ({}) wants revision v2 (1.0.0), and this DSS 3.0.0 offers c1v0 ({}), v1 ({}): upgrade DSS",
            library.display(),
            by_number(0).unwrap().version,
            by_number(1).unwrap().version,
        )
    );
    assert!(!trace.exists());

    let path = std::ffi::CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the library is the one above, whose constructor writes a file.
    let image = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!image.is_null());
    assert!(trace.exists(), "loading it does run its code");
}

#[test]
fn libraries_that_declare_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let library = build(folder.path(), &[0], "int luaopen_fs_watch(void *L) { return 0; }");
    let stripped = Command::new("objcopy").args(["--remove-section", SECTION]).arg(&library).status();
    assert!(stripped.unwrap().success());
    assert_eq!(
        refusal(read(&library)),
        "is a Lua module (it has `luaopen_fs_watch`) without a declaration for DSS, as are libraries for DSS 1.0 and v1: \
         use `require`"
    );
    assert_eq!(
        refusal(parse_for(&elf(&[(".text", b"code")]), &linux())),
        "is a library without a declaration for DSS: it is not a DSS library, or it was built without the macro that exports \
         it, or its sections were removed"
    );
    let named_alike = elf(&[(".dss.library2", &Record::new().bytes())]);
    assert!(matches!(parse_for(&named_alike, &linux()), Err(ReadError::NoDeclaration)));
    let elsewhere = dylib(Architecture::Aarch64, "__TEXT", "__dss_library", &Record::new().bytes());
    assert!(matches!(parse_for(&elsewhere, &macos()), Err(ReadError::NoDeclaration)));
    assert!(matches!(parse_for(&dll(b".data\0\0\0", b"x"), &windows()), Err(ReadError::NoDeclaration)));
    assert!(!folder.path().join("trace").exists());
}

/// Such a file is not one that has nothing to do with DSS.
#[test]
fn a_library_whose_declaration_was_removed_is_told_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let library = build(folder.path(), &Record::new().bytes(), "int dss_library_v2_open(void) { return 0; }");
    read(&library).unwrap();
    let removed = Command::new("objcopy").args(["--remove-section", SECTION]).arg(&library).status();
    assert!(removed.unwrap().success());
    let sentence = "is a DSS library (it has `dss_library_v2_open`), but its declaration was removed: build it again, and \
                    keep its sections";
    assert_eq!(refusal(read(&library)), sentence);
    assert_eq!(inspect(&library, known()).unwrap_err().to_string(), sentence);
    assert!(!folder.path().join("trace").exists());
}

#[test]
fn a_file_of_several_lua_modules_has_all_their_functions() {
    let folder = tempfile::tempdir().unwrap();
    let functions = |count: usize| {
        let code: String =
            (0..count).map(|at| format!("int luaopen_m{at}(void *L) {{ return 0; }}\n")).collect();
        let library = build(folder.path(), &[], &code);
        let FileType::LuaModule { function, mut others, .. } = inspect(&library, known()).unwrap().found
        else {
            panic!("it is a Lua module");
        };
        others.push(function);
        others.sort();
        others
    };
    assert_eq!(functions(3), ["luaopen_m0", "luaopen_m1", "luaopen_m2"]);
    assert_eq!(functions(100).len(), 64);
}

#[test]
fn what_is_no_file_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let empty = folder.path().join("empty.so");
    fs::write(&empty, "").unwrap();
    let large = folder.path().join("large.so");
    fs::File::create(&large).unwrap().set_len((1 << 30) + 1).unwrap();
    let text = folder.path().join("text.so");
    fs::write(&text, "hello\n").unwrap();
    let link = folder.path().join("link.so");
    std::os::unix::fs::symlink(&text, &link).unwrap();
    let missing = folder.path().join("missing.so");
    let nowhere = folder.path().join("nowhere.so");
    std::os::unix::fs::symlink("missing.so", &nowhere).unwrap();
    let there_is_no = format!(
        "is a link to '{}', which does not exist: make the link lead to the library",
        missing.display()
    );
    let this = std::env::current_exe().unwrap();
    for (path, sentence) in [
        (folder.path(), "is a folder: give the path of the library's file"),
        (Path::new("/dev/zero"), "is a device: give the file of the library"),
        (&fifo, "is a FIFO: give the file of the library"),
        (&empty, "is empty: build or copy the library again"),
        (&large, "has 1073741825 bytes, but DSS reads libraries of at most 1073741824: strip it"),
        (&text, "is a text file, not a shared library"),
        (&link, "is a text file, not a shared library"),
        (&missing, "cannot be opened: No such file or directory (os error 2)"),
        (&nowhere, &there_is_no),
        (&this, "is an ELF executable, not a shared library"),
    ] {
        assert_eq!(refusal(read(path)), sentence, "{}", path.display());
    }
}
