//! says: `()` before another value is no value, and not nil: write `Nil` in its place
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong,
    },
}

fn wrong(_: &Library) -> ((), &'static str) {
    ((), "no such file")
}
