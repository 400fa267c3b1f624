//! What a library declares, read from its file without running any of its code.
//!
//! A library of revision v2 or later leaves a record in a section of its binary. The record is plain bytes and the file
//! is read as bytes: the system's loader has no part in it, so that a library that does not fit is refused before one
//! of its constructors has run. A file can say anything; nothing in here takes a number of it for true that is not
//! compared with the length of the file first, and the time and memory spent grow with that length and no faster.
//!
//! | file | has |
//! |---|---|
//! | `image.rs` | which kind of file it is; `elf.rs`, `macho.rs`, `pe.rs` find the section in it |
//! | `platform.rs` | what an image is for, and what this process is |
//! | `record.rs` | the record, from bytes of either byte order |
//! | `fit.rs` | whether what it declares fits this DSS and the caller |
//! | `error.rs` | why a file gives no declaration |

mod elf;
mod error;
mod fit;
mod image;
mod macho;
mod pe;
mod platform;
mod record;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};

pub use error::ReadError;
pub use fit::{ABI_STABLE, Misfit, MisfitKind, fits};
pub use platform::Platform;

/// The largest file that is read, in bytes: 1 GiB.
pub const LARGEST: u64 = 1 << 30;

/// What a library declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Which versions of DSS will do.
    pub requires: VersionReq,
    /// The number of the revision it was compiled against.
    pub revision: u32,
    /// The version of that revision's interface.
    pub interface: String,
    /// The version of `abi_stable` that its layouts are described with, as `0.11`.
    pub abi_stable: String,
    /// Whether it is built so that a panic unwinds.
    pub unwinds: bool,
    /// The compiler, as it calls itself.
    pub compiler: String,
    /// The version of the author's crate of that revision.
    pub crate_version: String,
    /// The file, where it was read from one.
    pub file: Option<PathBuf>,
}

/// Reads what the library at `path` declares, for this process. Links are followed. None of the library's code runs.
/// [any-thread] `[blocks]` while the file is read.
///
/// # Errors
/// Each [`ReadError`]; `{path} {error}` is the sentence. What is no file (a folder, a FIFO, a device) is refused
/// without having been opened.
pub fn read(path: &Path) -> Result<Declared, ReadError> {
    let metadata = fs::metadata(path).map_err(ReadError::Open)?;
    check_kind(&metadata)?;
    let file = open(path).map_err(ReadError::Open)?;
    // The name may have come to mean something else in between.
    check_kind(&file.metadata().map_err(ReadError::Open)?)?;
    let bytes = contents(file, metadata.len()).map_err(ReadError::Open)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ReadError::TooLarge { has: bytes.len() as u64 });
    }
    let mut declared = parse(&bytes)?;
    declared.file = Some(path.to_owned());
    Ok(declared)
}

/// Reads what the library whose file has these bytes declares, for this process. [any-thread]
///
/// # Errors
/// Each [`ReadError`] that is not about opening a file.
pub fn parse(bytes: &[u8]) -> Result<Declared, ReadError> {
    parse_for(bytes, &Platform::here())
}

/// [`parse`] for a process on `platform`. [any-thread]
///
/// # Errors
/// As [`parse`].
pub fn parse_for(bytes: &[u8], platform: &Platform) -> Result<Declared, ReadError> {
    let image = image::read(bytes, platform)?;
    match image.sections.as_slice() {
        [] => Err(match image.opener {
            Some(function) => ReadError::LuaModule { function },
            None => ReadError::NoDeclaration,
        }),
        [section] => record::parse(section, image.big_endian),
        _ => Err(ReadError::TwoDeclarations),
    }
}

/// Refuses what is no file, and what no library is as small or as large as.
fn check_kind(metadata: &Metadata) -> Result<(), ReadError> {
    if metadata.is_dir() {
        return Err(ReadError::Folder);
    }
    if !metadata.is_file() {
        return Err(ReadError::Special { what: special(metadata) });
    }
    match metadata.len() {
        0 => Err(ReadError::Empty),
        has if has > LARGEST => Err(ReadError::TooLarge { has }),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn special(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;

    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "no regular file"
    }
}

#[cfg(not(unix))]
fn special(_metadata: &Metadata) -> &'static str {
    "no regular file"
}

/// Opens without waiting: should the name mean a FIFO by now, nobody may ever write to it.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// All of `file`, which should have `length` bytes; of one that grows, no more than shows that it is too large.
fn contents(file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Not what the file says, where memory is short of it: that is an error, and no end of the process.
    bytes.try_reserve_exact(usize::try_from(length).unwrap_or(usize::MAX))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
