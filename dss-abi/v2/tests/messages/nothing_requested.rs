//! says: `()` before another value is not nil, but nothing at all: write `Nil` instead
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: { ask },
}

fn ask(library: &Library, callback: Callback) {
    drop(library.request_async::<()>(&callback, (1, (), "no such file"), Deadline::none()));
}
