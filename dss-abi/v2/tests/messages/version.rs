//! says: the `version` in `library!` is "1.0", which is not a semantic version: write three numbers, as in "1.0.0"
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0",
    requires: "^2.1",
}
