//! What every revision demands whose root is an `abi_stable` trait object: a library that unwinds, readable layouts, and
//! the same types. The library checks DSS's types in the same way.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};

use abi_stable::library::AbiHeader;
use abi_stable::type_layout::TypeLayout;
use dss_abi::{BUILT_TO_UNWIND, Request};

use super::panics::say;
use crate::declared::{Declared, Misfit, MisfitKind, Offering};
use crate::revision::Grant;

/// The header of the `abi_stable` in use.
static HEADER: AbiHeader = AbiHeader::VALUE;

/// What the check needs of a revision, and the library layouts that have passed it.
pub(super) struct Layouts {
    /// The revision's name.
    revision: &'static str,
    /// The crate that its libraries are built with.
    package: &'static str,
    /// The comparison from the revision's crate: ours, theirs.
    compare: fn(&'static TypeLayout, &'static TypeLayout) -> Result<(), String>,
    /// The layouts' addresses, which stay valid because images are never unmapped. 0 is a free place. There is no lock, because a fork may come
    /// while another thread checks. If no place is free, the layout is checked each time.
    checked: [AtomicUsize; CHECKED],
}

/// How many libraries of a revision are remembered as checked.
const CHECKED: usize = 64;

impl Layouts {
    pub(super) const fn new(
        revision: &'static str,
        package: &'static str,
        compare: fn(&'static TypeLayout, &'static TypeLayout) -> Result<(), String>,
    ) -> Self {
        Layouts { revision, package, compare, checked: [const { AtomicUsize::new(0) }; CHECKED] }
    }

    /// What a library gets if it unwinds and its layout passes: `root`, of the type that `ours` describes.
    pub(super) fn grant<T: 'static>(
        &self,
        request: &Request,
        library: &str,
        ours: &'static TypeLayout,
        root: impl FnOnce() -> &'static T,
    ) -> Result<Grant, String> {
        if request.flags & BUILT_TO_UNWIND == 0 {
            return Err(aborts(library, crate::VERSION));
        }
        self.check(request, library, ours)?;
        Ok(Grant {
            header: std::ptr::from_ref(&HEADER).addr(),
            layout: std::ptr::from_ref(ours).addr(),
            root: std::ptr::from_ref(root()).addr(),
        })
    }

    fn check(&self, request: &Request, library: &str, ours: &'static TypeLayout) -> Result<(), String> {
        let Layouts { revision, package, .. } = self;
        if request.header.is_null() || request.layout.is_null() {
            return Err(format!(
                "{library} asks for {revision} without the layout of its types: build it with a released {package}"
            ));
        }
        let address = request.layout.addr();
        if self.checked.iter().any(|checked| checked.load(Ordering::Relaxed) == address) {
            return Ok(());
        }
        // SAFETY: the contract of `Request`: the header is a plain C record that lives as long as the process.
        let header = unsafe { &*request.header.cast::<AbiHeader>() };
        if !header.is_valid() {
            return Err(format!(
                "{library} is built with abi_stable {}.{}, and this DSS {} with {}.{}: build the library with the {package} \
                 of this DSS",
                header.abi_major,
                header.abi_minor,
                crate::VERSION,
                HEADER.abi_major,
                HEADER.abi_minor,
            ));
        }
        // SAFETY: the header says that `TypeLayout` is the same type on both sides. It lives as long as the process.
        let theirs = unsafe { &*request.layout.cast::<TypeLayout>() };
        (self.compare)(ours, theirs).map_err(|details| {
            if std::env::var_os("DSS_LOG").is_some() {
                say(format_args!("darksidesync: layout check of {library}:\n{details}"));
            }
            format!(
                "{library}: its types of revision {revision} differ from those of this DSS {}: build the library with a \
                 released {package} (set DSS_LOG for the details)",
                crate::VERSION
            )
        })?;
        let keep = |place: &AtomicUsize| {
            place.compare_exchange(0, address, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        self.checked.iter().any(keep);
        Ok(())
    }
}

/// What these revisions demand of a library's declaration: [`crate::declared::FitsFn`].
pub(super) fn fits(declared: &Declared, offering: &Offering) -> Result<(), Misfit> {
    let who = declared.who();
    let Offering { version: dss, abi_stable, .. } = offering;
    if !declared.unwinds {
        return Err(Misfit::new(MisfitKind::Build, aborts(who, dss)));
    }
    if declared.abi_stable == *abi_stable {
        return Ok(());
    }
    let advice = if numbers(&declared.abi_stable) > numbers(abi_stable) {
        "upgrade DSS"
    } else {
        "build the library with the dss-abi released with this DSS"
    };
    let sentence = format!(
        "{who} is built with abi_stable {}, and this DSS {dss} reads abi_stable {abi_stable}: {advice}",
        declared.abi_stable
    );
    Err(Misfit::new(MisfitKind::Build, sentence))
}

/// The message for a library in which a panic ends the process.
fn aborts(library: impl Display, dss: impl Display) -> String {
    format!(
        "{library} is built with panic = \"abort\", and this DSS {dss} serves only libraries in which a panic can be caught: \
         build the library with panic = \"unwind\""
    )
}

/// The numbers of a short version, for comparing.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|number| number.parse().ok()).collect()
}
