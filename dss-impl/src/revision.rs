//! What a revision is to the rest of DSS: plain data. Each adapter fills in one [`Revision`], and the registry lists them.
//!
//! Nothing in here knows the list. Adapters, `rendezvous` and `load` use these types, and the registry uses all of them.

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
    /// Its name, which people read.
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
    /// The library is a Lua module. It looks for a key of its own in DSS's table in Lua's registry, and finds the address of
    /// a C table.
    RegistryKey {
        /// The key.
        key: &'static str,
        /// The C table. DSS publishes its address and does not read it.
        api: &'static dyn Sync,
    },
    /// The library is a Lua module. It looks for the rendezvous, and asks that for the revision.
    Rendezvous {
        /// A text that is in the files of these libraries, and not in those of earlier revisions.
        marker: &'static str,
        /// Grants the revision.
        grant: GrantFn,
    },
    /// The library's file has a declaration, and DSS finds and opens the file.
    ///
    /// A library that was opened may still ask the rendezvous for its revision, so this way has a grant too. The enum has one
    /// way for each revision nevertheless: with a list of ways there could be a revision that is in files and has a key, which
    /// nothing here can serve.
    File {
        /// What the revision demands of a declaration.
        fits: FitsFn,
        /// Opens the library.
        open: OpenFn,
        /// Grants the revision. None if `open` hands over what its libraries need, and they ask for nothing.
        grant: Option<GrantFn>,
    },
}

/// Grants a revision to `library`, whose number and version fit, or says in a sentence why not. [any-thread]
pub type GrantFn = fn(request: &Request, library: &str) -> Result<Grant, String>;

/// What the answer to a library carries if the revision is granted: addresses that stay valid until the process ends.
pub struct Grant {
    /// The header of the `abi_stable` in use.
    pub header: usize,
    /// The layout of the root.
    pub layout: usize,
    /// The root.
    pub root: usize,
}

/// Maps the file of a library and has it register in a Lua state, or says in a sentence why not. `rendezvous` is for libraries
/// that ask it for their revision. [lua-thread]
pub type OpenFn = fn(
    state: StateRef,
    file: &Path,
    declared: &Declared,
    rendezvous: &'static Rendezvous,
) -> Result<Arc<dyn Module>, String>;

impl Revision {
    /// What the readers of files need to know of it.
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

    /// How DSS opens a library of it, if its libraries are not Lua modules.
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

/// The name of the revision of that number, also of one that is not in the list.
#[must_use]
pub fn name_of(revisions: &[&Revision], number: u32) -> String {
    by_number(revisions, number).map_or_else(|| unnamed(number), |revision| revision.name.to_owned())
}
