//! says: `requires` in `library!` is "latest", which says no versions of DSS: write a requirement as cargo's
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "latest",
}
