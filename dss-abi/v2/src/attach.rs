//! Attaching: finds the service of DSS by the rendezvous, and checks that both sides mean the same by it.

use std::os::raw::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use abi_stable::abi_stability::abi_checking::{check_layout_compatibility_with_globals, CheckingGlobals};
use abi_stable::library::AbiHeader;
use abi_stable::type_layout::TypeLayout;
use abi_stable::StableAbi;
use dss_abi::{AnswerBuffer, Rendezvous, Request, Text, BUILT_TO_UNWIND, GRANTED};

use crate::contract::ServiceObject;
use crate::REVISION;

/// The versions of the revision that this crate works with, as a semver requirement.
const WANTS: &str = "^1.0.0";

/// The root that was last checked. A process may have several DSS modules, one for each Lua in it. Usually it has
/// one.
static CHECKED: AtomicPtr<ServiceObject> = AtomicPtr::new(null_mut());

/// Attaches to the DSS that published `rendezvous`. Its service lives until the process ends. [any-thread]
///
/// # Errors
/// A sentence that says what the library wants, what this DSS offers, and which of the two to upgrade.
///
/// # Safety
/// `rendezvous` is NULL, or fulfils the conditions of [`Rendezvous::read`].
pub(crate) unsafe fn attach(
    rendezvous: *const c_void,
    library: &'static str,
) -> Result<&'static ServiceObject, String> {
    // SAFETY: as the caller promises.
    let rendezvous =
        unsafe { Rendezvous::read(rendezvous) }.map_err(|refused| format!("{}: {}", library, refused))?;
    let request = Request {
        size: std::mem::size_of::<Request>() as u32,
        revision: REVISION,
        flags: BUILT_TO_UNWIND,
        reserved: 0,
        library: Text::of(library),
        wants: Text::of(WANTS),
        header: (&AbiHeader::VALUE as *const AbiHeader).cast(),
        layout: (<ServiceObject as StableAbi>::LAYOUT as *const TypeLayout).cast(),
    };
    let mut buffer = AnswerBuffer::new();
    // SAFETY: both records state their sizes and live through the call.
    let status = unsafe { (rendezvous.request)(&request, buffer.answer()) };
    if status != GRANTED {
        return Err(refused(rendezvous, library, buffer.sentence()));
    }
    let answer = buffer.get();
    let root = answer.root.cast::<ServiceObject>() as *mut ServiceObject;
    // Relaxed, for the address alone is compared: what lies there was DSS's before it answered.
    if CHECKED.load(Ordering::Relaxed) != root {
        // SAFETY: a granted answer names the two, alive as long as the process.
        unsafe { check(answer.header, answer.layout, library) }?;
        CHECKED.store(root, Ordering::Relaxed);
    }
    // SAFETY: a root that was checked, and that lives as long as the process.
    unsafe { root.as_ref() }.ok_or_else(|| {
        format!("{}: the loaded DSS grants v{} but provides nothing: upgrade DSS", library, REVISION)
    })
}

/// The error of a refusal. DSS says why, unless it had no place to write that.
fn refused(rendezvous: &Rendezvous, library: &str, sentence: String) -> String {
    if !sentence.is_empty() {
        return sentence;
    }
    // SAFETY: a text of the rendezvous lives as long as the process.
    let version = unsafe { rendezvous.dss_version.read() };
    format!(
        "{} wants v{} {}, and this DSS {} refuses that without a reason: upgrade DSS",
        library, REVISION, WANTS, version
    )
}

/// Checks the header and the layout of DSS's root.
///
/// # Safety
/// The two come from a granted answer.
unsafe fn check(header: *const c_void, layout: *const c_void, library: &str) -> Result<(), String> {
    // SAFETY: a plain C record whose layout `abi_stable` never changes.
    let header = unsafe { &*header.cast::<AbiHeader>() };
    if !header.is_valid() {
        return Err(format!(
            "{}: this library is built with abi_stable {}.{}, but the loaded DSS with {}.{}: build the library again with the \
             dss-abi-v2 that was released with this DSS",
            library,
            AbiHeader::VALUE.abi_major,
            AbiHeader::VALUE.abi_minor,
            header.abi_major,
            header.abi_minor
        ));
    }
    // SAFETY: the header says that both sides mean the same by a `TypeLayout`.
    let theirs = unsafe { &*layout.cast::<TypeLayout>() };
    check_layouts(<ServiceObject as StableAbi>::LAYOUT, theirs).map_err(|details| {
        if std::env::var_os("DSS_LOG").is_some() {
            eprintln!("{}: layout check of the loaded DSS:\n{}", library, details);
        }
        format!(
            "{}: the types of revision v2 differ between this library (dss-abi-v2 {}) and the loaded DSS: build the library \
             again with a released dss-abi-v2 (set DSS_LOG for the details)",
            library,
            env!("CARGO_PKG_VERSION")
        )
    })
}

/// Checks that `found` fits where `wanted` is expected.
///
/// The check has globals of its own. The shared ones of `abi_stable` remember earlier checks, so that a result would
/// depend on their order.
///
/// # Errors
/// The differences, in many lines.
#[doc(hidden)]
pub fn check_layouts(wanted: &'static TypeLayout, found: &'static TypeLayout) -> Result<(), String> {
    check_layout_compatibility_with_globals(wanted, found, &CheckingGlobals::new())
        .map_err(|errors| errors.to_string())
}
