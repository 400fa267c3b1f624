//! says: Callback` cannot be made from a Lua value
//! says: take `String`, not `&str`, and `Callback`, not `&Callback`
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
