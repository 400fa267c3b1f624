//! says: `Door` cannot be made from a Lua value
//! says: for a type with `object!`, take `ObjectRef<T>`
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
object! { Door as "door" }
fn wrong(_: &Library, _door: Door) {}
