//! says: Callback` cannot be made of a value of Lua
//! says: take `String` and not `&str`, `Callback` and not `&Callback`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

fn wrong(_: &Library, _callback: &Callback) {}
