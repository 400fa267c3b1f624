//! What fits, and the sentences of what does not.
#![cfg(not(loom))]

mod images;

use dss_impl::declared::{Declared, Known, MisfitKind, OfferedRevision, Offering, Status, fits, parse_for};
use dss_impl::registry::{self, REVISIONS, known, name_of};
use images::*;
use semver::{Version, VersionReq};

fn declared() -> Declared {
    parse_for(&elf(&[(".dss.library", &Record::new().bytes())]), &linux()).unwrap()
}

/// A DSS of that version that offers the revisions of these numbers.
fn offering(version: &str, revisions: &[u32]) -> Offering {
    let offered = |number: &u32| OfferedRevision {
        number: *number,
        name: name_of(*number),
        version: "1.0.0".into(),
        status: Status::Supported,
    };
    Offering {
        version: Version::parse(version).unwrap(),
        abi_stable: "0.11".to_owned(),
        revisions: revisions.iter().map(offered).collect(),
    }
}

#[test]
fn this_dss_offers_what_it_publishes() {
    let here = registry::offering();
    assert_eq!(here.version.to_string(), dss_impl::VERSION);
    let names: Vec<_> = here.revisions.iter().map(|offered| offered.name.as_str()).collect();
    assert_eq!(names, REVISIONS.iter().map(|revision| revision.name).collect::<Vec<_>>());
    assert!(REVISIONS.iter().all(|revision| here.status(revision.number) == Some(revision.status)));
    assert_eq!(here.status(99), None);
}

#[test]
fn a_misfit_names_both_sides() {
    let good = declared();
    let dss = offering("2.1.0", &[1, 2]);
    let misfit = |declared: &Declared, wanted: Option<&str>| {
        let wanted = wanted.map(|wanted| VersionReq::parse(wanted).unwrap());
        let misfit = fits(declared, &dss, wanted.as_ref(), known()).unwrap_err();
        (misfit.kind(), misfit.to_string())
    };
    fits(&good, &dss, None, known()).unwrap();
    fits(&good, &dss, Some(&VersionReq::parse("^1.2").unwrap()), known()).unwrap();

    let library = Declared { unwinds: false, ..good.clone() };
    let sentence = "fswatch 1.2.3 is built with panic = \"abort\", and this DSS 2.1.0 serves only libraries in which a panic \
                    can be caught: build the library with panic = \"unwind\"";
    assert_eq!(misfit(&library, None), (MisfitKind::Build, sentence.to_owned()));

    for (version, advice) in
        [("0.12", "upgrade DSS"), ("0.9", "build the library with the dss-abi released with this DSS")]
    {
        let library = Declared { abi_stable: version.to_owned(), ..good.clone() };
        let sentence = format!(
            "fswatch 1.2.3 is built with abi_stable {version}, and this DSS 2.1.0 reads abi_stable 0.11: {advice}"
        );
        assert_eq!(misfit(&library, None), (MisfitKind::Build, sentence));
    }

    let offered = "v1 (1.0.0), v2 (1.0.0)";
    for (revision, name, advice) in
        [(9, "v9", "upgrade DSS"), (0, "c1v0", "build the library for one of these revisions")]
    {
        let library = Declared { revision, ..good.clone() };
        let sentence = format!(
            "fswatch 1.2.3 wants revision {name} (1.0.0), and this DSS 2.1.0 offers {offered}: {advice}"
        );
        assert_eq!(misfit(&library, None), (MisfitKind::Revision, sentence));
    }

    // A preview serves what was built against the same one, and nothing once it is over.
    let preview = |built: &str, offered: &str| {
        let mut dss = dss.clone();
        dss.revisions[1].version = offered.to_owned();
        fits(&Declared { interface: built.to_owned(), ..good.clone() }, &dss, None, known())
    };
    preview("0.1.0", "0.1.0").unwrap();
    preview("0.1.0", "0.1.3").unwrap();
    for offered in ["0.2.0", "1.0.0"] {
        let sentence = format!(
            "fswatch 1.2.3 is built for an old preview of revision v2 (0.1.0), and this DSS 2.1.0 offers v1 (1.0.0), v2 \
             ({offered}): build the library again with the header of this DSS"
        );
        assert_eq!(preview("0.1.0", offered).unwrap_err().to_string(), sentence);
    }
    let newer = preview("0.2.0", "0.1.0").unwrap_err().to_string();
    assert!(newer.ends_with("offers v1 (1.0.0), v2 (0.1.0): upgrade DSS"), "{newer}");

    for (requires, advice) in [
        ("^2.3", "upgrade DSS"),
        ("^3", "upgrade DSS"),
        (">2.1.0", "upgrade DSS"),
        ("^1", "upgrade fswatch"),
        ("<2.1", "upgrade fswatch"),
    ] {
        let library = Declared {
            requires: VersionReq::parse(requires).unwrap(),
            file: Some("/opt/fswatch.so".into()),
            ..good.clone()
        };
        let sentence = format!(
            "fswatch 1.2.3 (/opt/fswatch.so) requires DSS {requires}, and this is DSS 2.1.0: {advice}"
        );
        assert_eq!(misfit(&library, None), (MisfitKind::Requires, sentence));
    }

    for (wanted, advice) in
        [("^1.3", "upgrade fswatch"), ("^0.9", "ask for an installed version, or install an older fswatch")]
    {
        let sentence = format!("fswatch {wanted} is wanted, but DSS 2.1.0 found fswatch 1.2.3: {advice}");
        assert_eq!(misfit(&good, Some(wanted)), (MisfitKind::Wanted, sentence));
    }
}

