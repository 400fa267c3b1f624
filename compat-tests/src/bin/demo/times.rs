//! Times of callbacks, and their percentiles.

use std::collections::VecDeque;

/// As many as are remembered: the latest ones, for a demo that runs for days.
const REMEMBERED: usize = 10_000;

/// The latest times, in seconds.
#[derive(Default)]
pub(crate) struct Times(VecDeque<f64>);

impl Times {
    /// Adds one. Two clocks that were compared with an uncertainty may make it a little less than nothing.
    pub(crate) fn add(&mut self, seconds: f64) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(seconds.max(0.0));
    }

    /// The time that this share of them, in percent, does not exceed; none where there is none.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

/// A time in the unit that suits it.
pub(crate) fn human(seconds: f64) -> String {
    match seconds {
        under if under < 1e-3 => format!("{:.0} µs", under * 1e6),
        under if under < 1.0 => format!("{:.2} ms", under * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}
