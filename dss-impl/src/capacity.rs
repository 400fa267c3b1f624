//! How much a library may have queued, and what happens to a delivery that does not fit.
//!
//! The number of queued items is what entered minus what was consumed. Producers count what enters, under the intake lock. The Lua thread
//! counts what it consumes, one item at a time and without that lock, in `Consumed`; no other thread writes that.
//!
//! A library without limits has the same counts, and always has room.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::item::Item;
use crate::memory::{OutOfMemory, Shared, TryRoom, try_bytes};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// The items that a library may have queued by default.
pub const DEFAULT_ITEMS: usize = 65_536;
/// The bytes that a library may have queued by default.
pub const DEFAULT_BYTES: usize = 64 << 20;

/// What happens to a delivery that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is refused.
    Refuse,
    /// It waits for room, at most this long, and is then refused.
    Wait(Duration),
    /// The oldest items are dropped to make room.
    DropOldest,
    /// It is refused. But a delivery with a key replaces the queued one with the same key, if it is not too many bytes larger.
    Latest,
}

/// A library's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most items.
    pub items: usize,
    /// The most bytes.
    pub bytes: usize,
    /// What happens to a delivery that does not fit.
    pub policy: Policy,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { items: DEFAULT_ITEMS, bytes: DEFAULT_BYTES, policy: Policy::Refuse }
    }
}

/// A library without limits: only its items are counted.
const ITEMS: usize = 0;
/// A library with limits: its bytes are counted too, and the last item taken is noted.
const ALL: usize = 1;
/// As [`ALL`], and a producer may sleep until there is room: the policy is [`Policy::Wait`].
const PATIENT: usize = 2;

fn counting(limits: Option<&Limits>) -> usize {
    match limits {
        None => ITEMS,
        Some(Limits { policy: Policy::Wait(_), .. }) => PATIENT,
        Some(_) => ALL,
    }
}

/// What Lua took from one channel. The Lua thread writes it, under the desk lock; any thread reads it.
pub(crate) struct Consumed {
    items: AtomicUsize,
    bytes: AtomicUsize,
    /// The number of the last item taken. The library has no item with this or a lower number queued.
    last: AtomicU64,
    /// What is counted. Written under both locks.
    counting: AtomicUsize,
    /// A producer sleeps until there is room.
    awaited: AtomicBool,
}

impl Consumed {
    /// Makes one. It is used again by the next library in the same slot, or by the next channel with the same index.
    pub(crate) fn try_new() -> Result<Shared<Self>, OutOfMemory> {
        Shared::try_new(Consumed {
            counting: AtomicUsize::new(ITEMS),
            items: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            awaited: AtomicBool::new(false),
        })
    }

    /// Starts again at 0, for another library. Under both locks.
    fn reset(&self, limits: Option<&Limits>) {
        self.counting.store(counting(limits), Ordering::Relaxed);
        self.items.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        self.last.store(0, Ordering::Relaxed);
        self.awaited.store(false, Ordering::Relaxed);
    }

    /// Counts one item that was taken; returns whether a producer waits for room. [lua-thread]
    #[inline]
    pub(crate) fn add(&self, sequence: u64, bytes: u32) -> bool {
        let counting = self.counting.load(Ordering::Relaxed);
        if counting != ITEMS {
            let before = self.bytes.load(Ordering::Relaxed);
            self.last.store(sequence, Ordering::Relaxed);
            self.bytes.store(before.wrapping_add(bytes as usize), Ordering::Relaxed);
        }
        self.items.store(self.items.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        if counting != PATIENT {
            return false;
        }
        // Either a producer that is about to sleep sees the new count, or this sees its flag: see `Capacity::wait_for_room`.
        fence(Ordering::SeqCst);
        self.awaited.load(Ordering::Relaxed)
    }

    /// The waiting producers are being told. Under the intake lock.
    pub(crate) fn told(&self) {
        self.awaited.store(false, Ordering::Relaxed);
    }
}

/// The last delivery for a key.
struct Latest {
    /// Its number in the queue.
    position: u64,
    /// Its number as the library knows it.
    number: u64,
}

/// What is kept of an item's key.
pub(crate) struct Noted(Option<Box<[u8]>>);

/// No item's position.
const GONE: u64 = 0;

/// The capacity of one channel of a library, under the intake lock.
pub(crate) struct Capacity {
    /// None if the library has no limits.
    pub(crate) limits: Option<Limits>,
    pub(crate) consumed: Shared<Consumed>,
    entered: usize,
    entered_bytes: usize,
    pub(crate) high_water: usize,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    pub(crate) coalesced: u64,
    pub(crate) timed_out: u64,
    /// The numbers of the queued items, oldest first, if the policy needs to find the oldest.
    order: VecDeque<u64>,
    /// The last delivery for each key, if the policy needs to find it.
    latest: HashMap<Box<[u8]>, Latest>,
    /// The positions in `latest` whose items may have left the queue without being taken.
    ended: HashSet<u64>,
    /// For items that replaced another: their positions, by the numbers that the library knows. The value is [`GONE`] for the first item
    /// that was replaced; its number is that position.
    moved: HashMap<u64, u64>,
}

impl Capacity {
    /// Makes one. Under both locks.
    pub(crate) fn new(limits: Option<Limits>, consumed: Shared<Consumed>) -> Self {
        consumed.reset(limits.as_ref());
        Capacity {
            limits,
            consumed,
            entered: 0,
            entered_bytes: 0,
            high_water: 0,
            refused: 0,
            dropped: 0,
            coalesced: 0,
            timed_out: 0,
            order: VecDeque::new(),
            latest: HashMap::new(),
            ended: HashSet::new(),
            moved: HashMap::new(),
        }
    }

