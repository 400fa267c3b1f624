//! Why a file gives no declaration.

use std::error::Error;
use std::fmt;
use std::io;

use super::LARGEST;
use crate::search::Dangling;

/// Why a file gives no declaration. The text follows the file's name: `{path} {error}` is a sentence.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be opened or read, as the system says.
    Open(io::Error),
    /// It is a link that leads to no file.
    Link(Dangling),
    /// It is a folder.
    Folder,
    /// It is a FIFO, a socket or a device.
    Special {
        /// Which of them, with its article.
        what: &'static str,
    },
    /// It is empty.
    Empty,
    /// It is larger than [`LARGEST`].
    TooLarge {
        /// How many it has.
        has: u64,
    },
    /// It is not a library.
    NotALibrary {
        /// What it is, with its article.
        what: &'static str,
    },
    /// It is a library for another processor, system, width or C library.
    Foreign {
        /// What it is for.
        found: String,
        /// What this process is.
        here: String,
    },
    /// It ends before the end of something that its headers describe.
    Truncated {
        /// How many bytes it has.
        has: u64,
        /// How many it needs at least.
        needs: u64,
    },
    /// Its headers are inconsistent.
    Malformed {
        /// The format of its first bytes.
        format: &'static str,
        /// What is inconsistent.
        reason: String,
    },
    /// It is a Lua module without a declaration. Libraries for 1.0 and v1 look like this too.
    LuaModule {
        /// The function by which Lua opens it.
        function: String,
    },
    /// It is a library without a declaration.
    NoDeclaration,
    /// It is a library for DSS, but its declaration was removed from the file.
    Stripped {
        /// The function by which DSS would open it.
        function: String,
    },
    /// It has more than one declaration.
    TwoDeclarations,
    /// The record is invalid.
    Damaged {
        /// The invalid field.
        field: &'static str,
        /// What is wrong with it. The text follows the field's name.
        how: String,
    },
    /// A text is readable, but has an invalid meaning.
    Invalid {
        /// The field.
        field: &'static str,
        /// The text in it.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(error) => write!(f, "cannot be opened: {error}"),
            Self::Link(link) => write!(f, "{link}: make the link lead to the library"),
            Self::Folder => f.write_str("is a folder: give the path of the library's file"),
            Self::Special { what } => write!(f, "is {what}: give the file of the library"),
            Self::Empty => f.write_str("is empty: build or copy the library again"),
            Self::TooLarge { has } => {
                write!(f, "has {has} bytes, but DSS reads libraries of at most {LARGEST}: strip it")
            }
            Self::NotALibrary { what } => write!(f, "is {what}, not a shared library"),
            Self::Foreign { found, here } => {
                write!(f, "is a library for {found}, but this process needs one for {here}: get that build of the library")
            }
            Self::Truncated { has, needs } => write!(
                f,
                "is incomplete: it has {has} bytes, but its headers describe at least {needs}: build or copy the library again"
            ),
            Self::Malformed { format, reason } => {
                write!(f, "is a damaged {format} file ({reason}): build or copy the library again")
            }
            Self::LuaModule { function } => write!(
                f,
                "is a Lua module (it has `{function}`) without a declaration for DSS, as are libraries for DSS 1.0 and v1: \
                 use `require`"
            ),
            Self::NoDeclaration => f.write_str(
                "is a library without a declaration for DSS: it is not a DSS library, or it was built without the macro that \
                 exports it, or its sections were removed",
            ),
            Self::Stripped { function } => write!(
                f,
                "is a DSS library (it has `{function}`), but its declaration was removed: build it again, and keep its sections"
            ),
            Self::TwoDeclarations => f.write_str(
                "declares more than one DSS library: link each library into its own file",
            ),
            Self::Damaged { field, how } => {
                write!(f, "has a damaged declaration: its {field} {how}: build or copy the library again")
            }
            Self::Invalid { field, text, reason } => {
                write!(f, "declares the {field} `{text}`, but {reason}: fix the library")
            }
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open(error) => Some(error),
            _ => None,
        }
    }
}
