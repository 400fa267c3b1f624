//! What a library declares, read from its file without running any of its code.
//!
//! A library that DSS itself opens has a record in a section of its binary. The record is plain bytes, and the file
//! is read as bytes, without the system's loader. So a library that does not fit is refused before any
//! of its constructors has run. A file can contain anything. No number in it is trusted before it was
//! compared with the length of the file, and the time and memory used are at most proportional to that length.
//!
//! | file | contents |
//! |---|---|
//! | `image.rs` | the kind of the file; `elf.rs`, `macho.rs`, `pe.rs` find the section in it |
//! | `platform.rs` | what an image is built for, and what this process is |
//! | `record.rs` | the record, from bytes of either byte order |
//! | `description.rs` | what a library says of its functions, for tools |
//! | `module.rs` | the record of a module of DSS, which says what it is and offers |
//! | `known.rs` | what is known of revisions, passed in by the registry |
//! | `fit.rs` | whether what it declares fits this DSS and the caller |
//! | `error.rs` | why a file gives no declaration |

mod description;
mod elf;
mod error;
mod fit;
mod image;
mod known;
mod macho;
pub mod module;
mod pe;
mod platform;
mod record;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};

use crate::memory::TryRoom;
use crate::search::dangling;
pub use description::Description;
pub use error::ReadError;
pub use fit::{FitsFn, Misfit, MisfitKind, OfferedRevision, Offering, fits};
use image::{Exports, Image};
pub use known::{Known, Status, unnamed};
pub use module::DeclaredModule;
pub use platform::{Float, Libc, Platform};

/// The largest file that is read, in bytes: 1 GiB.
pub const LARGEST: u64 = 1 << 30;

/// The limit of functions that open Lua modules and are reported for one file. A file may have any number of them.
pub const MOST_FUNCTIONS: usize = 64;

/// What a library declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The versions of DSS that it accepts.
    pub requires: VersionReq,
    /// The number of the revision it was compiled against.
    pub revision: u32,
    /// The version of that revision's interface.
    pub interface: String,
    /// The version of `abi_stable` that describes its layouts, such as `0.11`. Empty if it has no such types.
    pub abi_stable: String,
    /// Whether it is built so that a panic unwinds.
    pub unwinds: bool,
    /// The compiler, as it calls itself.
    pub compiler: String,
    /// The version of the author's crate or header of that revision.
    pub crate_version: String,
    /// The processor and the system it is for.
    pub platform: Platform,
    /// The file, if it was read from one.
    pub file: Option<PathBuf>,
}

/// A file that was inspected, for any platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The processor and the system it is for.
    pub platform: Platform,
    /// Whether a loader may unmap it again. None if its format does not say.
    pub unmappable: Option<bool>,
    /// What it is.
    pub found: FileType,
    /// What a library says of its functions and classes. Empty if it says nothing.
    pub descriptions: Vec<Description>,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileType {
    /// A library with a declaration.
    Library(Declared),
    /// A module of DSS that says what it offers.
    Module(DeclaredModule),
    /// A Lua module without a declaration.
    LuaModule {
        /// The function by which Lua opens it, or the first of them.
        function: String,
        /// The others, if the file is several modules. With the first, at most [`MOST_FUNCTIONS`].
        others: Vec<String>,
        /// The revision by which it uses DSS, judged by the names in it. None if it does not use DSS.
        uses: Option<u32>,
    },
}

/// Reads what the file at `path` is, for any platform. `known` are the revisions that it may name. None of its code runs.
/// [any-thread] `[blocks]` while the file is read.
///
/// # Errors
/// Each [`ReadError`] except [`ReadError::Foreign`] and [`ReadError::LuaModule`].
pub fn inspect(path: &Path, known: &[Known]) -> Result<Inspected, ReadError> {
    let bytes = bytes_of(path)?;
    let image = image::read(&bytes, None)?;
    let (platform, unmappable) = (image.platform.clone(), image.unmappable);
    let openers = image.exports.openers.clone();
    let descriptions = description::parse(image.descriptions);
    let found = match (image.sections.as_slice(), image.modules.as_slice()) {
        ([], [section]) => {
            let mut module = module::parse(section, image.platform, known)?;
            module.file = Some(path.to_owned());
            FileType::Module(module)
        }
        ([], []) | ([_], []) => match library(image) {
            Ok(mut declared) => {
                declared.file = Some(path.to_owned());
                FileType::Library(declared)
            }
            Err(ReadError::LuaModule { function }) => {
                let others = openers.into_iter().skip(1).collect();
                FileType::LuaModule { function, others, uses: known::marked(known, &bytes) }
            }
            Err(error) => return Err(error),
        },
        _ => return Err(ReadError::TwoDeclarations),
    };
    Ok(Inspected { platform, unmappable, found, descriptions })
}

/// Reads what the library at `path` declares, for this process. Links are followed. None of the library's code runs.
/// [any-thread] `[blocks]` while the file is read.
///
/// # Errors
/// Each [`ReadError`]; `{path} {error}` is the sentence. Anything that is not a regular file (a folder, a FIFO, a device) is refused
/// without being opened.
pub fn read(path: &Path) -> Result<Declared, ReadError> {
    let mut declared = parse(&bytes_of(path)?)?;
    declared.file = Some(path.to_owned());
    Ok(declared)
}

/// The whole file, if it is a regular file.
fn bytes_of(path: &Path) -> Result<Vec<u8>, ReadError> {
    let metadata = fs::metadata(path).map_err(|error| match dangling(path) {
        Some(link) => ReadError::Link(link),
        None => ReadError::Open(error),
    })?;
    check_kind(&metadata)?;
    let file = open(path).map_err(ReadError::Open)?;
    // The path may lead to something else by now.
    check_kind(&file.metadata().map_err(ReadError::Open)?)?;
    let bytes = contents(file, metadata.len()).map_err(ReadError::Open)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ReadError::TooLarge { has: bytes.len() as u64 });
    }
    Ok(bytes)
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
    library(image::read(bytes, Some(platform))?)
}

/// The declaration in an image.
fn library(image: Image<'_>) -> Result<Declared, ReadError> {
    match image.sections.as_slice() {
        [] => Err(match image.exports {
            Exports { openers, .. } if !openers.is_empty() => {
                ReadError::LuaModule { function: openers[0].clone() }
            }
            Exports { entry: Some(function), .. } => ReadError::Stripped { function },
            _ => ReadError::NoDeclaration,
        }),
        [section] => record::parse(section, image.platform),
        _ => Err(ReadError::TwoDeclarations),
    }
}

/// Refuses anything that is not a regular file, and files that are too small or too large for a library.
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
        "not a regular file"
    }
}

#[cfg(not(unix))]
fn special(_metadata: &Metadata) -> &'static str {
    "not a regular file"
}

/// Opens without waiting. If the path has become a FIFO, there may never be a writer.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// All of `file`, which should have `length` bytes. If it grows, reads no more than shows that it is too large.
fn contents(file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // If there is no memory for so much, that is an error and does not end the process.
    bytes.try_room_exact(usize::try_from(length).unwrap_or(usize::MAX)).map_err(io::Error::other)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
