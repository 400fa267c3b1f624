//! says: is not a method that Lua can call
//! says: the second must be `&Library` or `Library`, even if unused
use dss_abi_v2::*;

struct Door;

object! {
    Door as "door",
    methods: {
        wrong, // at: wrong
    },
}

impl Door {
    fn wrong(&self) {}
}
