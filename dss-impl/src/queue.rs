//! A first-in-first-out queue in segments. It uses only the memory it needs, copies nothing when it grows, and has no locks of its
//! own.
//!
//! An item in the middle can be taken out by its sequence number. A *tombstone* stays in its place until it comes to the front,
//! or until there are more tombstones than items. So taking an item out costs a search, and moves no other item.
//!
//! A growing ring buffer would hold memory for twice its items, and stop every producer while it moves them. Segments of 128 items
//! cost one allocation per 128 items while a burst grows, and none once there are a few spare ones.
//!
//! Only `push` needs memory, and it gives the item back if there is none. Functions that take items out use the segments that
//! the items are in, however many they take. So a library can leave a process that has no memory left.

use std::collections::VecDeque;

use arrayvec::ArrayVec;
use heapless::Deque;

use crate::memory::{TryRoom, try_box};

/// Items in one segment. Few in the models, whose threads have small stacks and queue few items.
const SEGMENT: usize = if cfg!(loom) { 4 } else { 128 };
/// How many empty segments are kept: enough for 110,000 items, 6 MiB. A burst up to that size allocates once and then never
/// again. If segments were freed as they empty, the allocator would also tidy up in the middle of a poll.
const SPARE: usize = 860;

/// How many empty segments [`Queue::prepare`] provides.
const PREPARED: usize = 2;

/// Up to this many tombstones are never worth packing.
const FEW: usize = 64;

/// What a queue contains: items with ascending sequence numbers.
pub(crate) trait Entry: Sized {
    /// The item's number, higher than those of all items before it.
    fn sequence(&self) -> u64;
    /// Whether this is the tombstone of an item that was taken out.
    fn is_tombstone(&self) -> bool;
    /// Takes the item out, and leaves its tombstone.
    fn bury(&mut self) -> Self;
}

/// Memory for [`SEGMENT`] items.
struct Segment<T> {
    items: Deque<T, SEGMENT>,
    /// The next segment of a [`Removed`]. None in a queue.
    next: Option<Box<Segment<T>>>,
}

impl<T> Segment<T> {
    // Not inlined: a push in a signal handler uses a spare segment, and its stack frame should not be as large as a segment.
    #[inline(never)]
    fn try_new() -> Option<Box<Self>> {
        try_box(Segment { items: Deque::new(), next: None }).ok()
    }

    /// Puts an item before all others. There must be room.
    fn put_front(&mut self, item: T) {
        let put = self.items.push_front(item);
        debug_assert!(put.is_ok(), "a segment that is full was to take an item");
    }
}

/// A queue of `T`.
pub(crate) struct Queue<T> {
    /// The segment that items are taken from. It is older than all others.
    front: Option<Box<Segment<T>>>,
    segments: VecDeque<Box<Segment<T>>>,
    spare: Vec<Box<Segment<T>>>,
    /// The number of items, without tombstones.
    length: usize,
    tombstones: usize,
}

impl<T: Entry> Queue<T> {
    pub(crate) const fn new() -> Self {
        Queue { front: None, segments: VecDeque::new(), spare: Vec::new(), length: 0, tombstones: 0 }
    }

