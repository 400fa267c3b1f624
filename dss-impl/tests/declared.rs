//! Declarations in files: what is read, and the sentences of what is refused.
#![cfg(not(loom))]

mod images;

use dss_abi_v2::declaration::{SECTION_ELF, SECTION_MACH_O, SECTION_PE};
use dss_impl::declared::{Declared, Platform, ReadError, parse, parse_for};
use images::*;
use object::Architecture;
use semver::{Version, VersionReq};

/// The names of the sections are the contract's, and the readers have them once more.
const SECTION: &str = SECTION_ELF;

/// As a PE file has it: eight bytes.
fn pe_section() -> [u8; 8] {
    let mut name = [0; 8];
    name[..SECTION_PE.len()].copy_from_slice(SECTION_PE.as_bytes());
    name
}

fn declared(record: &Record) -> Result<Declared, ReadError> {
    parse_for(&elf(&[(SECTION, &record.bytes())]), &linux())
}

fn refusal(result: Result<Declared, ReadError>) -> String {
    result.expect_err("refused").to_string()
}

fn refused(record: &Record) -> String {
    refusal(declared(record))
}

#[test]
fn every_field_is_read() {
    let declared = declared(&Record::new()).unwrap();
    assert_eq!(declared.name, "fswatch");
    assert_eq!(declared.version, Version::new(1, 2, 3));
    assert_eq!(declared.requires, VersionReq::parse("^2.0").unwrap());
    assert_eq!((declared.revision, declared.unwinds), (2, true));
    assert_eq!((declared.interface.as_str(), declared.abi_stable.as_str()), ("1.0.0", "0.11"));
    assert_eq!(declared.compiler, "rustc 1.95.0 (59807616e 2026-04-14)");
    assert_eq!(declared.crate_version, "1.0.0");
    assert_eq!(declared.file, None);
}

#[test]
fn every_format_width_and_byte_order_is_read() {
    let little = Record::new();
    let big = Record { big_endian: true, ..Record::new() };
    let expected = declared(&little).unwrap();
    let sections = |record: &Record| record.bytes();
    let s390x = elf_for(
        true,
        true,
        object::elf::EM_S390,
        object::elf::ET_DYN,
        &[(".text", b"code"), (SECTION, &sections(&big))],
    );
    let arm =
        elf_for(false, false, object::elf::EM_ARM, object::elf::ET_DYN, &[(SECTION, &sections(&little))]);
    let dll = dll(&pe_section(), &sections(&little));
    let dylib = dylib(Architecture::Aarch64, SECTION_MACH_O.0, SECTION_MACH_O.1, &sections(&little));
    let universal = universal(&[
        (object::macho::CPU_TYPE_X86_64, b"not looked at"),
        (object::macho::CPU_TYPE_ARM64, &dylib),
    ]);
    let same = |found: Declared, here: &Platform| {
        assert!(found.platform.suits(here), "{} for {here}", found.platform);
        assert_eq!(Declared { platform: expected.platform.clone(), ..found }, expected);
    };
    same(parse_for(&s390x, &linux_s390x()).unwrap(), &linux_s390x());
    same(parse_for(&arm, &linux_arm()).unwrap(), &linux_arm());
    same(parse_for(&dll, &windows()).unwrap(), &windows());
    same(parse_for(&dylib, &macos()).unwrap(), &macos());
    same(parse_for(&universal, &macos()).unwrap(), &macos());
    // Nor does it matter where in memory a file lies.
    let mut shifted = vec![0];
    shifted.extend(&dylib);
    same(parse_for(&shifted[1..], &macos()).unwrap(), &macos());

    assert_eq!(
        refusal(parse_for(&s390x, &linux())),
        "is a library for a system with ELF libraries on 64-bit big-endian s390x, but this process needs one for Linux on \
         64-bit x86_64: get that build of the library"
    );
    for (image, others) in [
        (&arm, [linux(), linux_s390x(), windows(), macos()]),
        (&dll, [linux(), linux_s390x(), linux_arm(), macos()]),
        (&universal, [linux(), linux_s390x(), linux_arm(), windows()]),
    ] {
        for other in others {
            assert!(matches!(parse_for(image, &other), Err(ReadError::Foreign { .. })), "{other}");
        }
    }
    let other = platform("macos", "powerpc", 32, true);
    assert_eq!(
        refusal(parse_for(&universal, &other)),
        "is a library for macOS on 64-bit big-endian x86_64, or macOS on 64-bit big-endian aarch64, but this process needs \
         one for macOS on 32-bit big-endian powerpc: get that build of the library"
    );
}

