//! The rendezvous as DSS publishes it, and the one place that knows which revisions there are.

use std::mem::offset_of;
use std::sync::OnceLock;

use dss_abi::{
    Answer, BUILT_TO_UNWIND, GRANTED, MAGIC, Offer, REFUSED, Rendezvous, Request, RevisionStatus, Text,
};
use semver::{Version, VersionReq};

use crate::adapter;
use crate::states::lua_name;

/// What an adapter offers.
pub struct Revision {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// The version of its interface.
    pub version: &'static str,
    /// How long it will be offered.
    pub status: RevisionStatus,
    /// Grants it to a library whose number and version fit, or says why not. None where libraries find this revision by
    /// other means.
    pub grant: Option<GrantFn>,
}

/// Grants a revision to `library`, or says in a sentence why not.
pub type GrantFn = fn(request: &Request, library: &str) -> Result<Grant, String>;

/// What a library gets of a revision that is found through the rendezvous: addresses that stay valid.
pub struct Grant {
    /// The header of the `abi_stable` in use.
    pub header: usize,
    /// The layout of the root.
    pub layout: usize,
    /// The root.
    pub root: usize,
}

/// The revisions this DSS offers, ascending by number. A new adapter adds its line here.
pub static REVISIONS: &[&Revision] = &[&adapter::c1v0::REVISION, &adapter::v1::REVISION];

/// The record, made once for the process. [any-thread]
#[must_use]
pub fn rendezvous() -> &'static Rendezvous {
    static OFFERS: OnceLock<Vec<Offer>> = OnceLock::new();
    static RECORD: OnceLock<Rendezvous> = OnceLock::new();
    let offers = OFFERS.get_or_init(|| {
        let offer = |revision: &&Revision| Offer {
            revision: revision.number,
            status: revision.status as u32,
            name: Text::of(revision.name),
            version: Text::of(revision.version),
        };
        REVISIONS.iter().map(offer).collect()
    });
    RECORD.get_or_init(|| Rendezvous {
        magic: MAGIC,
        size: size_of::<Rendezvous>() as u32,
        offer_size: size_of::<Offer>() as u32,
        dss_version: Text::of(crate::VERSION),
        lua: Text::of(lua_name()),
        offers: offers.as_ptr(),
        offer_count: offers.len(),
        request,
    })
}

unsafe extern "C" fn request(request: *const Request, answer: *mut Answer) -> i32 {
    // SAFETY: the contract of `RequestFn`: both are records of at least the size they state.
    let (Some(request), Some(answer)) = (unsafe { request.as_ref() }, unsafe { answer.as_mut() }) else {
        return REFUSED;
    };
    // What is shorter than this has no place for an answer, and gets none.
    if (answer.size as usize) < size_of::<Answer>() || (request.size as usize) < size_of::<Request>() {
        return REFUSED;
    }
    let decided = std::panic::catch_unwind(|| decide(request));
    let decided = decided.unwrap_or_else(|_| Err("DSS failed while it looked at the request".to_owned()));
    answer.text_length = 0;
    match decided {
        Ok(grant) => {
            answer.header = grant.header as *const _;
            answer.layout = grant.layout as *const _;
            answer.root = grant.root as *const _;
            answer.status = GRANTED;
        }
        Err(sentence) => {
            answer.status = REFUSED;
            // SAFETY: the contract of `RequestFn`: the text's capacity is what it states.
            unsafe { answer.write_sentence(&sentence) };
        }
    }
    answer.status
}

/// Looks for the revision asked for; a refusal names both sides.
fn decide(request: &Request) -> Result<Grant, String> {
    // SAFETY: the contract of `RequestFn`: texts are borrowed for the length of the call.
    let library = unsafe { request.library.read() };
    // SAFETY: as above.
    let wants = unsafe { request.wants.read() };
    let offered = || {
        let each = |revision: &&Revision| format!("{} ({})", revision.name, revision.version);
        REVISIONS.iter().map(each).collect::<Vec<_>>().join(", ")
    };
    let wanted = VersionReq::parse(&wants).map_err(|error| {
        format!("{library}: the version requirement `{wants}` is not semver ({error}): mend the library")
    })?;
    let number = request.revision;
    let found = REVISIONS.iter().find(|revision| revision.number == number);
    let Some(revision) = found.filter(|revision| revision.grant.is_some()) else {
        let newest = REVISIONS.iter().map(|revision| revision.number).max();
        let advice = if Some(number) > newest {
            "upgrade DSS"
        } else {
            "build the library for one of these revisions"
        };
        return Err(format!(
            "{library} wants revision v{number} ({wants}), and this DSS {} offers {}: {advice}",
            crate::VERSION,
            offered(),
        ));
    };
    let version = Version::parse(revision.version).map_err(|error| error.to_string())?;
    if !wanted.matches(&version) {
        return Err(format!(
            "{library} wants {} {wants}, and this DSS {} offers {}: upgrade DSS, or build the library for what is offered",
            revision.name,
            crate::VERSION,
            offered(),
        ));
    }
    if request.flags & BUILT_TO_UNWIND == 0 {
        return Err(format!(
            "{library} is built with panic = \"abort\", and this DSS {} serves only libraries in which a panic can be \
             caught: build the library with panic = \"unwind\"",
            crate::VERSION
        ));
    }
    match revision.grant {
        Some(grant) => grant(request, &library),
        None => Err(format!("{library}: revision {} is not asked for here", revision.name)),
    }
}

// `size` is where every reader looks for it, whatever else changes.
const _: () = assert!(offset_of!(Rendezvous, size) == 8);
