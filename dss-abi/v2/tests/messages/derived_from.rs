//! says: `Inner` cannot be made from a Lua value
//! says: a struct with `#[derive(FromValue)]`
use dss_abi_v2::*;

struct Inner;

#[derive(FromValue)]
pub struct Options {
    pub first: String,
    pub inner: Inner, // at: Inner
}
