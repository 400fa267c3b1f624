//! says: `Inner` cannot be made into a Lua value
//! says: a struct becomes a table with `#[derive(IntoValue)]`
use dss_abi_v2::*;

struct Inner;

#[derive(IntoValue)]
pub struct Options {
    pub first: String,
    pub inner: Inner, // at: Inner
}
