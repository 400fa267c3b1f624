//! says: `library!` has the field `functions` twice
use dss_abi_v2::*;

library! {
    functions: {},
    version: "1.0.0",
    name: "wrong",
    requires: "^2.1",
    functions: {},
}
