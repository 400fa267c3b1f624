//! says: `&str` cannot be made from a Lua value
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        "shout" => loud::shout, // at: loud::shout
    },
}

mod loud {
    pub fn shout(_: &dss_abi_v2::Library, _text: &str) {}
}