/// What v2 demands of how a library is built, it demands of its own.
#[test]
fn a_library_is_held_to_what_its_own_revision_demands() {
    let dss = offering("2.1.0", &[1, 2]);
    let c = Declared { revision: 9, abi_stable: String::new(), unwinds: false, ..declared() };
    assert_eq!(
        fits(&c, &dss, None, known()).unwrap_err().to_string(),
        "fswatch 1.2.3 wants revision v9 (1.0.0), and this DSS 2.1.0 offers v1 (1.0.0), v2 (1.0.0): upgrade DSS"
    );
    let nine = [Known { number: 9, name: "c9v0", marker: None, fits: None }];
    fits(&c, &offering("2.1.0", &[9]), None, &nine).unwrap();
    assert_eq!(
        fits(&c, &dss, None, &nine).unwrap_err().to_string(),
        "fswatch 1.2.3 wants revision c9v0 (1.0.0), and this DSS 2.1.0 offers v1 (1.0.0), v2 (1.0.0): upgrade DSS"
    );
    let fussy = Known { fits: known()[2].fits, ..nine[0] };
    assert_eq!(fits(&c, &offering("2.1.0", &[9]), None, &[fussy]).unwrap_err().kind(), MisfitKind::Build);
}

#[test]
fn a_pre_release_counts_as_its_release() {
    let fit = |dss: &str, requires: &str| {
        let requires = VersionReq::parse(requires).unwrap();
        let declared = Declared { requires, ..declared() };
        fits(&declared, &offering(dss, &[2]), None, known()).is_ok()
    };
    for (dss, requires) in [
        ("2.1.0-rc.1", "^2.0"),
        ("2.1.0-rc.1", "^2.1"),
        ("2.1.0-rc.1", "*"),
        ("2.1.0-rc.2", "^2.1.0-rc.1"),
        ("2.1.0", "^2.1.0-rc.1"),
        ("2.2.0-dev", "^2.1.0-rc.1"),
    ] {
        assert!(fit(dss, requires), "{dss} for {requires}");
    }
    for (dss, requires) in [
        ("3.0.0-alpha", "^2.0"),
        ("3.0.0-alpha", "<3"),
        ("2.1.0-rc.1", "^2.1.0-rc.2"),
        ("2.1.0-rc.1", "^2.2"),
        ("2.1.0-rc.1", "=2.1.0-rc.2"),
    ] {
        assert!(!fit(dss, requires), "{dss} for {requires}");
    }
}
