//! says: `&str` cannot be made of a value of Lua
//! says: take `String` and not `&str`
use dss_abi_v2::*;

struct Door;

object! {
    Door as "door",
    methods: {
        wrong, // at: wrong
    },
}

impl Door {
    fn wrong(&self, _: &Library, _name: &str) {}
}
