//! says: `library!` has the field `version` twice
use dss_abi_v2::*;

library! {
    version: "1.0.0",
    name: "wrong",
    requires: "^2.1",
    version: "1.0.1",
}
