//! What a library says of itself in its file: the record that libraries of v2 have, too.

use std::mem::offset_of;

/// [`dss_declaration::flags`]: nothing that unwinds within the library ends the process. DSS 2.1 asks that of every library.
pub const BUILT_TO_UNWIND: u32 = 1;
/// [`dss_declaration::flags`]: the library has no types of `abi_stable`, whatever [`dss_declaration::abi`] says.
pub const NO_ABI_STABLE: u32 = 2;

/// The record, which `DSS_LIBRARY` puts into the section `.dss.library` (ELF), `__DATA,__dss_library` (Mach-O) or `.dsslib` (PE). Numbers
/// have the byte order of the processor that the file is for; texts are UTF-8, filled up with NULs.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct dss_declaration {
    /// `DSS\0LIB\0`.
    pub magic: [u8; 8],
    /// The size of this record in bytes.
    pub size: u32,
    /// [`REVISION`](crate::REVISION).
    pub revision: u32,
    /// [`BUILT_TO_UNWIND`] and [`NO_ABI_STABLE`].
    pub flags: u32,
    /// 0.
    pub reserved: u32,
    /// The version of the interface. In the header it has the name `interface_`.
    pub interface: [u8; 16],
    /// What DSS 2.1 wants to see there before it looks at the revision.
    pub abi: [u8; 16],
    /// The library's name.
    pub name: [u8; 64],
    /// Its version, as semver.
    pub version: [u8; 32],
    /// Which versions of DSS will do, as a semver requirement. In the header it has the name `requires_`.
    pub requires: [u8; 64],
    /// The compiler, as it calls itself.
    pub compiler: [u8; 64],
    /// The version of the header.
    pub header: [u8; 16],
}

const _: () = {
    assert!(size_of::<dss_declaration>() == 296 && align_of::<dss_declaration>() == 4);
    assert!(offset_of!(dss_declaration, name) == 56);
    assert!(offset_of!(dss_declaration, header) == 280);
};
