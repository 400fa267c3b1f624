//! says: cannot be returned to Lua
//! says: an `async fn` returns a future, which Lua cannot await
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

async fn wrong(_: &Library) -> u8 {
    1
}
