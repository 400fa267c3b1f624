//! flags: -C panic=abort
//! says: a DarkSideSync library must be built with panic = "unwind"
//! says: remove `-C panic=abort`
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
}
