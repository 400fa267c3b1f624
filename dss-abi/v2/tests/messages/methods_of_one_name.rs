//! says: two methods of `object!` have the name "open"
use dss_abi_v2::*;

struct Door;
object! { Door as "door", methods: { open, "open" => Door::other } }

impl Door {
    fn open(&self, _: &Library) {}
    fn other(&self, _: &Library) {}
}