#[test]
fn a_later_record_is_longer_and_a_full_field_has_no_nul() {
    let mut later = Record { size: SIZE as u32 + 24, flags: 0xffff_fffe, ..Record::new() }.bytes();
    later.extend(*b"what a later crate says.");
    later.extend([0; 40]); // what a linker fills up with
    let found = parse_for(&elf(&[(SECTION, &later)]), &linux()).unwrap();
    assert_eq!((found.name.as_str(), found.unwinds), ("fswatch", false));

    let full = Record { compiler: &[b'x'; 64], ..Record::new() };
    assert_eq!(declared(&full).unwrap().compiler, "x".repeat(64));
}

#[test]
fn a_cut_anywhere_is_an_error() {
    let record = Record::new().bytes();
    let images = [
        (elf(&[(SECTION, &record)]), linux()),
        (dll(&pe_section(), &record), windows()),
        (dylib(Architecture::Aarch64, SECTION_MACH_O.0, SECTION_MACH_O.1, &record), macos()),
    ];
    for (image, platform) in images {
        parse_for(&image, &platform).unwrap();
        for length in 0..image.len() {
            let error = parse_for(&image[..length], &platform).expect_err("it is cut");
            match (&error, length) {
                (ReadError::Empty, 0) | (ReadError::NotALibrary { .. }, 1..4) => {}
                (ReadError::Truncated { has, needs }, _) => {
                    assert_eq!(*has, length as u64);
                    assert!(*needs > *has && *needs <= image.len() as u64, "{error}");
                }
                _ => panic!("{length} bytes: {error}"),
            }
        }
    }
    let image = elf(&[(SECTION, &record)]);
    assert_eq!(
        refusal(parse_for(&image[..400], &linux())),
        format!(
            "is incomplete: it has 400 bytes, but its headers describe at least {}: build or copy the library again",
            image.len()
        )
    );
}

#[test]
fn a_damaged_record_says_which_field() {
    let again = "build or copy the library again";
    let damaged = |how: &str| format!("has a damaged declaration: its {how}: {again}");
    let in_section = |bytes: &[u8]| refusal(parse_for(&elf(&[(SECTION, bytes)]), &linux()));

    let mut magic = Record::new().bytes();
    magic[2] = b'x';
    assert_eq!(in_section(&magic), damaged("magic is not that of a declaration"));
    assert_eq!(in_section(b"DSS\0"), damaged("section has 4 bytes, but a record has 296"));
    assert_eq!(in_section(b"XSS\0"), damaged("magic is not that of a declaration"));
    let short = Record::new().bytes();
    assert_eq!(in_section(&short[..295]), damaged("section has 295 bytes, but a record has 296"));
    let record = Record { size: 295, ..Record::new() };
    assert_eq!(refused(&record), damaged("size is 295 bytes, but a record has at least 296"));
    let record = Record { size: u32::MAX, ..Record::new() };
    assert_eq!(refused(&record), damaged("size is 4294967295 bytes, but its section has 296"));
    let mut more = Record::new().bytes();
    more.extend(b"\0\0more");
    assert_eq!(in_section(&more), damaged("section contains other data after the record"));

    let record = Record { name: b"fs\xffwatch", ..Record::new() };
    assert_eq!(refused(&record), damaged("name is not UTF-8"));
    let record = Record { compiler: b"rustc\0 1.95", ..Record::new() };
    assert_eq!(refused(&record), damaged("compiler has data after its terminating NUL"));
    let record = Record { abi_stable: b"\x1b[31m", ..Record::new() };
    assert_eq!(refused(&record), damaged("version of abi_stable has control characters"));
    // Read in the other byte order, the size is a large number.
    let record = Record { big_endian: true, ..Record::new() };
    assert_eq!(refused(&record), damaged("size is 671154176 bytes, but its section has 296"));
}

