//! What lies in a library's file.

use std::mem::size_of;

use abi_stable::library::AbiHeader;
use dss_abi_v2::declaration::{Declaration, BUILT_TO_UNWIND, MAGIC};

const DECLARATION: Declaration = Declaration::new("my-library_1.x", "1.2.3-rc.1", "^2.1");

fn bytes(declaration: &Declaration) -> [u8; 296] {
    // SAFETY: it is plain data without padding, as large as that.
    unsafe { std::mem::transmute_copy(declaration) }
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).expect("there is at least one NUL");
    assert!(bytes[end..].iter().all(|byte| *byte == 0), "NULs alone after the first");
    std::str::from_utf8(&bytes[..end]).unwrap()
}

#[test]
fn each_field_has_its_place() {
    assert_eq!(size_of::<Declaration>(), 296);
    let bytes = bytes(&DECLARATION);
    assert_eq!(&bytes[0..8], b"DSS\0LIB\0");
    assert_eq!(MAGIC, bytes[0..8]);
    let number = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    assert_eq!((number(8), number(12), number(16), number(20)), (296, 2, BUILT_TO_UNWIND, 0));
    assert_eq!(text(&bytes[24..40]), "1.0.0");
    assert_eq!(text(&bytes[40..56]), "0.11");
    assert_eq!(text(&bytes[56..120]), "my-library_1.x");
    assert_eq!(text(&bytes[120..152]), "1.2.3-rc.1");
    assert_eq!(text(&bytes[152..216]), "^2.1");
    assert!(text(&bytes[216..280]).starts_with("rustc 1."), "{}", text(&bytes[216..280]));
    assert_eq!(text(&bytes[280..296]), env!("CARGO_PKG_VERSION"));
}

#[test]
fn it_names_the_abi_stable_that_is_linked() {
    let header = AbiHeader::VALUE;
    assert_eq!(text(&DECLARATION.abi_stable), format!("{}.{}", header.abi_major, header.abi_minor));
}

#[test]
fn texts_that_do_not_fit_are_refused() {
    let refused = |name: &'static str, version: &'static str, requires: &'static str| {
        let made = std::panic::catch_unwind(|| Declaration::new(name, version, requires));
        let panic = made.expect_err("it is refused");
        panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
    };
    const LONG: &str = "a123456789a123456789a123456789a123456789a123456789a123456789a123";
    let long = "a text is too long: a library's name and its requirement have at most 63 bytes, its version at most 31";
    assert_eq!(refused(LONG, "1.0.0", "*").as_deref(), Some(long));
    assert_eq!(refused("a", &LONG[..32], "*").as_deref(), Some(long));
    assert_eq!(refused("a", "1.0.0", LONG).as_deref(), Some(long));
    let name = "a library's name is made of letters, digits, `_`, `-` and `.`";
    assert_eq!(refused("a/b", "1.0.0", "*").as_deref(), Some(name));
    assert_eq!(refused("\u{e4}", "1.0.0", "*").as_deref(), Some(name));
    assert_eq!(refused("", "1.0.0", "*").as_deref(), Some("a library's name must not be empty"));
    assert!(refused("a", "", "*").is_some() && refused("a", "1", "\n").is_some());
    let _ = Declaration::new(&LONG[..63], &LONG[..31], &LONG[..63]);
}

/// An attribute takes no constant, so the macro has the names of the sections once more.
#[test]
fn the_macro_puts_it_into_the_sections_that_it_is_read_from() {
    use dss_abi_v2::declaration::{SECTION_ELF, SECTION_MACH_O, SECTION_PE};
    let macros = include_str!("../src/macros.rs");
    let mach_o = format!("{},{}", SECTION_MACH_O.0, SECTION_MACH_O.1);
    for section in [SECTION_ELF, mach_o.as_str(), SECTION_PE] {
        assert_eq!(macros.matches(&format!("link_section = \"{}\"", section)).count(), 1, "{}", section);
    }
}