    /// How many items there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Appends `item`, or gives it back if there is no memory.
    #[inline(always)] // a deliver is little more than this
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        let full = match self.segments.back_mut() {
            Some(tail) => tail.items.push_back(item),
            None => Err(item),
        };
        if let Err(item) = full {
            self.push_behind(item)?;
        }
        self.length += 1;
        Ok(())
    }

    /// Begins a new segment with `item`, or gives it back if there is no memory.
    #[cold]
    fn push_behind(&mut self, item: T) -> Result<(), T> {
        let Some(mut tail) = self.segment() else { return Err(item) };
        tail.items.push_back(item)?;
        self.segments.push_back(tail);
        Ok(())
    }

    /// Reserves memory for a few more segments, if there is any. A push in a signal handler uses it, because it may not allocate.
    #[inline]
    pub(crate) fn prepare(&mut self) {
        if self.spare.len() < PREPARED {
            self.prepare_now();
        }
    }

    #[cold]
    fn prepare_now(&mut self) {
        // A failure is reported by the push that needs the memory.
        if self.segments.try_room(PREPARED).is_err() || self.spare.try_room(PREPARED).is_err() {
            return;
        }
        while self.spare.len() < PREPARED {
            let Some(segment) = Segment::try_new() else { return };
            self.spare.push(segment);
        }
    }

    /// An empty segment. `segments` has room for it.
    fn segment(&mut self) -> Option<Box<Segment<T>>> {
        self.segments.try_room(1).ok()?;
        self.spare.pop().or_else(Segment::try_new)
    }

    /// The oldest item.
    #[inline]
    pub(crate) fn front(&mut self) -> Option<&T> {
        if self.front.as_ref().is_none_or(|front| front.items.is_empty()) {
            self.advance();
        }
        if self.tombstones > 0 {
            self.pass_tombstones();
        }
        self.front.as_ref()?.items.front()
    }

    /// Takes the item that [`Self::front`] has just returned. Also returns what will probably be taken next, if that can be seen at once;
    /// it may be a tombstone.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<(T, Option<&T>)> {
        let front = self.front.as_mut()?;
        let item = front.items.pop_front()?;
        debug_assert!(!item.is_tombstone(), "`front` shows none");
        self.length -= 1;
        Some((item, front.items.front()))
    }

    /// Removes the tombstones before the oldest item.
    #[cold]
    fn pass_tombstones(&mut self) {
        while let Some(front) = &mut self.front {
            while front.items.front().is_some_and(Entry::is_tombstone) {
                front.items.pop_front();
                self.tombstones -= 1;
            }
            if !front.items.is_empty() || self.segments.is_empty() {
                return;
            }
            self.advance();
        }
    }

    fn find(&mut self, sequence: u64) -> Option<&mut T> {
        let ends_before =
            |segment: &Segment<T>| segment.items.back().is_none_or(|last| last.sequence() < sequence);
        let segment = match &mut self.front {
            Some(front) if !ends_before(front) => front,
            _ => {
                let at = self.segments.partition_point(|segment| ends_before(segment));
                self.segments.get_mut(at)?
            }
        };
        let (older, newer) = segment.items.as_mut_slices();
        let half = if older.last().is_some_and(|last| last.sequence() >= sequence) { older } else { newer };
        let at = half.binary_search_by_key(&sequence, Entry::sequence).ok()?;
        half.get_mut(at).filter(|item| !item.is_tombstone())
    }

    /// The item of that number, if it is in this queue.
    pub(crate) fn get(&mut self, sequence: u64) -> Option<&T> {
        self.find(sequence).map(|item| &*item)
    }

    /// Takes out the item of that number, if it is in this queue and `wanted`.
    pub(crate) fn remove(&mut self, sequence: u64, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let item = self.find(sequence).filter(|item| wanted(item))?.bury();
        self.length -= 1;
        self.tombstones += 1;
        if self.tombstones > FEW && self.tombstones > self.length {
            self.pack(None, |_| false);
        }
        Some(item)
    }

    /// Puts `item` in place of the item with its number, and returns that one. Gives `item` back if there is none.
    pub(crate) fn replace(&mut self, item: T) -> Result<T, T> {
        match self.find(item.sequence()) {
            Some(place) => Ok(std::mem::replace(place, item)),
            None => Err(item),
        }
    }

    fn keep(&mut self, empty: Box<Segment<T>>) {
        if self.spare.len() < SPARE && self.spare.try_room(1).is_ok() {
            self.spare.push(empty);
        }
    }

    /// Goes on to the next segment, if there is one.
    #[cold]
    fn advance(&mut self) {
        let Some(next) = self.segments.pop_front() else { return };
        if let Some(empty) = self.front.replace(next) {
            self.keep(empty);
        }
    }

    /// The items, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let segments = self.front.iter().chain(&self.segments);
        segments.flat_map(|segment| &segment.items).filter(|item| !item.is_tombstone())
    }

    /// Takes all items of `other`, and gives it the spare segments in exchange. `self` must be empty.
    pub(crate) fn refill(&mut self, other: &mut Self) {
        debug_assert!(self.length == 0, "a refill would overtake what is here");
        if self.tombstones > 0 {
            self.pack(None, |_| false);
        }
        std::mem::swap(&mut self.segments, &mut other.segments);
        std::mem::swap(&mut self.length, &mut other.length);
        std::mem::swap(&mut self.tombstones, &mut other.tombstones);
        if other.spare.is_empty() {
            std::mem::swap(&mut self.spare, &mut other.spare);
        } else if !self.spare.is_empty() {
            let room = SPARE.saturating_sub(other.spare.len()).min(self.spare.len());
            if other.spare.try_room(room).is_ok() {
                other.spare.extend(self.spare.drain(..room));
            }
        }
    }

    /// Moves the `wanted` items to the front of `removed`, whose items must be newer than those of this queue. Needs no memory.
    pub(crate) fn remove_where(&mut self, removed: &mut Removed<T>, wanted: impl FnMut(&T) -> bool) {
        self.pack(Some(removed), wanted);
    }

    /// Moves all items together, so that tombstones and half-empty segments take no more room than items. If `removed` is given, also
    /// takes out the items that are `wanted`.
    fn pack(&mut self, mut removed: Option<&mut Removed<T>>, mut wanted: impl FnMut(&T) -> bool) {
        // From the newest to the oldest. Segments are taken from the end of the list, and those that stay are put at its front: each
        // push follows a pop, so the list never grows. `kept` is the oldest segment that stays.
        let mut kept: Option<Box<Segment<T>>> = None;
        let listed = self.segments.len();
        for at in 0..=listed {
            let now = if at < listed { self.segments.pop_back() } else { self.front.take() };
            let Some(mut now) = now else { continue };
            for _ in 0..now.items.len() {
                let Some(item) = now.items.pop_back() else { break };
                if item.is_tombstone() {
                    self.tombstones -= 1;
                } else if let Some(removed) = removed.as_mut().filter(|_| wanted(&item)) {
                    self.length -= 1;
                    removed.push_front(item);
                } else if let Some(kept) = kept.as_mut().filter(|kept| !kept.items.is_full()) {
                    kept.put_front(item);
                } else {
                    // Each item goes round once, so the order stays.
                    now.put_front(item);
                }
            }
            if now.items.is_empty() {
                let unused = match &mut removed {
                    Some(removed) => removed.give(now),
                    None => Some(now),
                };
                if let Some(unused) = unused {
                    self.keep(unused);
                }
            } else if let Some(full) = kept.replace(now) {
                self.segments.push_front(full);
            }
        }
        if self.segments.len() < listed {
            // Not as the front: when another queue takes the items over, it takes the list.
            kept.into_iter().for_each(|kept| self.segments.push_front(kept));
        } else {
            self.front = kept;
        }
    }

    /// Frees all memory. The queue must be empty.
    pub(crate) fn shrink(&mut self) {
        debug_assert!(self.length == 0, "a queue that holds items was to be given up");
        *self = Queue::new();
    }
}

