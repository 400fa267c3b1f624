//! The times of callbacks, and their percentiles.

use std::collections::VecDeque;

/// The number of times that are kept. A demo that runs for days keeps only the latest.
const REMEMBERED: usize = 10_000;

/// The latest times, in seconds.
#[derive(Default)]
pub(crate) struct Times(VecDeque<f64>);

impl Times {
    /// Adds a time. It may be slightly negative, because the comparison of the two clocks has an error.
    pub(crate) fn add(&mut self, seconds: f64) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(seconds.max(0.0));
    }

    /// The percentile of the times, or `None` if there are no times.
    pub(crate) fn percentile(&self, percent: usize) -> Option<f64> {
        let mut sorted: Vec<f64> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

/// Formats a time in a suitable unit.
pub(crate) fn human(seconds: f64) -> String {
    match seconds {
        under if under < 1e-3 => format!("{:.0} µs", under * 1e6),
        under if under < 1.0 => format!("{:.2} ms", under * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}
