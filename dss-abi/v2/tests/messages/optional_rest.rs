//! says: Rest` cannot be made from a Lua value
//! says: for any number of arguments, take `Rest` as the last parameter
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

fn wrong(_: &Library, _rest: Option<Rest>) {}
