//! Whether what a library declares fits a DSS and the caller that loads it. A refusal is one sentence, which names both sides and
//! says what to do.
//!
//! What only some revisions demand is in their own [`FitsFn`]. What all revisions demand is here.

use std::cmp::Ordering;
use std::error::Error;
use std::fmt;

use semver::{Comparator, Prerelease, Version, VersionReq};

use super::known::{by_number, name_of};
use super::{Declared, Known, Status};

/// What a revision demands of a library that declares it, in addition to what all revisions demand. [any-thread]
pub type FitsFn = fn(declared: &Declared, offering: &Offering) -> Result<(), Misfit>;

/// What a DSS offers to libraries: this one, or one whose file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offering {
    /// The version of DSS.
    pub version: Version,
    /// The version of `abi_stable` whose layouts it can check, such as `0.11`.
    pub abi_stable: String,
    /// The revisions it offers, ascending by number.
    pub revisions: Vec<OfferedRevision>,
}

/// A revision that a DSS offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedRevision {
    /// Its number.
    pub number: u32,
    /// Its name. If that is not known here, the result of [`super::unnamed`].
    pub name: String,
    /// The version of its interface.
    pub version: String,
    /// How long it will be offered.
    pub status: Status,
}

impl Offering {
    /// How long a revision will be offered, if it is offered now.
    #[must_use]
    pub fn status(&self, revision: u32) -> Option<Status> {
        self.revisions.iter().find(|offered| offered.number == revision).map(|offered| offered.status)
    }
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MisfitKind {
    /// The library is not built as its revision demands.
    Build,
    /// Its revision is not offered.
    Revision,
    /// It requires another version of DSS.
    Requires,
    /// Its caller wants another version of it.
    Wanted,
}

/// Why a library is not loaded. Its text is the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    kind: MisfitKind,
    sentence: String,
}

impl Misfit {
    /// The sentence names both sides, and says what to do.
    pub(crate) fn new(kind: MisfitKind, sentence: String) -> Self {
        Misfit { kind, sentence }
    }

