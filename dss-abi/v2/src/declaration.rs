//! The declaration of a library in its file. DSS reads it before any code of the library runs.
//!
//! [`library!`](crate::library!) writes one [`Declaration`] into a section of the file with a fixed name:
//! [`SECTION_ELF`], [`SECTION_MACH_O`] or [`SECTION_PE`]. It is plain data without a pointer, so the file contains
//! all of it. Numbers have the byte order of the processor that the file is for. The layout is frozen, like the
//! contract.

use std::mem::size_of;

/// The first eight bytes of every [`Declaration`].
pub const MAGIC: [u8; 8] = *b"DSS\0LIB\0";

/// The section in an ELF file.
pub const SECTION_ELF: &str = ".dss.library";
/// The segment and the section in a Mach-O file.
pub const SECTION_MACH_O: (&str, &str) = ("__DATA", "__dss_library");
/// The section in a PE file.
pub const SECTION_PE: &str = ".dsslib";

/// [`Declaration::flags`]: the library is built with `panic = "unwind"`.
pub const BUILT_TO_UNWIND: u32 = 1;

/// The declaration. It has plain C layout. Texts are UTF-8, and are filled up with at least one NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// The size of this record in bytes, at least [`Declaration::SIZE_1_0`].
    pub size: u32,
    /// The revision's number: 2.
    pub revision: u32,
    /// [`BUILT_TO_UNWIND`], or 0.
    pub flags: u32,
    /// Always 0.
    pub reserved: u32,
    /// The version of the revision's interface that the library was built against, as semver.
    pub interface: [u8; 16],
    /// The version of `abi_stable` that decides what a layout check can read: `0.11`.
    pub abi_stable: [u8; 16],
    /// The library's name.
    pub name: [u8; 64],
    /// The library's version, as semver.
    pub version: [u8; 32],
    /// The versions of DSS that the library works with, as a semver requirement.
    pub requires: [u8; 64],
    /// The compiler, as `rustc -V` prints it, cut if it is too long.
    pub compiler: [u8; 64],
    /// The version of the crate `dss-abi-v2` that the library was built with.
    pub crate_version: [u8; 16],
}

impl Declaration {
    /// The size of the record in version 1.0.0 of the interface, in bytes.
    pub const SIZE_1_0: u32 = 296;

    /// The declaration of a library that this compiler builds with this crate. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::declaration::{Declaration, MAGIC};
    ///
    /// const DECLARATION: Declaration = Declaration::new("hello", "1.0.0", "^2.1");
    /// assert_eq!(DECLARATION.magic, MAGIC);
    /// assert_eq!(&DECLARATION.name[..6], b"hello\0");
    /// ```
    ///
    /// # Panics
    /// A text is empty, too long, or not plain ASCII. Or the name begins with a dot, or has a character that is not a
    /// letter, a digit, `_`, `-` or `.`. In a constant, such as in `library!`, this is an error of the compiler.
    #[must_use]
    pub const fn new(name: &str, version: &str, requires: &str) -> Self {
        check_name(name);
        check_text(version);
        check_text(requires);
        Declaration {
            magic: MAGIC,
            size: Self::SIZE_1_0,
            revision: crate::REVISION,
            flags: BUILT_TO_UNWIND,
            reserved: 0,
            interface: padded(crate::VERSION),
            abi_stable: padded("0.11"),
            name: padded(name),
            version: padded(version),
            requires: padded(requires),
            compiler: padded(env!("DSS_ABI_V2_COMPILER")),
            crate_version: padded(env!("CARGO_PKG_VERSION")),
        }
    }
}

/// A text, filled up with NULs.
const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(
        bytes.len() < N,
        "a text is too long: a library's name and its requirement have at most 63 bytes, its version at most 31"
    );
    let mut field = [0; N];
    let mut at = 0;
    while at < bytes.len() {
        field[at] = bytes[at];
        at += 1;
    }
    field
}

const fn check_text(text: &str) {
    let bytes = text.as_bytes();
    assert!(!bytes.is_empty(), "a library's version and its requirement must not be empty");
    let mut at = 0;
    while at < bytes.len() {
        assert!(
            bytes[at] >= b' ' && bytes[at] <= b'~',
            "a library's version and its requirement are plain ASCII"
        );
        at += 1;
    }
}

const fn check_name(name: &str) {
    let bytes = name.as_bytes();
    assert!(!bytes.is_empty(), "a library's name must not be empty");
    assert!(bytes[0] != b'.', "a library's name does not begin with a dot");
    let mut at = 0;
    while at < bytes.len() {
        assert!(
            bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'_' | b'-' | b'.'),
            "a library's name is made of letters, digits, `_`, `-` and `.`"
        );
        at += 1;
    }
}

// The layout is frozen, on every width.
const _: () = {
    assert!(size_of::<Declaration>() == Declaration::SIZE_1_0 as usize);
    assert!(std::mem::align_of::<Declaration>() == 4);
};
