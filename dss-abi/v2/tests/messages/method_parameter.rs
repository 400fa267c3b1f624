//! says: `&str` cannot be made from a Lua value
//! says: take `String`, not `&str`
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
