//! How long a request may take.

use std::time::{Duration, Instant};

use crate::error::Phase;

/// How long a request may take. There are two deadlines: Lua must begin with the request before the first, and answer
/// before the second. Both count from the request. Each is optional.
///
/// ```
/// use dss_abi_v2::Deadline;
/// use std::time::Duration;
///
/// let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
/// let deadline = Deadline::none().start_within(second).finish_within(minute);
/// assert_eq!(deadline, Deadline::within(minute).start_within(second));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    start: Option<Duration>,
    finish: Option<Duration>,
}

impl Deadline {
    /// No deadline. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::{Callback, Deadline, Library, RequestError};
    ///
    /// fn ask(library: &Library, callback: &Callback) -> Result<bool, RequestError> {
    ///     library.request(callback, "go on?", Deadline::none()) // waits until Lua answers or the state closes
    /// }
    /// ```
    #[must_use]
    pub const fn none() -> Self {
        Deadline { start: None, finish: None }
    }

    /// The answer must come within `finish`. [any-thread]
    ///
    /// ```
    /// use dss_abi_v2::Deadline;
    /// use std::time::Duration;
    ///
    /// let five = Duration::from_secs(5);
    /// assert_eq!(Deadline::within(five), Deadline::none().finish_within(five));
    /// ```
    #[must_use]
    pub const fn within(finish: Duration) -> Self {
        Deadline { start: None, finish: Some(finish) }
    }

    /// Adds the deadline for the answer, or replaces it. [any-thread]
    ///
    /// ```
    /// # use dss_abi_v2::Deadline;
    /// # use std::time::Duration;
    /// let deadline = Deadline::none().finish_within(Duration::from_millis(500));
    /// assert_eq!(deadline, Deadline::within(Duration::from_millis(500)));
    /// ```
    #[must_use]
    pub const fn finish_within(mut self, finish: Duration) -> Self {
        self.finish = Some(finish);
        self
    }

    /// Adds the deadline for Lua to begin, or replaces it. A request that Lua has begun is not ended by it.
    /// [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # use dss_abi_v2::{testing::TestState, Deadline, Phase, RequestError};
    /// # use std::time::Duration;
    /// # let state = TestState::elsewhere();
    /// # let (library, callback) = (state.library(), state.callback());
    /// let deadline = Deadline::none().start_within(Duration::from_millis(1));
    /// let answer: Result<(), _> = library.request(&callback, "ready?", deadline);
    /// assert_eq!(answer, Err(RequestError::TimedOut(Phase::Start))); // nothing took the request
    /// # }
    /// ```
    #[must_use]
    pub const fn start_within(mut self, start: Duration) -> Self {
        self.start = Some(start);
        self
    }

    /// The deadlines as moments, counted from now. A moment that no clock reaches is left out.
    pub(crate) fn moments(self) -> Moments {
        let now = Instant::now();
        let at = |duration: Option<Duration>| duration.and_then(|duration| now.checked_add(duration));
        Moments { start: at(self.start), finish: at(self.finish) }
    }
}

/// The deadlines that are not over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    start: Option<Instant>,
    finish: Option<Instant>,
}

impl Moments {
    /// The next deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        match (self.start, self.finish) {
            (Some(start), Some(finish)) => Some(start.min(finish)),
            (start, finish) => start.or(finish),
        }
    }

    /// Takes a deadline that is over, if there is one. After the deadline to finish none is left.
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
