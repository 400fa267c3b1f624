//! says: `library!` has no field `function`: its fields are `name`, `version` and `requires`, and optionally `functions`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    function: { greet },
}

fn greet(_: &Library) {}
