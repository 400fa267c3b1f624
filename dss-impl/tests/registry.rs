//! The list of revisions, and what is made of it.
#![cfg(not(loom))]

use dss_abi::{REGISTRY_KEY, Rendezvous};
use dss_impl::registry::{REVISIONS, by_number, keys, known, name_of, offering, rendezvous};
use dss_impl::revision::Found;

#[test]
fn revisions_ascend_and_each_has_a_name_of_its_own() {
    assert!(REVISIONS.windows(2).all(|two| two[0].number < two[1].number));
    for revision in REVISIONS {
        let number = revision.number;
        assert_eq!(by_number(number).map(|found| found.name), Some(revision.name));
        assert_eq!(name_of(number), revision.name);
        assert_eq!(REVISIONS.iter().filter(|other| other.name == revision.name).count(), 1);
    }
    assert!(by_number(99).is_none());
    assert_eq!(name_of(99), "v99");
}

#[test]
fn what_is_known_and_offered_is_the_list() {
    let names: Vec<_> = REVISIONS.iter().map(|revision| revision.name).collect();
    assert_eq!(names, known().iter().map(|known| known.name).collect::<Vec<_>>());
    assert_eq!(names, offering().revisions.iter().map(|offered| &*offered.name).collect::<Vec<_>>());
}

/// What is found by one way is not found by another.
#[test]
fn each_revision_is_found_in_its_own_way() {
    for revision in REVISIONS {
        let by_name = known().iter().find(|known| known.number == revision.number).unwrap();
        let ways = (by_name.marker.is_some(), revision.grant().is_some(), revision.open().is_some());
        let expected = match revision.found {
            Found::RegistryKey { .. } => (true, false, false),
            Found::Rendezvous { .. } => (true, true, false),
            Found::File { grant, .. } => (false, grant.is_some(), true),
        };
        assert_eq!(ways, expected, "{}", revision.name);
        assert_eq!(by_name.fits.is_some(), revision.open().is_some(), "{}", revision.name);
    }
}

fn owns_something<T>(_: &T) -> bool {
    std::mem::needs_drop::<T>()
}

#[test]
fn libraries_find_1_0s_table_and_the_rendezvous() {
    assert!(!owns_something(&keys()), "a Lua error may skip it");
    let keys: Vec<_> = keys().collect();
    assert_eq!(keys.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["DSS API 1v0", "DSS Rendezvous"]);
    assert_eq!(keys[1].1, std::ptr::from_ref::<Rendezvous>(rendezvous()).cast());
    let api: *const dss_abi_c1v0::dss_api_1v0_t = keys[0].1.cast();
    // SAFETY: what lies under 1.0's key.
    let version = unsafe { &*api }.version;
    // SAFETY: a C string that is as old as the process.
    let version = unsafe { std::ffi::CStr::from_ptr(version) };
    assert_eq!((version.to_str(), REGISTRY_KEY), (Ok("DSS API 1v0"), dss_abi_c1v0::DSS_REGISTRY_NAME));
}
