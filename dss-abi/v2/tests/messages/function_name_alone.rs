//! says: `functions` has the name "shout" without a function: write `"shout" => path::to::function`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: { "shout" },
}
