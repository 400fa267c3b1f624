//! says: `()` before another value is not nil, but nothing at all: write `Nil` instead
//! says: dss_abi_v2::Library::deliver::<((), &
use dss_abi_v2::*;

library! {
    name: "wrong",
    version: "1.0.0",
    requires: "^2.1",
    functions: { tell },
}

fn tell(library: &Library, callback: Callback) -> Result<()> {
    library.deliver(&callback, ((), "no such file"))?;
    Ok(())
}
