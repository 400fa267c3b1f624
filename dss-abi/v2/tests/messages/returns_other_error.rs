//! says: cannot be returned to Lua
//! says: `E` is `dss_abi_v2::Error` or implements `Display`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

struct Trouble;
fn wrong(_: &Library) -> Result<u8, Trouble> {
    Ok(1)
}
