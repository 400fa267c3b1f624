//! says: the field `version` of `library!` is a value, followed by a comma
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0"
    requires: "^2.1",
}
