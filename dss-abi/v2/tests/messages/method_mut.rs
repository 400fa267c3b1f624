//! says: is not a method that Lua can call
//! says: its first parameter must be `&self`, because Lua shares its objects
use dss_abi_v2::*;

struct Door;

object! {
    Door as "door",
    methods: {
        wrong, // at: wrong
    },
}

impl Door {
    fn wrong(&mut self, _: &Library) {}
}