    /// Items queued.
    pub(crate) fn items(&self) -> usize {
        self.entered.wrapping_sub(self.consumed.items.load(Ordering::Acquire))
    }

    /// Bytes queued; 0 if the library has no limits.
    pub(crate) fn bytes(&self) -> usize {
        self.entered_bytes.wrapping_sub(self.consumed.bytes.load(Ordering::Relaxed))
    }

    /// What happens to a delivery that does not fit.
    pub(crate) fn policy(&self) -> Policy {
        self.limits.map_or(Policy::Refuse, |limits| limits.policy)
    }

    /// Whether an item of this size is larger than the library's limit.
    pub(crate) fn is_too_large(&self, bytes: u32) -> bool {
        self.limits.is_some_and(|limits| bytes as usize > limits.bytes)
    }

    /// Whether another item of this size fits.
    #[inline]
    pub(crate) fn has_room(&self, bytes: u32) -> bool {
        // Without limits, nothing is read that the Lua thread writes.
        let Some(limits) = &self.limits else { return true };
        let items = self.items();
        items < limits.items && self.bytes().saturating_add(bytes as usize) <= limits.bytes
    }

    /// How many more bytes fit.
    pub(crate) fn bytes_left(&self) -> usize {
        self.limits.map_or(usize::MAX, |limits| limits.bytes.saturating_sub(self.bytes()))
    }

    /// Notes that a producer is about to sleep until there is room; false if there is room by now. Any code that makes room
    /// other than [`Consumed::add`] does so under the intake lock.
    pub(crate) fn wait_for_room(&self, bytes: u32) -> bool {
        self.consumed.awaited.store(true, Ordering::Relaxed);
        // Pairs with the fence in `add`: either that sees the flag, or this sees the new count.
        fence(Ordering::SeqCst);
        !self.has_room(bytes)
    }

    /// Reserves the memory that [`Self::enter`] needs; returns what it needs of the key.
    #[inline]
    pub(crate) fn prepare(&mut self, key: &[u8]) -> Result<Noted, OutOfMemory> {
        match self.limits.map(|limits| limits.policy) {
            Some(Policy::DropOldest) => self.order.try_room(1)?,
            Some(Policy::Latest) if !key.is_empty() => {
                self.latest.try_room(1)?;
                return try_bytes(key).map(|key| Noted(Some(key)));
            }
            _ => {}
        }
        Ok(Noted(None))
    }

    /// Reserves the memory that [`Self::coalesce`] needs; false if there is no memory.
    pub(crate) fn prepare_coalesce(&mut self) -> bool {
        self.moved.try_room(2).is_ok()
    }

    /// Counts an item that enters. `noted` comes from [`Self::prepare`].
    #[inline]
    pub(crate) fn enter(&mut self, sequence: u64, bytes: u32, noted: Noted) {
        self.entered = self.entered.wrapping_add(1);
        let Some(limits) = &self.limits else { return };
        self.entered_bytes = self.entered_bytes.wrapping_add(bytes as usize);
        let items = self.items();
        self.high_water = self.high_water.max(items);
        match limits.policy {
            Policy::DropOldest => {
                self.order.push_back(sequence);
                // Items that were taken are removed from here, too.
                while self.order.len() > items {
                    self.order.pop_front();
                }
            }
            Policy::Latest => {
                if let Noted(Some(key)) = noted {
                    self.latest.insert(key, Latest { position: sequence, number: sequence });
                    self.tidy_if_large(items);
                }
            }
            _ => {}
        }
    }

    /// The item of this number replaced the previous one with its key, which counted `old` bytes.
    pub(crate) fn coalesce(&mut self, key: &[u8], number: u64, bytes: u32, old: u32) {
        self.coalesced += 1;
        self.entered_bytes = self.entered_bytes.wrapping_add(bytes as usize).wrapping_sub(old as usize);
        let Some(latest) = self.latest.get_mut(key) else { return };
        let (position, before) = (latest.position, std::mem::replace(&mut latest.number, number));
        if before == position {
            self.moved.insert(before, GONE);
        } else {
            self.moved.remove(&before);
        }
        self.moved.insert(number, position);
        self.tidy_if_large(self.items());
    }

