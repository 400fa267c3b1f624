//! says: `requires` in `library!` is "latest", which is not a version requirement: write one as in Cargo.toml
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "latest",
}
