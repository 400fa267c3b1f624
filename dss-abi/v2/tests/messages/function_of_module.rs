//! says: a function of another module needs the name in front
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: { loud::shout },
}

mod loud {
    pub fn shout(_: &dss_abi_v2::Library) {}
}
