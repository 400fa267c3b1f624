//! Calls of the author's code. A panic in it is caught here.

use std::any::Any;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Runs the author's code. If it panics, the error is the message of the panic.
pub(crate) fn guard<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(sentence)
}

/// Drops a value of the author. A panic in its destructor is caught.
pub(crate) fn drop_quietly<T>(value: T) {
    run_quietly(move || drop(value));
}

/// Runs the author's code, and ignores a panic.
pub(crate) fn run_quietly(run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        // To drop it could panic again.
        std::mem::forget(panic);
    }
}

/// The message of a panic.
fn sentence(panic: Box<dyn Any + Send>) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it gave no message".to_owned());
    drop_quietly(panic);
    text
}