    /// What does not fit.
    #[must_use]
    pub fn kind(&self) -> MisfitKind {
        self.kind
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl Error for Misfit {}

/// Whether a DSS with `offering` can load `declared`, for a caller who wants the versions `wanted` of it. `known` are
/// the revisions that the library may be of. A pre-release counts as its release, unless the requirement names a
/// pre-release of the same release: then their order counts. [any-thread]
///
/// # Errors
/// The first of these that does not fit: what its revision demands, revision, version of DSS, version of the library.
pub fn fits(
    declared: &Declared,
    offering: &Offering,
    wanted: Option<&VersionReq>,
    known: &[Known],
) -> Result<(), Misfit> {
    let who = declared.who();
    let Offering { version: dss, revisions, .. } = offering;
    let misfit = |kind, sentence| Err(Misfit::new(kind, sentence));
    if let Some(fits) = by_number(known, declared.revision).and_then(|revision| revision.fits) {
        fits(declared, offering)?;
    }
    let served = |revision: &OfferedRevision| {
        revision.number == declared.revision && serves(&revision.version, &declared.interface)
    };
    if !revisions.iter().any(served) {
        let each = |revision: &OfferedRevision| format!("{} ({})", revision.name, revision.version);
        let offers = revisions.iter().map(each).collect::<Vec<_>>().join(", ");
        let newest = revisions.iter().map(|revision| revision.number).max();
        let offered = revisions.iter().any(|revision| revision.number == declared.revision);
        let built_for_preview = |revision: &OfferedRevision| {
            revision.number == declared.revision && is_preview_of(&declared.interface, &revision.version)
        };
        if revisions.iter().any(built_for_preview) {
            let sentence = format!(
                "{who} is built for an old preview of revision {} ({}), and this DSS {dss} offers {offers}: build the library \
                 again with the header of this DSS",
                name_of(known, declared.revision),
                declared.interface
            );
            return misfit(MisfitKind::Revision, sentence);
        }
        let advice = if offered || Some(declared.revision) > newest {
            "upgrade DSS"
        } else {
            "build the library for one of these revisions"
        };
        let sentence = format!(
            "{who} wants revision {} ({}), and this DSS {dss} offers {offers}: {advice}",
            name_of(known, declared.revision),
            declared.interface
        );
        return misfit(MisfitKind::Revision, sentence);
    }
    if !matches(&declared.requires, dss) {
        let requires = &declared.requires;
        let advice = if wants_newer(requires, dss) {
            "upgrade DSS".to_owned()
        } else {
            format!("upgrade {}", declared.name)
        };
        return misfit(
            MisfitKind::Requires,
            format!("{who} requires DSS {requires}, and this is DSS {dss}: {advice}"),
        );
    }
    if let Some(wanted) = wanted.filter(|wanted| !matches(wanted, &declared.version)) {
        let name = &declared.name;
        let advice = if wants_newer(wanted, &declared.version) {
            format!("upgrade {name}")
        } else {
            format!("ask for an installed version, or install an older {name}")
        };
        let sentence = format!("{name} {wanted} is wanted, but DSS {dss} found {who}: {advice}");
        return misfit(MisfitKind::Wanted, sentence);
    }
    Ok(())
}

/// Whether a revision whose interface has the version `offered` serves a library that was built against `built`. An interface
/// grows within its major version. A preview has major version 0, and grows within its minor version. An invalid version is accepted
/// here, and refused by the rendezvous.
fn serves(offered: &str, built: &str) -> bool {
    match (Version::parse(offered), Version::parse(built)) {
        (Ok(offered), Ok(built)) => {
            let same_preview = built.major > 0 || offered.minor == built.minor;
            offered.major == built.major && same_preview && offered >= built
        }
        _ => true,
    }
}

/// Whether `built` is the version of a preview that came before `offered`.
fn is_preview_of(built: &str, offered: &str) -> bool {
    match (Version::parse(offered), Version::parse(built)) {
        (Ok(offered), Ok(built)) => built.major == 0 && built < offered,
        _ => false,
    }
}

impl Declared {
    /// The library's name in messages.
    pub(crate) fn who(&self) -> impl fmt::Display {
        struct Who<'a>(&'a Declared);

        impl fmt::Display for Who<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", self.0.name, self.0.version)?;
                match &self.0.file {
                    Some(file) => write!(f, " ({})", file.display()),
                    None => Ok(()),
                }
            }
        }

        Who(self)
    }
}

/// Semver's rule, except for pre-releases. Semver is made for choosing among many versions, where a pre-release should not be chosen by
/// surprise. Here there is one, which somebody installed. By Semver's rule DSS 2.1.0-rc.1 would serve no library.
fn matches(requirement: &VersionReq, version: &Version) -> bool {
    if requirement.matches(version) {
        return true;
    }
    let same_release = |comparator: &Comparator| {
        !comparator.pre.is_empty()
            && (comparator.major, comparator.minor, comparator.patch)
                == (version.major, Some(version.minor), Some(version.patch))
    };
    if version.pre.is_empty() || requirement.comparators.iter().any(same_release) {
        return false;
    }
    requirement.matches(&Version::new(version.major, version.minor, version.patch))
}

/// Whether a newer version than this one, which does not match, would match. If not, an older one would.
fn wants_newer(requirement: &VersionReq, version: &Version) -> bool {
    requirement.comparators.iter().any(|comparator| {
        let number = |version: &Version| (version.major, version.minor, version.patch);
        let least = Version {
            pre: Prerelease::clone(&comparator.pre),
            ..Version::new(comparator.major, comparator.minor.unwrap_or(0), comparator.patch.unwrap_or(0))
        };
        let upper = matches!(comparator.op, semver::Op::Less | semver::Op::LessEq);
        !upper
            && match number(&least).cmp(&number(version)) {
                Ordering::Equal => comparator.op == semver::Op::Greater || least.pre > version.pre,
                order => order == Ordering::Greater,
            }
    })
}
