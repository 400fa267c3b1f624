//! says: Door>` cannot be a parameter of a function that Lua calls
//! says: an `ObjectRef<T>` of a type with `object!`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

struct Door;
fn wrong(_: &Library, _door: ObjectRef<'_, Door>) {}
