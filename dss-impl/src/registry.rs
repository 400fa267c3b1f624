//! The registry: the one list of the revisions that this DSS offers, and everything that needs the whole list.
//!
//! A new adapter adds its line to [`REVISIONS`]. The registry passes the list to the code that works on revisions
//! (`declared`, `load`, `rendezvous`). Neither that code nor the adapters use the registry.

use std::ffi::c_void;
use std::iter::once;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use dss_abi::{Answer, RENDEZVOUS_KEY, Rendezvous, Request};
use semver::Version;

use crate::adapter::{c1v0, c2v0, v1, v2};
use crate::declared::module::ModuleRecord;
use crate::declared::{Declared, Known, OfferedRevision, Offering};
use crate::load::{self, LoadError};
use crate::rendezvous;
use crate::revision::{self, Found, Revision};
use crate::states::StateRef;
use crate::value::Module;

/// The revisions, ascending by number.
pub static REVISIONS: &[&Revision] = &[&c1v0::REVISION, &v1::REVISION, &v2::REVISION, &c2v0::REVISION];

/// The revision of that number. [any-thread]
#[must_use]
pub fn by_number(number: u32) -> Option<&'static Revision> {
    revision::by_number(REVISIONS, number)
}

/// The name of the revision of that number. It may be one that this DSS does not know. [any-thread]
#[must_use]
pub fn name_of(number: u32) -> String {
    revision::name_of(REVISIONS, number)
}

/// What code that reads files needs to know of each revision. [any-thread]
#[must_use]
pub fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| REVISIONS.iter().map(|revision| revision.known()).collect())
}

/// What this DSS offers to libraries. [any-thread]
///
/// # Panics
/// Never: the version of this crate is a semver version.
#[must_use]
pub fn offering() -> Offering {
    let offered = |revision: &&Revision| OfferedRevision {
        number: revision.number,
        name: revision.name.to_owned(),
        version: revision.version.to_owned(),
        status: revision.status,
    };
    Offering {
        version: Version::parse(crate::VERSION).expect("cargo takes no other version"),
        abi_stable: v2::ABI_STABLE.to_owned(),
        revisions: REVISIONS.iter().map(offered).collect(),
    }
}

/// The record of the module that this core is linked into, which is built for `lua`.
///
/// # Panics
/// At compile time, if the record has no room for a string or for all revisions.
#[must_use]
pub const fn module_record(lua: &str) -> ModuleRecord {
    let mut record = ModuleRecord::new(crate::VERSION, lua, v2::ABI_STABLE, v2::COMPILER);
    let mut at = 0;
    while at < REVISIONS.len() {
        let Revision { number, version, status, .. } = REVISIONS[at];
        record = record.with(*number, *status, version);
        at += 1;
    }
    record
}

/// What DSS publishes for libraries in its table in Lua's registry: each key with its address. The
/// addresses are valid until the process ends. The iterator owns nothing, so a Lua error may skip it. [any-thread]
pub fn keys() -> impl Iterator<Item = (&'static str, *const c_void)> {
    let own = REVISIONS.iter().filter_map(|revision| match revision.found {
        Found::RegistryKey { key, api } => Some((key, std::ptr::from_ref(api).cast())),
        Found::Rendezvous { .. } | Found::File { .. } => None,
    });
    own.chain(once((RENDEZVOUS_KEY, std::ptr::from_ref(rendezvous()).cast())))
}

/// The rendezvous, made once per process. [any-thread]
#[must_use]
pub fn rendezvous() -> &'static Rendezvous {
    static RECORD: OnceLock<Rendezvous> = OnceLock::new();
    RECORD.get_or_init(|| rendezvous::record(REVISIONS, request))
}

unsafe extern "C" fn request(request: *const Request, answer: *mut Answer) -> i32 {
    // SAFETY: guaranteed by the contract of `RequestFn`.
    unsafe { rendezvous::answer(REVISIONS, request, answer) }
}

/// Finds a library that fits this DSS: [`load::look_up`]. [any-thread]
///
/// # Errors
/// [`LoadError`]
pub fn look_up(name: &str, templates: &str, wanted: Option<&str>) -> Result<(PathBuf, Declared), LoadError> {
    load::look_up(name, templates, wanted, &offering(), known())
}

/// Loads the library that [`look_up`] finds into a Lua state. No library of that name may be registered there. [lua-thread]
///
/// # Errors
/// [`LoadError`]
pub fn load(
    state: StateRef,
    name: &str,
    templates: &str,
    wanted: Option<&str>,
) -> Result<Arc<dyn Module>, LoadError> {
    let (file, declared) = look_up(name, templates, wanted)?;
    load::open(state, &file, &declared, REVISIONS, rendezvous())
}
