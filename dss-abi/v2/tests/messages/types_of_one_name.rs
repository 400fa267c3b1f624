//! says: two types in `objects` of `library!` have the name "door"
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    objects: [Door, Gate],
}

struct Door;
object! { Door as "door" }
struct Gate;
object! { Gate as "door" }
