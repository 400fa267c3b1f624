//! says: Rest` cannot be made of a value of Lua
//! says: any number of arguments as `Rest`, the last parameter
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
