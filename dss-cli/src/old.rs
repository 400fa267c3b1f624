//! Modules before 2.1.0, which do not declare anything: what they are known to offer.

use dss_impl::declared::{DeclaredModule, OfferedRevision, Offering, Platform, Status};
use semver::Version;

/// What an old module offers, by the names that it uses. 2.0.0 introduced the rendezvous, with v1. Modules before it offer only
/// 1.0's interface.
pub(crate) fn module(uses: u32, platform: &Platform) -> DeclaredModule {
    let offered = |number: u32, name: &str| OfferedRevision {
        number,
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        status: Status::Supported,
    };
    let (version, revisions) = if uses >= 1 {
        (Version::new(2, 0, 0), vec![offered(0, "c1v0"), offered(1, "v1")])
    } else {
        (Version::new(1, 0, 0), vec![offered(0, "c1v0")])
    };
    DeclaredModule {
        lua: "an unknown Lua".to_owned(),
        compiler: "unknown".to_owned(),
        offering: Offering { version, abi_stable: "0.11".to_owned(), revisions },
        platform: platform.clone(),
        file: None,
    }
}
