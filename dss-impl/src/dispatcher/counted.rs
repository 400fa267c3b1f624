//! The counts of a library that registers again. They go on where they were.
//!
//! Usually it gets its own slot back. But calls of its earlier registration may still run, for example because another thread is still
//! unregistering it, or because it registers again inside its own decode. Its earlier slot is not free then, and it gets another one.
//! The slot of its latest registration has its id as `last`, and all its counts. An earlier slot has no `last`, and what its last calls
//! count is passed on when it is freed.

use super::Desk;
use crate::library::{Counts, Library, Registration};

impl Desk {
    /// Moves to `slot`, where a library has just registered, what it has counted in another slot.
    pub(super) fn gather_counts(&mut self, slot: usize) {
        let libid = self.libraries[slot].last;
        let earlier =
            self.libraries.iter().enumerate().position(|(at, library)| at != slot && library.last == libid);
        if let Some(earlier) = earlier {
            self.libraries[earlier].last = None;
            self.move_counts(earlier, slot);
        }
    }

    /// Passes on what was counted in a slot that has been freed, if its library has registered again in another one.
    pub(super) fn pass_counts(&mut self, freed: usize, registration: &Registration) {
        let libid = Some(registration.libid);
        if self.libraries[freed].last == libid {
            return;
        }
        if let Some(latest) = self.libraries.iter().position(|library| library.last == libid) {
            self.move_counts(freed, latest);
        }
    }

    fn move_counts(&mut self, from: usize, to: usize) {
        let Library { counts, waits, .. } = &mut self.libraries[from];
        let (counts, waits) = (std::mem::take(counts), waits.take());
        let latest = &mut self.libraries[to];
        latest.counts.merge(&counts);
        if let (Some(all), Some(waits)) = (latest.waits.as_mut(), waits) {
            all.merge(&waits);
        }
    }
}

impl Counts {
    fn merge(&mut self, other: &Counts) {
        let Counts {
            delivered,
            replied,
            failed,
            cancelled,
            refused,
            dropped,
            coalesced,
            timed_out,
            high_water,
        } = other;
        self.delivered += delivered;
        self.replied += replied;
        self.failed += failed;
        self.cancelled += cancelled;
        self.refused += refused;
        self.dropped += dropped;
        self.coalesced += coalesced;
        self.timed_out += timed_out;
        self.high_water = self.high_water.max(*high_water);
    }
}