#[test]
fn a_text_has_to_mean_something() {
    let record = Record { name: b"fs/watch", ..Record::new() };
    assert_eq!(
        refused(&record),
        "declares the name `fs/watch`, but relative paths are not supported: use the name alone, or an absolute path: \
         fix the library"
    );
    let record = Record { name: b"", ..Record::new() };
    assert_eq!(
        refused(&record),
        "declares the name ``, but a name must have at least one character: fix the library"
    );
    let record = Record { name: &[b'x'; 64], ..Record::new() };
    assert_eq!(
        refused(&record),
        format!(
            "declares the name `{}`, but a name may have at most 63 bytes: fix the library",
            "x".repeat(64)
        )
    );
    let record = Record { version: b"1.x", ..Record::new() };
    assert_eq!(
        refused(&record),
        "declares the version `1.x`, but this is not a valid semver version (unexpected character 'x' while parsing minor version \
         number): fix the library"
    );
    let record = Record { requires: b"two", ..Record::new() };
    assert_eq!(
        refused(&record),
        "declares the required version of DSS `two`, but this is not a valid semver requirement (unexpected character 't' while \
         parsing major version number): fix the library"
    );
}

#[test]
fn two_records_are_two_libraries() {
    let sentence = "declares more than one DSS library: link each library into its own file";
    let record = Record::new().bytes();
    let mut apart = record.clone();
    apart.extend([0; 24]);
    apart.extend(&record);
    assert_eq!(refusal(parse_for(&elf(&[(SECTION, &record.repeat(2))]), &linux())), sentence);
    assert_eq!(refusal(parse_for(&elf(&[(SECTION, &apart)]), &linux())), sentence);
    assert_eq!(refusal(parse_for(&elf(&[(SECTION, &record), (SECTION, &record)]), &linux())), sentence);
    parse_for(&elf(&[(SECTION, &record), (SECTION, b"")]), &linux()).unwrap();
}

#[test]
fn what_is_no_library_is_named() {
    let what = |bytes: &[u8]| refusal(parse(bytes));
    assert_eq!(what(b""), "is empty: build or copy the library again");
    assert_eq!(what(b"return {}\n"), "is a text file, not a shared library");
    assert_eq!(what("größer\n".repeat(1000).as_bytes()), "is a text file, not a shared library");
    assert_eq!(what(b"#!/bin/sh\nexit 1\n"), "is a script, not a shared library");
    assert_eq!(what(b"!<arch>\nlibx.a/         "), "is a static archive, not a shared library");
    assert_eq!(what(b"\x1bLuaT\0\x19\x93\r\n\x1a\n\x04\x08\x08x"), "is compiled Lua, not a shared library");
    assert_eq!(what(b"\xca\xfe\xba\xbe\0\0\0\x41\0\0\0\0\0\0\0\0"), "is a Java class, not a shared library");
    assert_eq!(what(&[0; 100]), "is a file of a kind that DSS does not know, not a shared library");
    assert_eq!(
        what(b"\x7fELF\x07zzzzzzzzzzzz"),
        "is a damaged ELF file (its class is neither 32-bit nor 64-bit): build or copy the library again"
    );
    for (kind, expected) in [
        (object::elf::ET_EXEC, "an ELF executable"),
        (object::elf::ET_REL, "an ELF object file (compiled, and not linked yet)"),
        (object::elf::ET_CORE, "a core file"),
    ] {
        let record = Record::new().bytes();
        let image = elf_for(true, false, object::elf::EM_X86_64, kind, &[(SECTION, &record)]);
        assert_eq!(refusal(parse_for(&image, &linux())), format!("is {expected}, not a shared library"));
    }
    let mut program = dll(&pe_section(), &Record::new().bytes());
    let at = program.windows(4).position(|bytes| bytes == b"PE\0\0").unwrap();
    program[at + 23] &= !0x20;
    assert_eq!(refusal(parse_for(&program, &windows())), "is a Windows executable, not a shared library");
    program[at] = b'X';
    assert_eq!(refusal(parse_for(&program, &windows())), "is a program for MS-DOS, not a shared library");
}
