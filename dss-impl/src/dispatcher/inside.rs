//! The call word: which library the Lua thread is inside, without a lock at the end of the call.
//!
//! Every call into a library is on record, so that `unregister` can wait for it. Most are decodes that nobody waits for,
//! not nested in another: these are recorded in one atomic word in place of the library's own list, and end with one
//! swap. The word is written under the desk lock but for that swap.
//!
//! | word             | meaning                                   | leaves to                                             |
//! |------------------|-------------------------------------------|-------------------------------------------------------|
//! | 0                | no such call                              | slot + 1, by a take                                   |
//! | slot + 1         | the Lua thread is inside that library     | 0, by the end of the call; `AWAITED` added            |
//! | with `AWAITED`   | and its end concerns somebody             | 0, by the end of the call, which then takes the lock  |
//!
//! No wake-up is lost: who wants to hear of the end adds `AWAITED` by compare-and-swap under the desk lock, and sleeps by
//! giving that lock up. Either the swap came first, and the compare-and-swap fails; or the swap finds the bit, and what
//! it then does under the lock comes after the sleep began.

use super::Dispatcher;
use crate::sync::Ordering;

const AWAITED: u64 = 1 << 63;

impl Dispatcher {
    /// Records a call of the Lua thread into `slot`, if no such call is on record. Under the desk lock.
    #[inline]
    pub(super) fn step_in(&self, slot: u32) -> bool {
        let free = self.inside.load(Ordering::Relaxed) == 0;
        if free {
            // Relaxed: whoever must see it takes the desk lock after the caller.
            self.inside.store(u64::from(slot) + 1, Ordering::Relaxed);
        }
        free
    }

    /// Ends the recorded call; true where somebody wants to hear of it.
    #[inline]
    pub(super) fn step_out(&self) -> bool {
        // Release: what the call did comes before whatever its end lets others do. Acquire: what they did before they
        // added the bit comes before what its finder does.
        self.inside.swap(0, Ordering::AcqRel) & AWAITED != 0
    }

    /// Whether the Lua thread is inside `slot` by this word; if so, its end will be told. Under the desk lock.
    pub(super) fn await_step_out(&self, slot: u32) -> bool {
        let plain = u64::from(slot) + 1;
        match self.inside.compare_exchange(plain, plain | AWAITED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(found) => found == plain | AWAITED,
        }
    }
}
