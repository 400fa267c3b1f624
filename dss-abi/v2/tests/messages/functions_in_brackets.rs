//! says: `functions` of `library!` is a list in braces
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: [greet],
}

fn greet(_: &Library) {}
