//! Calls that Lua makes. Libraries name them by number. A number is valid until its call ends, and only on its thread.

use std::any::TypeId;
use std::cell::Cell;
use std::ptr::null;

use crate::sync::thread_token;

/// A call that is running. It is in the frame that made the call.
struct Link {
    number: u64,
    /// The call that surrounds this one.
    outer: *const Link,
    kind: TypeId,
    of: *const (),
}

thread_local! {
    static INNERMOST: Cell<*const Link> = const { Cell::new(null()) };
    static MADE: Cell<u64> = const { Cell::new(0) };
}

/// How many bits of a number count the calls of a thread. The others name the thread.
const COUNT_BITS: u32 = 40;

fn next_number() -> u64 {
    let made = MADE.get().wrapping_add(1);
    MADE.set(made);
    thread_token() << COUNT_BITS | made & ((1 << COUNT_BITS) - 1)
}

/// Restores the calls as they were before one, even if an exception leaves that one.
struct Entered(*const Link);

impl Drop for Entered {
    fn drop(&mut self) {
        INNERMOST.set(self.0);
    }
}

/// Runs a call under a number. `of` is available while it runs.
pub(crate) fn enter<T: 'static, R>(of: &T, run: impl FnOnce(u64) -> R) -> R {
    let outer = INNERMOST.get();
    let link =
        Link { number: next_number(), outer, kind: TypeId::of::<T>(), of: std::ptr::from_ref(of).cast() };
    let _entered = Entered(outer);
    INNERMOST.set(&raw const link);
    run(link.number)
}

/// Calls `work` with the call of that number. None if no such call is running on this thread.
pub(crate) fn with<T: 'static, R>(number: u64, work: impl FnOnce(&T) -> R) -> Option<R> {
    let mut at = INNERMOST.get();
    // SAFETY: a link is in a frame of this thread, and is removed before that frame is left.
    while let Some(link) = unsafe { at.as_ref() } {
        if link.number == number {
            // SAFETY: `enter` got a reference to a `T`, which lives as long as the link.
            return (link.kind == TypeId::of::<T>()).then(|| work(unsafe { &*link.of.cast::<T>() }));
        }
        at = link.outer;
    }
    None
}
