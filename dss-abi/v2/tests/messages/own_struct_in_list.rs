//! says: `Options` cannot be made from a Lua value
//! says: a struct with `#[derive(FromValue)]`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

struct Options;
fn wrong(_: &Library, _first: u8, _options: Vec<Option<Options>>) {}
