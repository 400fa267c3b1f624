//! How long deliveries wait. Each bucket is twice as wide as the one before.

/// The number of buckets. The first is up to a microsecond, each next one up to twice as much, and the last has no end.
pub const BUCKETS: usize = 28;

/// Durations, counted by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS],
    sum: u64,
}

impl Histogram {
    /// Counts one duration, in nanoseconds.
    pub fn add(&mut self, nanoseconds: u64) {
        self.add_many(nanoseconds, 1);
    }

    /// Counts a duration, in nanoseconds, `count` times.
    #[inline]
    pub fn add_many(&mut self, nanoseconds: u64, count: u64) {
        let microseconds = nanoseconds.saturating_sub(1) / 1000;
        let bucket = (u64::BITS - microseconds.leading_zeros()) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += count;
        self.sum = self.sum.saturating_add(nanoseconds.saturating_mul(count));
    }

    /// Adds what another histogram has counted.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// The upper end of a bucket, in nanoseconds, inclusive; None for the last one.
    #[must_use]
    pub fn upper(bucket: usize) -> Option<u64> {
        (bucket + 1 < BUCKETS).then(|| 1000 << bucket)
    }

    /// How many durations are in each bucket.
    #[must_use]
    pub fn counts(&self) -> &[u64; BUCKETS] {
        &self.counts
    }

    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations, in nanoseconds.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }
}
