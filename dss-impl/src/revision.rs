//! How the rest of DSS sees a revision: as plain data. Each adapter fills in one [`Revision`], and the registry lists them.
//!
//! Nothing here knows the list. Adapters, `rendezvous` and `load` use these types, and the registry uses all of them.

use std::path::Path;
use std::sync::Arc;

use dss_abi::{Rendezvous, Request};

use crate::declared::{Declared, FitsFn, Known, Status, unnamed};
use crate::states::StateRef;
use crate::value::Module;

/// A revision that this DSS offers.
pub struct Revision {
    /// Its number.
    pub number: u32,
    /// Its name, for people.
    pub name: &'static str,
    /// The version of its interface, as semver.
    pub version: &'static str,
    /// How long it will be offered.
    pub status: Status,
    /// How its libraries and DSS find each other.
    pub found: Found,
}

/// How the libraries of a revision and DSS find each other.
pub enum Found {
    /// The library is a Lua module. It looks for its revision's key in DSS's table in Lua's registry, and finds the address of
    /// a C table there.
    RegistryKey {
        /// The key.
        key: &'static str,
        /// The C table. DSS publishes its address and does not read it.
        api: &'static dyn Sync,
    },
    /// The library is a Lua module. It finds the rendezvous, and requests the revision from it.
    Rendezvous {
        /// A text that is in the files of these libraries, and not in those of earlier revisions.
        marker: &'static str,
        /// Grants the revision.
        grant: GrantFn,
    },
    /// The library's file has a declaration. DSS finds and opens the file.
    ///
    /// A library that was opened may still ask the rendezvous for its revision, so this variant has a grant too. But a revision
    /// has one variant, not a list of ways: a list could describe a revision that is in files and has a key, which
    /// nothing here can serve.
    File {
        /// What the revision requires of a declaration.
        fits: FitsFn,
        /// Opens the library.
        open: OpenFn,
        /// Grants the revision. None if `open` provides what its libraries need, and they request nothing.
        grant: Option<GrantFn>,
    },
}

/// Grants a revision to `library`, whose number and version fit, or returns a sentence that says why not. [any-thread]
pub type GrantFn = fn(request: &Request, library: &str) -> Result<Grant, String>;

/// What a library receives if the revision is granted: addresses that stay valid until the process ends.
pub struct Grant {
    /// The header of the `abi_stable` in use.
    pub header: usize,
    /// The layout of the root.
    pub layout: usize,
    /// The root.
    pub root: usize,
}

/// Maps the file of a library and lets it register in a Lua state, or returns a sentence that says why not. `rendezvous` is for libraries
/// that ask it for their revision. [lua-thread]
pub type OpenFn = fn(
    state: StateRef,
    file: &Path,
    declared: &Declared,
    rendezvous: &'static Rendezvous,
) -> Result<Arc<dyn Module>, String>;

impl Revision {
    /// What code that reads files needs to know of it.
    #[must_use]
    pub const fn known(&self) -> Known {
        let (marker, fits) = match self.found {
            Found::RegistryKey { key, .. } => (Some(key), None),
            Found::Rendezvous { marker, .. } => (Some(marker), None),
            Found::File { fits, .. } => (None, Some(fits)),
        };
        Known { number: self.number, name: self.name, marker, fits }
    }

    /// How the rendezvous grants it, if it does.
    #[must_use]
    pub fn grant(&self) -> Option<GrantFn> {
        match self.found {
            Found::RegistryKey { .. } => None,
            Found::Rendezvous { grant, .. } => Some(grant),
            Found::File { grant, .. } => grant,
        }
    }

    /// How DSS opens its libraries, if they are not Lua modules.
    #[must_use]
    pub fn open(&self) -> Option<OpenFn> {
        match self.found {
            Found::RegistryKey { .. } | Found::Rendezvous { .. } => None,
            Found::File { open, .. } => Some(open),
        }
    }
}

/// The revision of that number.
#[must_use]
pub fn by_number<'a>(revisions: &[&'a Revision], number: u32) -> Option<&'a Revision> {
    revisions.iter().copied().find(|revision| revision.number == number)
}

/// The name of the revision of that number. It may be one that is not in the list.
#[must_use]
pub fn name_of(revisions: &[&Revision], number: u32) -> String {
    by_number(revisions, number).map_or_else(|| unnamed(number), |revision| revision.name.to_owned())
}
