//! says: is not a function that Lua can call
//! says: wanted `fn(&Library, ...) -> ...`
//! says: its first parameter must be `&Library` or `Library`, even if unused
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

fn wrong(_name: String) {}
