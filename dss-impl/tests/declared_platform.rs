//! The C library and the passing of floating-point arguments: what a file says of them, and what is refused.
#![cfg(not(loom))]

mod images;

use dss_impl::declared::{Declared, Float, Libc, Platform, ReadError, parse_for};
use images::*;
use object::elf::{EM_ARM, EM_X86_64, ET_DYN, Machine};

fn refusal(result: Result<Declared, ReadError>) -> String {
    result.expect_err("refused").to_string()
}

/// A library for ARM whose header has these flags.
fn arm(flags: u32) -> Vec<u8> {
    let mut bytes = elf_for(false, false, EM_ARM, ET_DYN, &[(".dss.library", &Record::new().bytes())]);
    bytes[36..40].copy_from_slice(&flags.to_le_bytes());
    bytes
}

#[test]
fn hard_and_soft_float_do_not_mix() {
    let here = |float| Platform { float, ..linux_arm() };
    let (hard, soft) = (arm(0x0500_0400), arm(0x0500_0200));
    for (image, fitting) in [(&hard, Float::Hard), (&soft, Float::Soft)] {
        let found = parse_for(image, &here(Some(fitting))).unwrap();
        assert_eq!(found.platform.float, Some(fitting));
        parse_for(image, &here(None)).unwrap();
    }
    assert_eq!(
        refusal(parse_for(&soft, &here(Some(Float::Hard)))),
        "is a library for a system with ELF libraries on 32-bit arm, soft-float, but this process needs one for Linux on \
         32-bit arm, hard-float: get that build of the library"
    );
    assert_eq!(
        refusal(parse_for(&hard, &here(Some(Float::Soft)))),
        "is a library for a system with ELF libraries on 32-bit arm, hard-float, but this process needs one for Linux on \
         32-bit arm, soft-float: get that build of the library"
    );
    // Those who do not say fit both, and so does what means something else in an older interface.
    for unknown in [arm(0), arm(0x0500_0000), arm(0x0400_0400), arm(0x0500_0600)] {
        for float in [Float::Hard, Float::Soft] {
            assert_eq!(parse_for(&unknown, &here(Some(float))).unwrap().platform.float, None);
        }
    }
}

/// A library for `machine` that is linked to the libraries of these names.
fn linked(machine: Machine, needed: &[&str]) -> Vec<u8> {
    let (mut names, mut entries) = (vec![0], Vec::new());
    for name in needed {
        entries.extend([1, names.len() as u64]);
        names.extend(name.as_bytes());
        names.push(0);
    }
    entries.extend([0, 0]);
    let entries: Vec<u8> = entries.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
    let record = Record::new().bytes();
    let mut bytes = elf_for(
        true,
        false,
        machine,
        ET_DYN,
        &[(".dss.library", &record), (".dynstr", &names), (".dynamic", &entries)],
    );
    // The writer calls every section plain data. The last but one is the dynamic section, with its names before it.
    let sections = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
    let dynamic = sections + 3 * 64;
    bytes[dynamic + 4..dynamic + 8].copy_from_slice(&6_u32.to_le_bytes());
    bytes[dynamic + 40..dynamic + 44].copy_from_slice(&2_u32.to_le_bytes());
    bytes
}

#[test]
fn a_library_for_another_libc_is_refused_before_it_is_loaded() {
    let here = |libc| Platform { libc, ..linux() };
    let of = |needed: &[&str]| linked(EM_X86_64, needed);
    let glibc = of(&["libm.so.6", "libgcc_s.so.1", "libc.so.6"]);
    let musl = of(&["libgcc_s.so.1", "libc.musl-x86_64.so.1"]);
    let unversioned = of(&["libc.so"]);
    for (image, libc, fitting) in [
        (&glibc, Libc::Gnu, &[Libc::Gnu][..]),
        (&musl, Libc::Musl, &[Libc::Musl, Libc::Unversioned]),
        (&unversioned, Libc::Unversioned, &[Libc::Musl, Libc::Unversioned]),
    ] {
        assert_eq!(parse_for(image, &here(None)).unwrap().platform.libc, Some(libc));
        for other in [Libc::Gnu, Libc::Musl, Libc::Unversioned] {
            let found = parse_for(image, &here(Some(other)));
            assert_eq!(found.is_ok(), fitting.contains(&other), "{libc:?} in {other:?}: {found:?}");
        }
    }
    assert_eq!(
        refusal(parse_for(&glibc, &here(Some(Libc::Musl)))),
        "is a library for a system with ELF libraries on 64-bit x86_64 with glibc, but this process needs one for Linux on \
         64-bit x86_64 with musl: get that build of the library"
    );
    assert_eq!(
        refusal(parse_for(&unversioned, &here(Some(Libc::Gnu)))),
        "is a library for a system with ELF libraries on 64-bit x86_64 with musl or Android's libc, but this process needs \
         one for Linux on 64-bit x86_64 with glibc: get that build of the library"
    );
    // One that is linked to none fits all.
    for libc in [Libc::Gnu, Libc::Musl] {
        assert_eq!(parse_for(&of(&["libm.so.6"]), &here(Some(libc))).unwrap().platform.libc, None);
    }
}

/// Names that lie outside of the file's strings tell nothing.
#[test]
fn a_damaged_list_of_libraries_tells_nothing() {
    let mut bytes = linked(EM_X86_64, &["libc.so.6"]);
    let at = bytes.windows(9).position(|part| part == b"libc.so.6").unwrap();
    bytes[at..at + 9].fill(b'x');
    assert_eq!(parse_for(&bytes, &linux()).unwrap().platform.libc, None);
    let mut bytes = linked(EM_X86_64, &["libc.so.6"]);
    let sections = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize;
    bytes[sections + 3 * 64 + 40..sections + 3 * 64 + 44].copy_from_slice(&99_u32.to_le_bytes());
    assert_eq!(parse_for(&bytes, &linux()).unwrap().platform.libc, None);
}
