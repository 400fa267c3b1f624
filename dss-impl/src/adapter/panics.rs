//! What happens after a panic of DSS's own code during a library's call, and how the message for it is printed.

use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs DSS's own code for a call whose refusal means that nothing was taken, so that the library frees it. After a panic
/// it is unknown whether it was taken. The process then ends with a message, because the memory could be freed twice.
pub(super) fn answer_or_abort<T>(run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| broke_off())
}

/// Runs DSS's own code for a call that an exception of another language may leave. Such an exception passes through. A panic ends the
/// process with a message.
pub(super) fn abort_on_panic<T>(run: impl FnOnce() -> T) -> T {
    struct Guard;

    impl Drop for Guard {
        #[cold]
        fn drop(&mut self) {
            if std::thread::panicking() {
                broke_off();
            }
        }
    }

    let guard = Guard;
    let result = run();
    std::mem::forget(guard);
    result
}

fn broke_off() -> ! {
    say(format_args!(
        "darksidesync {}: a panic interrupted a delivery, and DSS cannot know whether it was taken: the process is aborted, \
         so that nothing is freed twice",
        crate::VERSION,
    ));
    std::process::abort()
}

/// Runs DSS's own code for any other call. After a panic the library gets `panicked`, a code that its revision does not use. If a refusal
/// means that nothing was taken, use [`answer_or_abort`].
pub(super) fn answer<T, C>(panicked: C, run: impl FnOnce() -> Result<T, C>) -> Result<T, C> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(panicked))
}

/// Prints a line to stderr and ignores errors. `eprintln` would panic on one.
pub(super) fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
