//! The record, read field by field from bytes.
//!
//! It is not read as the struct that authors' crates write, because the bytes may have another width, another byte order, or
//! come from a later crate, whose record is longer. The fields of the first release and their offsets in bytes:
//!
//! ```text
//!   0 magic [8]   8 size u32   12 revision u32   16 flags u32   20 reserved u32   24 interface [16]
//!  40 abi_stable [16]   56 name [64]   120 version [32]   152 requires [64]   216 compiler [64]
//! 280 crate_version [16]   296 the end; later crates may add fields here
//! ```

use std::ops::Range;

use semver::{Version, VersionReq};

use super::{Declared, Platform, ReadError};
use crate::search::check_name;

/// The first bytes of every record.
pub(super) const MAGIC: &[u8; 8] = b"DSS\0LIB\0";

const SIZE: usize = 8;
const REVISION: usize = 12;
const FLAGS: usize = 16;
const INTERFACE: Range<usize> = 24..40;
const ABI_STABLE: Range<usize> = 40..56;
const NAME: Range<usize> = 56..120;
const VERSION: Range<usize> = 120..152;
const REQUIRES: Range<usize> = 152..216;
const COMPILER: Range<usize> = 216..280;
const CRATE_VERSION: Range<usize> = 280..296;
/// The total size of the fields above.
const KNOWN: usize = CRATE_VERSION.end;

/// The flag of a library that is built to unwind. Unknown flags come from a later crate, and are ignored.
const UNWINDS: u32 = 1;
/// The flag of a library without types of `abi_stable`. Its record still states a version of it for DSS 2.1.0, which checks that first.
const NO_ABI_STABLE: u32 = 2;

/// The declaration at the start of a section, which contains nothing else.
pub(super) fn parse(section: &[u8], platform: Platform) -> Result<Declared, ReadError> {
    let damaged = |field, how| Err(ReadError::Damaged { field, how });
    if !section.starts_with(&MAGIC[..MAGIC.len().min(section.len())]) {
        return damaged("magic", "is not that of a declaration".to_owned());
    }
    let number = |at: usize| -> Option<u32> {
        let bytes = section.get(at..)?.first_chunk::<4>()?;
        Some(if platform.big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) })
    };
    let (Some(size), Some(record)) = (number(SIZE), section.first_chunk::<KNOWN>()) else {
        return damaged("section", format!("has {} bytes, but a record has {KNOWN}", section.len()));
    };
    let size = size as usize;
    if size < KNOWN {
        return damaged("size", format!("is {size} bytes, but a record has at least {KNOWN}"));
    }
    let Some(rest) = section.get(size..) else {
        return damaged("size", format!("is {size} bytes, but its section has {}", section.len()));
    };
    check_rest(rest)?;

    let (Some(revision), Some(flags)) = (number(REVISION), number(FLAGS)) else {
        return damaged("section", "is too short".to_owned()); // this cannot happen: `record` contains all fields
    };
    let text = |range, name| Field { record, range, name }.text();
    let name = text(NAME, "name")?;
    check_name(&name).map_err(|error| invalid("name", &name, error.reason()))?;
    let version = text(VERSION, "version")?;
    let requires = text(REQUIRES, "required version of DSS")?;
    Ok(Declared {
        version: Version::parse(&version).map_err(|error| {
            invalid("version", &version, format!("this is not a valid semver version ({error})"))
        })?,
        requires: VersionReq::parse(&requires).map_err(|error| {
            invalid(
                "required version of DSS",
                &requires,
                format!("this is not a valid semver requirement ({error})"),
            )
        })?,
        name,
        revision,
        interface: text(INTERFACE, "interface")?,
        abi_stable: match flags & NO_ABI_STABLE {
            0 => text(ABI_STABLE, "version of abi_stable")?,
            _ => String::new(),
        },
        unwinds: flags & UNWINDS != 0,
        compiler: text(COMPILER, "compiler")?,
        crate_version: text(CRATE_VERSION, "crate version")?,
        platform,
        file: None,
    })
}

/// Checks that only zeros follow a record. Linkers add them as padding.
fn check_rest(rest: &[u8]) -> Result<(), ReadError> {
    if rest.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    if rest.windows(MAGIC.len()).any(|bytes| bytes == MAGIC) {
        return Err(ReadError::TwoDeclarations);
    }
    Err(ReadError::Damaged { field: "section", how: "contains other data after the record".to_owned() })
}

/// A text in a record, and its name in messages.
pub(super) struct Field<'a> {
    pub(super) record: &'a [u8],
    pub(super) range: Range<usize>,
    pub(super) name: &'static str,
}

impl Field<'_> {
    /// The text, up to its first NUL or the end of its field.
    pub(super) fn text(self) -> Result<String, ReadError> {
        let damaged = |how: &str| ReadError::Damaged { field: self.name, how: how.to_owned() };
        let bytes = &self.record[self.range.clone()];
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let (text, padding) = bytes.split_at(length);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(damaged("has data after its terminating NUL"));
        }
        let text = std::str::from_utf8(text).map_err(|_| damaged("is not UTF-8"))?;
        // It will be shown in messages and logs, one line each.
        if text.chars().any(char::is_control) {
            return Err(damaged("has control characters"));
        }
        Ok(text.to_owned())
    }
}

pub(super) fn invalid(field: &'static str, text: &str, reason: impl Into<String>) -> ReadError {
    ReadError::Invalid { field, text: text.to_owned(), reason: reason.into() }
}
