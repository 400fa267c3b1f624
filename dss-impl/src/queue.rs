//! A first-in-first-out queue in segments: exact in memory, without a copy when it grows, and with none of its own
//! locks.
//!
//! A growing ring buffer would hold twice its items, and stop every producer while it moves them. Segments of 128
//! cost one allocation in 128 items while a burst grows, and none once a few are spare.

use std::collections::VecDeque;

/// Items in one segment.
const SEGMENT: usize = 128;
/// Empty segments that are kept: 131,072 items' worth, 6 MiB. A burst up to that size allocates once and then never
/// again; giving them back as they empty would also have the allocator tidy up in the middle of a poll.
const SPARE: usize = 1024;

/// A queue of `T`.
pub(crate) struct Queue<T> {
    /// The segment that is being taken from, older than all others.
    front: VecDeque<T>,
    segments: VecDeque<VecDeque<T>>,
    spare: Vec<VecDeque<T>>,
    length: usize,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Queue { front: VecDeque::new(), segments: VecDeque::new(), spare: Vec::new(), length: 0 }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Appends `item`, or gives it back where there is no memory.
    #[inline]
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        match self.segments.back_mut() {
            Some(tail) if tail.len() < SEGMENT => tail.push_back(item),
            _ => {
                let Some(mut tail) = self.segment() else { return Err(item) };
                tail.push_back(item);
                self.segments.push_back(tail);
            }
        }
        self.length += 1;
        Ok(())
    }

    /// An empty segment, with room for it in `segments`.
    #[cold]
    fn segment(&mut self) -> Option<VecDeque<T>> {
        self.segments.try_reserve(1).ok()?;
        self.spare.pop().or_else(|| {
            let mut segment = VecDeque::new();
            segment.try_reserve_exact(SEGMENT).ok()?;
            Some(segment)
        })
    }

    /// The oldest.
    #[inline]
    pub(crate) fn front(&mut self) -> Option<&T> {
        if self.front.is_empty() {
            self.advance();
        }
        self.front.front()
    }

    /// Takes the oldest.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.front.is_empty() {
            self.advance();
        }
        let item = self.front.pop_front()?;
        self.length -= 1;
        Some(item)
    }

    /// Goes on to the next segment, where there is one.
    #[cold]
    fn advance(&mut self) {
        let Some(next) = self.segments.pop_front() else { return };
        let empty = std::mem::replace(&mut self.front, next);
        if empty.capacity() > 0 && self.spare.len() < SPARE && self.spare.try_reserve(1).is_ok() {
            self.spare.push(empty);
        }
    }

    /// What it holds, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.front.iter().chain(self.segments.iter().flatten())
    }

    /// Takes over all that `other` holds, and hands it the spare segments in exchange. `self` must be empty.
    pub(crate) fn refill(&mut self, other: &mut Self) {
        debug_assert!(self.length == 0, "a refill would overtake what is here");
        std::mem::swap(&mut self.segments, &mut other.segments);
        std::mem::swap(&mut self.length, &mut other.length);
        if other.spare.is_empty() {
            std::mem::swap(&mut self.spare, &mut other.spare);
        } else if !self.spare.is_empty() {
            let room = SPARE.saturating_sub(other.spare.len()).min(self.spare.len());
            if other.spare.try_reserve(room).is_ok() {
                other.spare.extend(self.spare.drain(..room));
            }
        }
    }

    /// Removes what `wanted` picks, oldest first, into `removed`.
    pub(crate) fn remove_where(&mut self, removed: &mut Vec<T>, mut wanted: impl FnMut(&T) -> bool) {
        for segment in std::iter::once(&mut self.front).chain(&mut self.segments) {
            for _ in 0..segment.len() {
                let item = segment.pop_front().expect("counted a line above");
                if wanted(&item) {
                    self.length -= 1;
                    removed.push(item);
                } else {
                    segment.push_back(item);
                }
            }
        }
        // An empty segment between others would look like the end of the queue.
        self.segments.retain(|segment| !segment.is_empty());
    }

    /// Gives back all memory. The queue must be empty.
    pub(crate) fn shrink(&mut self) {
        debug_assert!(self.length == 0, "a queue that holds items was to be given up");
        *self = Queue::new();
    }
}
