//! What `library!` takes for a version and a requirement is what DSS, which reads them with `semver`, takes.

use dss_abi_v2::__private::{is_requirement, is_version};
use semver::{Version, VersionReq};

/// Pieces of versions and requirements, of which every combination of three is tried.
const PIECES: [&str; 27] = [
    "",
    "0",
    "1",
    "01",
    "12",
    "1.2",
    "1.2.3",
    "1.*",
    "x",
    "*",
    ".",
    "-",
    "-rc.1",
    "-01",
    "-a.01",
    "+",
    "+01",
    "+a.b-c",
    "^",
    "~",
    ">=",
    "<",
    "=",
    ",",
    ", ",
    " ",
    "18446744073709551616",
];

#[test]
fn both_are_read_as_semver_reads_them() {
    let (mut versions, mut requirements) = (0, 0);
    for first in PIECES {
        for second in PIECES {
            for third in PIECES {
                let text = format!("{}{}{}", first, second, third);
                assert_eq!(is_version(&text), Version::parse(&text).is_ok(), "the version {:?}", text);
                assert_eq!(
                    is_requirement(&text),
                    VersionReq::parse(&text).is_ok(),
                    "the requirement {:?}",
                    text
                );
                versions += usize::from(is_version(&text));
                requirements += usize::from(is_requirement(&text));
            }
        }
    }
    assert!(versions > 100 && requirements > 500, "{} and {}", versions, requirements);
}

#[test]
fn a_requirement_has_32_parts_at_most() {
    for count in [1, 31, 32, 33, 40] {
        let text = vec!["1"; count].join(",");
        assert_eq!(is_requirement(&text), VersionReq::parse(&text).is_ok(), "{} parts", count);
    }
    for text in [
        "1.0", "latest", "1.0.0.0", "v1.0.0", " 1.0.0", "1.0.0 ", "1 .0", "^ 2.1", "2.1 ", ">= 2, <4", "1,*",
        "*,1",
    ] {
        assert_eq!(is_version(text), Version::parse(text).is_ok(), "{:?}", text);
        assert_eq!(is_requirement(text), VersionReq::parse(text).is_ok(), "{:?}", text);
    }
}
