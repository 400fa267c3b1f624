//! says: `library!` lacks the field `requires`: write `requires: "^2.1"`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
}
