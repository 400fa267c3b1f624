//! Whether what a library declares fits this DSS and who wants to load it. A refusal is one sentence, which names both
//! sides and says what to do.

use std::cmp::Ordering;
use std::error::Error;
use std::fmt;

use dss_abi::RevisionStatus;
use semver::{Comparator, Prerelease, Version, VersionReq};

use super::Declared;
use crate::rendezvous::{REVISIONS, Revision};

/// The version of `abi_stable` whose layouts this DSS can check, as a library declares it.
pub const ABI_STABLE: &str = "0.11";

/// What a DSS has for libraries: this one, or one whose file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offering {
    /// The version of DSS.
    pub version: Version,
    /// The version of `abi_stable` whose layouts it can check, as `0.11`.
    pub abi_stable: String,
    /// The revisions it offers, ascending by number.
    pub revisions: Vec<OfferedRevision>,
}

/// A revision that a DSS offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedRevision {
    /// Its number.
    pub number: u32,
    /// The version of its interface.
    pub version: String,
    /// Whether it is offered without reserve; false for one that is to go.
    pub supported: bool,
}

impl Offering {
    /// What this DSS has.
    ///
    /// # Panics
    /// Not at all: its own version is one.
    #[must_use]
    pub fn here() -> Self {
        let offered = |revision: &&Revision| OfferedRevision {
            number: revision.number,
            version: revision.version.to_owned(),
            supported: revision.status == RevisionStatus::Supported,
        };
        Offering {
            version: Version::parse(crate::VERSION).expect("cargo takes no other version"),
            abi_stable: ABI_STABLE.to_owned(),
            revisions: REVISIONS.iter().map(offered).collect(),
        }
    }

    /// Whether a library's revision is offered, and to go.
    #[must_use]
    pub fn is_deprecated(&self, revision: u32) -> bool {
        self.revisions.iter().any(|offered| offered.number == revision && !offered.supported)
    }
}

impl OfferedRevision {
    /// As libraries and sentences name it: `c1v0` for 1.0's, `v2`.
    #[must_use]
    pub fn name(&self) -> String {
        let known = REVISIONS.iter().find(|revision| revision.number == self.number);
        known.map_or_else(|| format!("v{}", self.number), |revision| revision.name.to_owned())
    }
}

/// What does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MisfitKind {
    /// The library is built so that a panic ends the process.
    Panic,
    /// Its layouts are described in another way than this DSS can read.
    AbiStable,
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

/// Whether `declared` can be loaded by a DSS that has `offering`, for a caller who wants the versions `wanted` of it. A pre-release counts as the release that it leads to, unless the requirement
/// names a pre-release of the same release: then their order counts. [any-thread]
///
/// # Errors
/// The first that does not fit, of: panic strategy, `abi_stable`, revision, version of DSS, version of the library.
pub fn fits(declared: &Declared, offering: &Offering, wanted: Option<&VersionReq>) -> Result<(), Misfit> {
    let who = Who(declared);
    let Offering { version: dss, abi_stable, revisions } = offering;
    let misfit = |kind, sentence| Err(Misfit { kind, sentence });
    if !declared.unwinds {
        let sentence = format!(
            "{who} is built with panic = \"abort\", and this DSS {dss} serves only libraries in which a panic can be \
             caught: build the library with panic = \"unwind\""
        );
        return misfit(MisfitKind::Panic, sentence);
    }
    if declared.abi_stable != *abi_stable {
        let advice = if numbers(&declared.abi_stable) > numbers(abi_stable) {
            "upgrade DSS"
        } else {
            "build the library with a dss-abi of this DSS's time"
        };
        let sentence = format!(
            "{who} is built with abi_stable {}, and this DSS {dss} reads abi_stable {abi_stable}: {advice}",
            declared.abi_stable
        );
        return misfit(MisfitKind::AbiStable, sentence);
    }
    let served = |revision: &OfferedRevision| {
        revision.number == declared.revision && serves(&revision.version, &declared.interface)
    };
    if !revisions.iter().any(served) {
        let each = |revision: &OfferedRevision| format!("{} ({})", revision.name(), revision.version);
        let offers = revisions.iter().map(each).collect::<Vec<_>>().join(", ");
        let newest = revisions.iter().map(|revision| revision.number).max();
        let known = revisions.iter().any(|revision| revision.number == declared.revision);
        let advice = if known || Some(declared.revision) > newest {
            "upgrade DSS"
        } else {
            "build the library for one of these revisions"
        };
        let sentence = format!(
            "{who} wants revision v{} ({}), and this DSS {dss} offers {offers}: {advice}",
            declared.revision, declared.interface
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
            format!("ask for a version that is there, or install an older {name}")
        };
        let sentence = format!("{name} {wanted} is wanted, and what DSS {dss} found is {who}: {advice}");
        return misfit(MisfitKind::Wanted, sentence);
    }
    Ok(())
}

/// Whether a revision whose interface has the version `offered` serves a library that was built against `built`: an interface
/// grows within its major version. What is no version is for the rendezvous to refuse.
fn serves(offered: &str, built: &str) -> bool {
    match (Version::parse(offered), Version::parse(built)) {
        (Ok(offered), Ok(built)) => offered.major == built.major && offered >= built,
        _ => true,
    }
}

/// The library as sentences name it.
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

/// Semver, but for pre-releases. Its own rule is made for choosing among many, where nobody should get a pre-release by
/// surprise; here there is one, which somebody installed, and by that rule DSS 2.1.0-rc.1 would serve nobody.
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

/// Whether a newer version than this, which does not match, is what would. (Otherwise it is an older one.)
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

/// The numbers of a version in short, for comparing.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map_while(|number| number.parse().ok()).collect()
}
