//! says: `Answer` cannot be returned to Lua
//! says: a struct becomes a table with `#[derive(IntoValue)]`, and an object with methods with `object!`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: {
        wrong, // at: wrong
    },
}

struct Answer;
fn wrong(_: &Library) -> Answer {
    Answer
}
