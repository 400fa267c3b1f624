//! says: is not a method that Lua can call
//! says: the second is `&Library` or `Library`, also if it does not use it
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
