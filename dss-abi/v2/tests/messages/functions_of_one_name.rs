//! says: two functions of `library!` have the name "greet"
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: { other, greet, "greet" => other },
}

fn greet(_: &Library) {}
fn other(_: &Library) {}
