//! What is known of revisions while files are read. The registry has the list, and callers pass it in.

use super::FitsFn;

/// How long a revision will be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// It will stay.
    Supported = 1,
    /// It works, and a later release may drop it.
    Deprecated = 2,
    /// It works, but is not frozen: a later release may refuse libraries that were built against it.
    Preview = 3,
}

impl Status {
    /// The status with that number. An unknown one counts as supported, as in the rendezvous.
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
    /// A text in the files of its libraries, if they are Lua modules without a declaration.
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

/// The revision that a Lua module without a declaration uses: its file contains the marker of that revision. If it has several, the last
/// one counts. A library that works with any of them has several, and so has a module of DSS.
pub(super) fn marked(known: &[Known], bytes: &[u8]) -> Option<u32> {
    let has = |marker: &str| bytes.windows(marker.len()).any(|window| window == marker.as_bytes());
    known.iter().rev().find(|known| known.marker.is_some_and(has)).map(|known| known.number)
}

/// A revision's name, if only its number is known because it is later than this DSS. The refusals of
/// DSS 2.0 and 2.1 have this form, and the manual shows it. No other function makes a name from a number.
#[must_use]
pub fn unnamed(number: u32) -> String {
    format!("v{number}")
}
