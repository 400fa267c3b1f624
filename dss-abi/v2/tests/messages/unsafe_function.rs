//! says: is not a function that Lua can call
//! says: it must not be `unsafe`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

unsafe fn wrong(_: &Library) {}
