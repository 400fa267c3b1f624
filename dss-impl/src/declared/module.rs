//! What a module of DSS says of itself in its file. Like a library's declaration, it is a record in a section of its own, so the
//! deployer sees what fits before anything runs. It is plain data without pointers. Numbers are in the byte order of the processor
//! that the file is for. Texts are UTF-8, padded with at least one NUL.

use std::ops::Range;
use std::path::PathBuf;

use semver::Version;

use super::fit::{OfferedRevision, Offering};
use super::known::{Status, name_of};
use super::record::{Field, invalid};
use super::{Known, Platform, ReadError};

/// The first bytes of every module's record.
pub const MAGIC: [u8; 8] = *b"DSS\0MOD\0";
/// The section in an ELF file.
pub const SECTION_ELF: &str = ".dss.module";
/// The segment and the section in a Mach-O file.
pub const SECTION_MACH_O: (&str, &str) = ("__DATA", "__dss_module");
/// The section in a PE file.
pub const SECTION_PE: &str = ".dssmod";

/// How many revisions a record has room for.
const MOST: usize = 12;

/// The record. A module has one, as a `static` in the section.
#[repr(C)]
pub struct ModuleRecord {
    magic: [u8; 8],
    /// The size of the record in bytes. A later version of the record may have more fields at its end.
    size: u32,
    flags: u32,
    version: [u8; 32],
    lua: [u8; 16],
    abi_stable: [u8; 16],
    compiler: [u8; 64],
    count: u32,
    reserved: u32,
    revisions: [Offered; MOST],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Offered {
    number: u32,
    status: u32,
    version: [u8; 16],
}

const VERSION: Range<usize> = 16..48;
const LUA: Range<usize> = 48..64;
const ABI_STABLE: Range<usize> = 64..80;
const COMPILER: Range<usize> = 80..144;
const COUNT: usize = 144;
const REVISIONS_AT: usize = 152;
const EACH: usize = size_of::<Offered>();
const KNOWN: usize = REVISIONS_AT + MOST * EACH;

const _: () = assert!(size_of::<ModuleRecord>() == KNOWN);

impl ModuleRecord {
    /// The record of a module of that version of DSS, which is built for `lua` and reads layouts of that version of
    /// `abi_stable`. It offers no revision yet.
    ///
    /// # Panics
    /// At compile time, if there is no room for a text.
    #[must_use]
    pub const fn new(version: &str, lua: &str, abi_stable: &str, compiler: [u8; 64]) -> Self {
        ModuleRecord {
            magic: MAGIC,
            size: KNOWN as u32,
            flags: 0,
            version: padded(version),
            lua: padded(lua),
            abi_stable: padded(abi_stable),
            compiler,
            count: 0,
            reserved: 0,
            revisions: [Offered { number: 0, status: 0, version: [0; 16] }; MOST],
        }
    }

    /// The same record with another revision, whose number must be larger than those before it.
    ///
    /// # Panics
    /// At compile time, if there is no room for the revision.
    #[must_use]
    pub const fn with(mut self, number: u32, status: Status, version: &str) -> Self {
        let at = self.count as usize;
        assert!(at < MOST, "give the record of a module room for another revision");
        self.revisions[at] = Offered { number, status: status as u32, version: padded(version) };
        self.count += 1;
        self
    }
}

/// A text, padded with NULs.
const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() < N, "a text of the module's record is too long");
    let mut field = [0; N];
    let (start, _) = field.split_at_mut(bytes.len());
    start.copy_from_slice(bytes);
    field
}

/// What a module says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredModule {
    /// The Lua that it is for, such as `Lua 5.4`.
    pub lua: String,
    /// The compiler, as it calls itself.
    pub compiler: String,
    /// What it offers to libraries.
    pub offering: Offering,
    /// The processor and the system it is for.
    pub platform: Platform,
    /// The file, if it was read from one.
    pub file: Option<PathBuf>,
}

/// The record at the start of a section. It contains the numbers of revisions; `known` has their names.
pub(super) fn parse(
    section: &[u8],
    platform: Platform,
    known: &[Known],
) -> Result<DeclaredModule, ReadError> {
    let damaged = |field, how: String| Err(ReadError::Damaged { field, how });
    if !section.starts_with(&MAGIC) {
        return damaged("magic", "is not that of a module".to_owned());
    }
    let Some(record) = section.get(..KNOWN) else {
        return damaged("section", format!("has {} bytes, but a record has {KNOWN}", section.len()));
    };
    let number = |at: usize| {
        let bytes = [record[at], record[at + 1], record[at + 2], record[at + 3]];
        if platform.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    let size = number(8) as usize;
    if size < KNOWN || size > section.len() {
        return damaged("size", format!("is {size} bytes, but its section has {}", section.len()));
    }
    let text = |range: Range<usize>, field| Field { record, range, name: field }.text();
    let count = number(COUNT) as usize;
    if count > MOST {
        return damaged("list of revisions", format!("has {count} entries, but there is room for {MOST}"));
    }
    let revisions = (0..count).map(|index| {
        let at = REVISIONS_AT + index * EACH;
        Ok(OfferedRevision {
            number: number(at),
            name: name_of(known, number(at)),
            status: Status::from_number(number(at + 4)),
            version: text(at + 8..at + EACH, "version of a revision")?,
        })
    });
    let version = text(VERSION, "version")?;
    let offering = Offering {
        version: Version::parse(&version).map_err(|error| {
            invalid("version", &version, format!("this is not a valid semver version ({error})"))
        })?,
        abi_stable: text(ABI_STABLE, "version of abi_stable")?,
        revisions: revisions.collect::<Result<_, ReadError>>()?,
    };
    Ok(DeclaredModule {
        lua: text(LUA, "Lua")?,
        compiler: text(COMPILER, "compiler")?,
        offering,
        platform,
        file: None,
    })
}
