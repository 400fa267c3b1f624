//! says: `Door` cannot be made of a value of Lua
//! says: a type with `object!` is taken as `ObjectRef<T>`
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
