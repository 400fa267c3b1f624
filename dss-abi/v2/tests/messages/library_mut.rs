//! says: is not a function that Lua can call
//! says: its first parameter must be `&Library` or `Library`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

fn wrong(_: &mut Library) {}
