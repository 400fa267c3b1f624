//! The frozen layouts.

use abi_stable::StableAbi;
use dss_abi_v2::contract::ServiceObject;
use dss_abi_v2::{check_layouts, layout};

#[test]
fn the_root_fits_itself() {
    let root = <ServiceObject as StableAbi>::LAYOUT;
    assert_eq!(check_layouts(root, root), Ok(()));
}

#[test]
fn all_of_the_contract_is_described() {
    let dump = layout::dump();
    assert!(dump.starts_with("revision v2, interface 1.0.0, 64-bit\n"), "{}", dump);
    for name in [
        "RawRegistration",
        "RawClass",
        "RawValue",
        "RawEntry",
        "RawRequest",
        "RawAnswer",
        "Service_TO",
        "deliver_many",
    ] {
        assert!(dump.contains(name), "{} is missing in {}", name, dump);
    }
    assert!(dump.contains("    Code::MALFORMED: 14\n"));
}
