//! What a module of DSS says of itself, and files of any kind and platform.
#![cfg(not(loom))]

mod images;

use std::fs;
use std::path::Path;

use dss_impl::declared::module::{ModuleRecord, SECTION_ELF, SECTION_MACH_O, SECTION_PE};
use dss_impl::declared::{DeclaredModule, FileType, ReadError, Status, inspect};
use dss_impl::registry::{known, module_record, offering};
use images::*;
use object::Architecture;

/// The record of this core's modules, as it lies in a file.
fn record() -> Vec<u8> {
    static RECORD: ModuleRecord = module_record("Lua 5.4");
    bytes_of(&RECORD)
}

fn bytes_of(record: &'static ModuleRecord) -> Vec<u8> {
    let start: *const ModuleRecord = record;
    // SAFETY: plain data without padding.
    unsafe { std::slice::from_raw_parts(start.cast::<u8>(), size_of::<ModuleRecord>()) }.to_vec()
}

/// An ELF file in this machine's byte order, as [`record`] is.
fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    elf_for(true, cfg!(target_endian = "big"), object::elf::EM_X86_64, object::elf::ET_DYN, sections)
}

/// [`Record`] in this machine's byte order.
fn library() -> Vec<u8> {
    Record { big_endian: cfg!(target_endian = "big"), ..Record::new() }.bytes()
}

fn inspected(folder: &Path, bytes: &[u8]) -> Result<FileType, ReadError> {
    let file = folder.join("file.so");
    fs::write(&file, bytes).unwrap();
    inspect(&file, known()).map(|inspected| inspected.found)
}

fn module(folder: &Path, bytes: &[u8]) -> DeclaredModule {
    match inspected(folder, bytes) {
        Ok(FileType::Module(module)) => module,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_module_says_what_it_offers_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut name = [0; 8];
    name[..SECTION_PE.len()].copy_from_slice(SECTION_PE.as_bytes());
    let mut files =
        vec![(elf(&[(".text", b"code"), (SECTION_ELF, &record())]), "a system with ELF libraries on 64-bit")];
    // The record is in this machine's byte order, and these formats have only one.
    if cfg!(target_endian = "little") {
        files.push((dll(&name, &record()), "Windows on 64-bit x86_64"));
        let dylib = dylib(Architecture::Aarch64, SECTION_MACH_O.0, SECTION_MACH_O.1, &record());
        files.push((dylib, "macOS on 64-bit aarch64"));
    }
    for (file, platform) in files {
        let module = module(folder.path(), &file);
        assert_eq!((module.lua.as_str(), &module.offering), ("Lua 5.4", &offering()));
        assert!(module.compiler.starts_with("rustc "), "{}", module.compiler);
        assert_eq!(module.file.as_deref(), Some(folder.path().join("file.so").as_path()));
        assert!(module.platform.to_string().starts_with(platform), "{}", module.platform);
    }
}

#[test]
fn a_module_may_offer_a_revision_that_is_not_known_here() {
    static LATER: ModuleRecord = ModuleRecord::new("9.1.0", "Lua 5.4", "0.12", [b'c'; 64])
        .with(2, Status::Deprecated, "1.4.0")
        .with(7, Status::Supported, "1.0.0")
        .with(8, Status::Preview, "0.1.0");
    let folder = tempfile::tempdir().unwrap();
    let offering = module(folder.path(), &elf(&[(SECTION_ELF, &bytes_of(&LATER))])).offering;
    assert_eq!((offering.version.to_string().as_str(), offering.abi_stable.as_str()), ("9.1.0", "0.12"));
    let offered: Vec<_> = offering
        .revisions
        .iter()
        .map(|it| (it.number, it.name.as_str(), it.version.as_str(), it.status))
        .collect();
    assert_eq!(
        offered,
        [
            (2, "v2", "1.4.0", Status::Deprecated),
            (7, "v7", "1.0.0", Status::Supported),
            (8, "v8", "0.1.0", Status::Preview),
        ]
    );
}

#[test]
fn a_damaged_record_is_an_error_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut record = record();
        damage(&mut record);
        inspected(folder.path(), &elf(&[(SECTION_ELF, &record)])).unwrap_err().to_string()
    };
    for (damage, said) in [
        ((&|it: &mut Vec<u8>| it[4] = b'X') as &dyn Fn(&mut Vec<u8>), "its magic is not that of a module"),
        (&|it| it.truncate(100), "its section has 100 bytes, but a record has"),
        (&|it| it[8..12].copy_from_slice(&1_u32.to_ne_bytes()), "its size is"),
        (&|it| it[8..12].fill(0xff), "its size is"),
        (&|it| it[144..148].copy_from_slice(&99_u32.to_ne_bytes()), "its list of revisions has 99 entries"),
        (&|it| it[16..48].fill(b'x'), "declares the version"),
        (&|it| it[48] = 7, "its Lua has control characters"),
        (&|it| it[79] = b'x', "its abi_stable goes on"),
    ] {
        let sentence = damaged(damage);
        let said = said.replace("its abi_stable goes on", "has data after its terminating NUL");
        assert!(sentence.contains(&said), "{said}: {sentence}");
    }
    // A later record goes on where this one ends.
    let mut later = record();
    let size = u32::from_ne_bytes([later[8], later[9], later[10], later[11]]) + 8;
    later[8..12].copy_from_slice(&size.to_ne_bytes());
    later.extend([0xff; 8]);
    module(folder.path(), &elf(&[(SECTION_ELF, &later)]));
}

#[test]
fn any_file_is_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let library = library();
    let of = |sections: &[(&str, &[u8])]| inspected(folder.path(), &elf(sections));
    assert!(matches!(of(&[(".dss.library", &library)]), Ok(FileType::Library(_))));
    for both in [
        &[(SECTION_ELF, &*record()), (".dss.library", &*library)][..],
        &[(SECTION_ELF, &*record()), (SECTION_ELF, &*record())],
    ] {
        assert!(matches!(of(both), Err(ReadError::TwoDeclarations)));
    }
    assert!(matches!(of(&[(".text", b"code")]), Err(ReadError::NoDeclaration)));
    // For whichever processor.
    let big = Record { big_endian: true, ..Record::new() };
    let s390x =
        elf_for(true, true, object::elf::EM_S390, object::elf::ET_DYN, &[(".dss.library", &big.bytes())]);
    match inspected(folder.path(), &s390x) {
        Ok(FileType::Library(declared)) => assert_eq!(declared.platform.processor, "s390x"),
        other => panic!("{other:?}"),
    }
}
