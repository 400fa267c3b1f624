//! says: a function that Lua calls has at most 8 parameters of its own
//! says: combine several in one struct with `#[derive(FromValue)]`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

#[allow(clippy::too_many_arguments)]
fn wrong(_: &Library, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8, _: u8) {}
