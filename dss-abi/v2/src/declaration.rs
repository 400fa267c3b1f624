//! What a library says of itself in its file, to be read before any of its code runs.
//!
//! [`library!`](crate::library!) leaves one [`Declaration`] in a section of the binary that has a name of its own,
//! [`SECTION_ELF`], [`SECTION_MACH_O`] or [`SECTION_PE`]. It is plain data without a pointer, so that what lies in the file
//! is all of it. Numbers are in the byte order of the processor that the file is for. Frozen, as the contract is.

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

/// The declaration. Plain C layout; texts are UTF-8, filled up with NULs, of which there is at least one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// The size of this record in bytes, as the library has it: at least [`Declaration::SIZE_1_0`].
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
    /// Which versions of DSS will do, as a semver requirement.
    pub requires: [u8; 64],
    /// The compiler, as `rustc -V` says it; cut where it does not fit.
    pub compiler: [u8; 64],
    /// The version of the crate `dss-abi-v2` that the library was built with.
    pub crate_version: [u8; 16],
}

impl Declaration {
    /// The size of the record in 1.0.0 of the interface, in bytes.
    pub const SIZE_1_0: u32 = 296;

    /// The declaration of a library that this compiler builds with this crate. [any-thread]
    ///
    /// # Panics
    /// While the library is compiled: where a text is too long, is not plain ASCII, or is empty; and where the name has
    /// characters in it that are no letters, digits, `_`, `-` or `.`, or begins with a dot.
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
