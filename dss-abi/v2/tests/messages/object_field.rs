//! says: `object!` takes a type, its name in Lua, and any of these parts, in this order: `Door as "door", methods: { open,
use dss_abi_v2::*;

struct Door;
object! { Door as "door", method: { open } }

impl Door {
    fn open(&self, _: &Library) {}
}
