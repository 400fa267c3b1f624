//! says: `Rest` takes all remaining arguments, so no parameter can follow it: make it the last parameter
//! says: {wrong}
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong,
    },
}

fn wrong(_: &Library, _rest: Rest, _more: Option<u8>) {}
