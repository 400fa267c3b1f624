//! How long a request may take.

use std::time::{Duration, Instant};

use crate::error::Phase;

/// How long a request may take: until Lua begins with it, and until its answer has come. Both count from the request on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    start: Option<Duration>,
    finish: Option<Duration>,
}

impl Deadline {
    /// However long it takes. [any-thread]
    #[must_use]
    pub const fn none() -> Self {
        Deadline { start: None, finish: None }
    }

    /// So long at most until the answer has come. [any-thread]
    #[must_use]
    pub const fn within(finish: Duration) -> Self {
        Deadline { start: None, finish: Some(finish) }
    }

    /// And so long at most until the answer has come. [any-thread]
    #[must_use]
    pub const fn finish_within(mut self, finish: Duration) -> Self {
        self.finish = Some(finish);
        self
    }

    /// And so long at most until Lua begins. [any-thread]
    #[must_use]
    pub const fn start_within(mut self, start: Duration) -> Self {
        self.start = Some(start);
        self
    }

    /// The moments, ascending, counted from now; one that no clock reaches is none.
    pub(crate) fn moments(self) -> Moments {
        let now = Instant::now();
        let at = |duration: Option<Duration>| duration.and_then(|duration| now.checked_add(duration));
        Moments { start: at(self.start), finish: at(self.finish) }
    }
}

/// The deadlines that lie ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    start: Option<Instant>,
    finish: Option<Instant>,
}

impl Moments {
    /// The next one.
    pub(crate) fn next(&self) -> Option<Instant> {
        match (self.start, self.finish) {
            (Some(start), Some(finish)) => Some(start.min(finish)),
            (start, finish) => start.or(finish),
        }
    }

    /// Takes the one that is over, where one is. That to finish is the last: nothing is left after it.
    pub(crate) fn take_over(&mut self, now: Instant) -> Option<Phase> {
        let over = |moment: Option<Instant>| moment.map_or(false, |moment| moment <= now);
        // Where both are, the earlier one comes first.
        if over(self.start) && self.finish.map_or(true, |finish| self.start <= Some(finish)) {
            self.start = None;
            return Some(Phase::Start);
        }
        if over(self.finish) {
            *self = Moments { start: None, finish: None };
            return Some(Phase::Finish);
        }
        None
    }
}