    /// The position in the queue of the item of this number; None if another item replaced it.
    pub(crate) fn position(&self, number: u64) -> Option<u64> {
        match self.moved.get(&number) {
            Some(&GONE) => None,
            Some(position) => Some(*position),
            None => Some(number),
        }
    }

    /// An item was taken out of the queue, but not by Lua. More items may enter.
    pub(crate) fn remove(&mut self, sequence: u64, bytes: u32) {
        self.uncount(bytes);
        if let Ok(at) = self.order.binary_search(&sequence) {
            self.order.remove(at);
        }
    }

    /// A library ended one of its items.
    pub(crate) fn end(&mut self, sequence: u64, bytes: u32) {
        self.remove(sequence, bytes);
        if self.policy() == Policy::Latest {
            if self.ended.try_room(1).is_ok() {
                self.ended.insert(sequence);
                self.tidy_if_large(self.items());
            } else {
                // Slower, but needs no memory.
                self.latest.retain(|_, latest| latest.position != sequence);
            }
        }
    }

    /// An item was taken out of the queue, but not by Lua. Needs no memory.
    pub(crate) fn uncount(&mut self, bytes: u32) {
        self.entered = self.entered.wrapping_sub(1);
        if self.limits.is_some() {
            self.entered_bytes = self.entered_bytes.wrapping_sub(bytes as usize);
        }
    }

    /// Whether it keeps item numbers, and so must forget those of ended items.
    pub(crate) fn knows_items(&self) -> bool {
        !(self.order.is_empty() && self.latest.is_empty() && self.moved.is_empty())
    }

    /// Called after [`Self::uncount`] of each: forgets the items of these numbers, because more items may enter.
    pub(crate) fn forget_many(&mut self, ended: &HashSet<u64>) {
        let ended = |sequence: &u64| ended.contains(sequence);
        // All at once: removing them one by one would move the rest each time.
        self.order.retain(|sequence| !ended(sequence));
        self.latest.retain(|_, latest| !ended(&latest.position));
        self.moved.retain(|number, position| !ended(if *position == GONE { number } else { position }));
    }

    fn tidy_if_large(&mut self, items: usize) {
        let most = 64 + 2 * items;
        if self.latest.len() > most || self.ended.len() > most || self.moved.len() > 2 * most {
            self.tidy();
        }
    }

    /// Forgets keys and positions that have no queued item.
    fn tidy(&mut self) {
        let last = self.consumed.last.load(Ordering::Relaxed);
        let ended = std::mem::take(&mut self.ended);
        let queued = |position: u64| position > last && !ended.contains(&position);
        self.latest.retain(|_, latest| queued(latest.position));
        self.moved.retain(|number, position| queued(if *position == GONE { *number } else { *position }));
    }

    /// Whether Lua took the item of this number.
    pub(crate) fn is_taken(&self, sequence: u64) -> bool {
        sequence <= self.consumed.last.load(Ordering::Relaxed)
    }

    /// The oldest item that may be queued.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.order.iter().copied().find(|sequence| !self.is_taken(*sequence))
    }

    /// The position of the last delivery for `key`, if it may still be queued.
    pub(crate) fn latest(&self, key: &[u8]) -> Option<u64> {
        let queued = |position: &u64| !self.is_taken(*position) && !self.ended.contains(position);
        self.latest.get(key).map(|latest| latest.position).filter(queued)
    }

    /// Whether an item with this key could have replaced another before Lua took that.
    pub(crate) fn was_taken(&self, key: &[u8]) -> bool {
        !self.order.is_empty() || self.latest.contains_key(key)
    }

    /// Changes the limits. The `queued` items, oldest first, stay. Under both locks. If there is no memory, nothing changes.
    pub(crate) fn change<'a>(
        &mut self,
        limits: Limits,
        queued: impl Iterator<Item = &'a Item>,
    ) -> Result<(), OutOfMemory> {
        let mut order = VecDeque::new();
        let mut bytes = 0_usize;
        for item in queued {
            bytes = bytes.wrapping_add(item.bytes as usize);
            if limits.policy == Policy::DropOldest {
                order.try_room(1)?;
                order.push_back(item.sequence);
            }
        }
        if (self.policy(), limits.policy) != (Policy::Latest, Policy::Latest) {
            self.latest = HashMap::new();
            self.ended = HashSet::new();
        }
        self.order = order;
        if self.limits.is_none() {
            // The bytes were not counted before.
            self.entered_bytes = self.consumed.bytes.load(Ordering::Relaxed).wrapping_add(bytes);
        }
        self.limits = Some(limits);
        self.consumed.counting.store(counting(Some(&limits)), Ordering::Relaxed);
        Ok(())
    }
}
