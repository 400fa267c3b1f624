//! says: `std::result::Result<Answer, dss_abi_v2::Error>` cannot be returned to Lua
//! says: a `Result<T, E>` of these whose
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
fn wrong(_: &Library) -> Result<Answer> {
    Ok(Answer)
}
