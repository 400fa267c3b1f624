//! What is known of revisions while files are read. The registry has the list, and its callers hand it in.

use super::FitsFn;

/// How long a revision will be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// It is here to stay.
    Supported = 1,
    /// It works, and a later release may drop it.
    Deprecated = 2,
    /// It works and is not frozen: a later release may refuse libraries that were built against it.
    Preview = 3,
}

impl Status {
    /// The status of that number. One that is not known here counts as supported, as the rendezvous says.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            2 => Status::Deprecated,
            3 => Status::Preview,
            _ => Status::Supported,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::Supported => "supported",
            Status::Deprecated => "deprecated",
            Status::Preview => "preview",
        }
    }
}

/// What is known of one revision.
#[derive(Clone, Copy)]
pub struct Known {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// A text that is in the files of its libraries, if they are Lua modules and declare nothing.
    pub marker: Option<&'static str>,
    /// What it demands of a library that declares itself.
    pub fits: Option<FitsFn>,
}

/// The revision of that number.
pub(super) fn by_number(known: &[Known], number: u32) -> Option<&Known> {
    known.iter().find(|known| known.number == number)
}

/// The name of the revision of that number.
pub(super) fn name_of(known: &[Known], number: u32) -> String {
    by_number(known, number).map_or_else(|| unnamed(number), |known| known.name.to_owned())
}

/// By which revision a Lua module that declares nothing comes to DSS: its file has the marker of that revision. The last one
/// counts if it has several, as a library may that works with any of them, and as a module of DSS has.
pub(super) fn marked(known: &[Known], bytes: &[u8]) -> Option<u32> {
    let has = |marker: &str| bytes.windows(marker.len()).any(|window| window == marker.as_bytes());
    known.iter().rev().find(|known| known.marker.is_some_and(has)).map(|known| known.number)
}

/// What stands for the name of a revision if only its number is known: a revision that is later than this DSS. The refusals of
/// DSS 2.0 and 2.1 have this form, and the manual shows it. No other function makes a name from a number.
#[must_use]
pub fn unnamed(number: u32) -> String {
    format!("v{number}")
}
