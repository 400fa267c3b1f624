//! What a library says of its functions, for tools.
#![cfg(not(loom))]

mod images;

use dss_impl::declared::{Description, FileType, inspect};
use dss_impl::registry::known;
use images::*;

/// The descriptions in a library's file whose section has these bytes.
fn descriptions(section: &[u8]) -> Vec<Description> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.so");
    let image = elf(&[(".dss.library", &Record::new().bytes()), (".dss.doc", section)]);
    std::fs::write(&file, image).unwrap();
    let inspected = inspect(&file, known()).unwrap();
    assert!(matches!(inspected.found, FileType::Library(_)));
    inspected.descriptions
}

#[test]
fn each_text_is_a_name_a_signature_and_what_it_does() {
    let section = b"start\nfun(last: integer)\nCounts.\nTo last.\0\0\0\0Timer:stop\nfun()\n\0";
    let of = |name: &str, signature: &str, text: &str| Description {
        name: name.to_owned(),
        signature: signature.to_owned(),
        text: text.to_owned(),
    };
    assert_eq!(
        descriptions(section),
        [of("Timer:stop", "fun()", ""), of("start", "fun(last: integer)", "Counts.\nTo last.")]
    );
}

#[test]
fn what_is_no_description_is_left_out() {
    let section = b"\0no signature\0\xff\xfe\nfun()\n\0bell\x07\nfun()\nx\0good\nfun()\nthe last has no end";
    let found = descriptions(section);
    assert_eq!(found.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(descriptions(b"").is_empty());
    assert_eq!(descriptions(&b"f\nfun()\0".repeat(10_000)).len(), 4096);
}

#[test]
fn a_record_may_say_that_it_has_no_types_of_abi_stable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.so");
    let record = Record { flags: 1 | 2, ..Record::new() };
    std::fs::write(&file, elf(&[(".dss.library", &record.bytes())])).unwrap();
    match inspect(&file, known()).unwrap().found {
        FileType::Library(library) => assert_eq!(library.abi_stable, ""),
        other => panic!("{other:?}"),
    }
}
