//! A first-in-first-out queue in segments: exact in memory, without a copy when it grows, and with none of its own
//! locks.
//!
//! An item in the middle can be taken out by its sequence number. A *grave* stays in its place until it comes to the front
//! or there are more graves than items: so taking one out costs a search, and moves nothing that others queue behind.
//!
//! A growing ring buffer would hold twice its items, and stop every producer while it moves them. Segments of 128
//! cost one allocation in 128 items while a burst grows, and none once a few are spare.

use std::collections::VecDeque;

/// Items in one segment.
const SEGMENT: usize = 128;
/// Empty segments that are kept: 110,000 items' worth, 6 MiB. A burst up to that size allocates once and then never
/// again; giving them back as they empty would also have the allocator tidy up in the middle of a poll.
const SPARE: usize = 860;

/// Graves that are never worth a tidying.
const FEW: usize = 64;

/// What a queue holds: items with ascending sequence numbers.
pub(crate) trait Entry: Sized {
    /// The item's number, higher than those of all items before it.
    fn sequence(&self) -> u64;
    /// Whether this is the grave of an item that was taken out.
    fn is_grave(&self) -> bool;
    /// Takes the item out, and leaves its grave.
    fn bury(&mut self) -> Self;
}

/// A queue of `T`.
pub(crate) struct Queue<T> {
    /// The segment that is being taken from, older than all others.
    front: VecDeque<T>,
    segments: VecDeque<VecDeque<T>>,
    spare: Vec<VecDeque<T>>,
    /// Items, without graves.
    length: usize,
    graves: usize,
}

impl<T: Entry> Queue<T> {
    pub(crate) const fn new() -> Self {
        Queue { front: VecDeque::new(), segments: VecDeque::new(), spare: Vec::new(), length: 0, graves: 0 }
    }

    /// How many items there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Appends `item`, or gives it back where there is no memory.
    #[inline(always)] // a deliver is little more than this
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
        if self.graves > 0 {
            self.pass_graves();
        }
        self.front.front()
    }

    /// Takes what [`Self::front`] has just shown.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let item = self.front.pop_front()?;
        debug_assert!(!item.is_grave(), "`front` shows none");
        self.length -= 1;
        Some(item)
    }

    /// Removes the graves that lie before the oldest item.
    #[cold]
    fn pass_graves(&mut self) {
        loop {
            while self.front.front().is_some_and(Entry::is_grave) {
                self.front.pop_front();
                self.graves -= 1;
            }
            if !self.front.is_empty() || self.segments.is_empty() {
                return;
            }
            self.advance();
        }
    }

    fn find(&mut self, sequence: u64) -> Option<&mut T> {
        let segment = if self.front.back().is_some_and(|last| last.sequence() >= sequence) {
            &mut self.front
        } else {
            let ends_before =
                |segment: &VecDeque<T>| segment.back().is_none_or(|last| last.sequence() < sequence);
            let at = self.segments.partition_point(ends_before);
            self.segments.get_mut(at)?
        };
        let at = segment.binary_search_by_key(&sequence, Entry::sequence).ok()?;
        segment.get_mut(at).filter(|item| !item.is_grave())
    }

    /// The item of that number, where it is here.
    pub(crate) fn get(&mut self, sequence: u64) -> Option<&T> {
        self.find(sequence).map(|item| &*item)
    }

    /// Takes out the item of that number, where it is here and `wanted`.
    pub(crate) fn remove(&mut self, sequence: u64, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let item = self.find(sequence).filter(|item| wanted(item))?.bury();
        self.length -= 1;
        self.graves += 1;
        if self.graves > FEW && self.graves > self.length {
            self.tidy();
        }
        Some(item)
    }

    /// Puts `item` in the place of the one of its number, where that is here; gives that one, or `item` back.
    pub(crate) fn replace(&mut self, item: T) -> Result<T, T> {
        match self.find(item.sequence()) {
            Some(place) => Ok(std::mem::replace(place, item)),
            None => Err(item),
        }
    }

    /// Moves all items together, so that graves, and what lies half empty for them, take no more room than items.
    fn tidy(&mut self) {
        let old = std::mem::take(&mut self.segments);
        let front = std::mem::take(&mut self.front);
        self.length = 0;
        self.graves = 0;
        for mut segment in std::iter::once(front).chain(old) {
            for item in segment.drain(..).filter(|item| !item.is_grave()) {
                // A segment that was emptied before gives its room: there is always enough, but for the first.
                if let Err(item) = self.push(item) {
                    self.segments.push_back(VecDeque::from([item]));
                    self.length += 1;
                }
            }
            self.keep(segment);
        }
    }

    fn keep(&mut self, empty: VecDeque<T>) {
        if empty.capacity() > 0 && self.spare.len() < SPARE && self.spare.try_reserve(1).is_ok() {
            self.spare.push(empty);
        }
    }

    /// Goes on to the next segment, where there is one.
    #[cold]
    fn advance(&mut self) {
        let Some(next) = self.segments.pop_front() else { return };
        let empty = std::mem::replace(&mut self.front, next);
        self.keep(empty);
    }

    /// What it holds, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.front.iter().chain(self.segments.iter().flatten()).filter(|item| !item.is_grave())
    }

    /// Takes over all that `other` holds, and hands it the spare segments in exchange. `self` must be empty.
    pub(crate) fn refill(&mut self, other: &mut Self) {
        debug_assert!(self.length == 0, "a refill would overtake what is here");
        if self.graves > 0 {
            self.tidy();
        }
        std::mem::swap(&mut self.segments, &mut other.segments);
        std::mem::swap(&mut self.length, &mut other.length);
        std::mem::swap(&mut self.graves, &mut other.graves);
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
                if item.is_grave() {
                    self.graves -= 1;
                } else if wanted(&item) {
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