/// Items that [`Queue::remove_where`] took out, oldest first, in the memory of the queues that they were in.
pub(crate) struct Removed<T> {
    /// The oldest segment of a chain.
    head: Option<Box<Segment<T>>>,
    /// Still older items that have no segment yet, newest first. Each queue leaves less than a segment at the end of each of its
    /// segments, and two queues are processed one after the other.
    loose: ArrayVec<T, { 3 * SEGMENT }>,
    length: usize,
}

impl<T> Removed<T> {
    pub(crate) const fn new() -> Self {
        Removed { head: None, loose: ArrayVec::new_const(), length: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    fn push_front(&mut self, item: T) {
        self.length += 1;
        match &mut self.head {
            Some(head) if self.loose.is_empty() && !head.items.is_full() => head.put_front(item),
            _ => self.loose.push(item),
        }
    }

    /// Takes an empty segment; returns it if it is not needed.
    fn give(&mut self, mut empty: Box<Segment<T>>) -> Option<Box<Segment<T>>> {
        if self.loose.is_empty() {
            return Some(empty);
        }
        let moved = self.loose.len().min(SEGMENT);
        for item in self.loose.drain(..moved) {
            empty.put_front(item);
        }
        empty.next = self.head.take();
        self.head = Some(empty);
        None
    }

    /// The items that are left, oldest first. They stay.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.head.as_ref();
        let chain = std::iter::from_fn(move || {
            let segment = next?;
            next = segment.next.as_ref();
            Some(segment)
        });
        self.loose.iter().rev().chain(chain.flat_map(|segment| &segment.items))
    }
}

impl<T> Iterator for Removed<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let item = self.loose.pop().or_else(|| {
            let mut head = self.head.as_mut()?;
            if head.items.is_empty() {
                self.head = head.next.take();
                head = self.head.as_mut()?;
            }
            head.items.pop_front()
        })?;
        self.length -= 1;
        Some(item)
    }
}

impl<T> Drop for Removed<T> {
    fn drop(&mut self) {
        // One by one: dropping a long chain would recurse as deeply as it is long.
        for item in self {
            drop(item);
        }
    }
}
