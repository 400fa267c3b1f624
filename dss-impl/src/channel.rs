//! Channels divide a library's deliveries into groups. Each has limits and a policy of its own.
//!
//! Every library has a first channel, with the library's own limits. It can open others, so that a busy source does not starve the rest,
//! and so that a policy that drops or replaces items affects only the deliveries it is meant for. All channels of a state share one
//! queue: first in, first out.
//! first in, first out.

use crate::capacity::{Capacity, Consumed, Limits};
use crate::item::Item;
use crate::memory::{Shared, TryRoom};
use crate::queue::Removed;

/// The name of a channel within its library. It has a generation, like a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelId {
    /// 0 for the first channel. The others count from 1.
    pub(crate) index: u16,
    pub(crate) generation: u32,
}

/// Bits of the number that hold the index. The others hold the generation.
const INDEX_BITS: u32 = 13;
/// The last generation of an index. The index is not used again after it, so no number is given twice.
const LAST_GENERATION: u32 = (1 << (32 - INDEX_BITS)) - 1;

/// The most channels that a library may have at once, besides the first.
pub const MOST_CHANNELS: usize = 4096;

impl ChannelId {
    /// The channel that every library has.
    pub const FIRST: ChannelId = ChannelId { index: 0, generation: 0 };

    /// The number that a library keeps; 0 for the first channel.
    #[must_use]
    pub fn to_raw(self) -> u32 {
        self.generation << INDEX_BITS | u32::from(self.index)
    }

    /// Splits a number. Any number gives a name.
    #[must_use]
    pub fn from_raw(raw: u32) -> Self {
        ChannelId { index: (raw & ((1 << INDEX_BITS) - 1)) as u16, generation: raw >> INDEX_BITS }
    }
}

/// What `stats()` shows of a channel.
#[derive(Clone, Debug)]
pub struct ChannelInfo {
    /// Its name, as its library gave it.
    pub name: Shared<Box<str>>,
    /// Its limits.
    pub limits: Option<Limits>,
    /// Items in the queue.
    pub queued: usize,
    /// Bytes in the queue.
    pub bytes: usize,
    /// The most items that were queued at once.
    pub high_water: usize,
    /// Deliveries that were refused.
    pub refused: u64,
    /// Deliveries that were dropped to make room for later ones.
    pub dropped: u64,
    /// Deliveries that were replaced by a later one with the same key.
    pub coalesced: u64,
    /// Deliveries that waited for room without success.
    pub timed_out: u64,
}

/// A channel other than the first, under the intake lock.
pub(crate) struct Channel {
    generation: u32,
    open: bool,
    name: Shared<Box<str>>,
    pub(crate) capacity: Capacity,
}

/// All channels of one library, under the intake lock.
pub(crate) struct Channels {
    first: Capacity,
    others: Vec<Channel>,
    /// The first generation of a channel with a new index. It differs for each registration in a slot.
    base: u16,
}

impl Channels {
    /// Makes only the first channel.
    pub(crate) fn new(first: Capacity, base: u16) -> Self {
        Channels { first, others: Vec::new(), base }
    }

    /// The capacity of a channel; None if there is no such channel.
    #[inline(always)] // a part of every deliver
    pub(crate) fn get(&mut self, id: ChannelId) -> Option<&mut Capacity> {
        if id == ChannelId::FIRST {
            return Some(&mut self.first);
        }
        self.named(id).map(|channel| &mut channel.capacity)
    }

    /// A channel other than the first, by its index.
    fn at(&mut self, index: u16) -> Option<&mut Channel> {
        self.others.get_mut(usize::from(index).checked_sub(1)?)
    }

    /// An open channel other than the first.
    fn named(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.at(id.index).filter(|channel| channel.open && channel.generation == id.generation)
    }

    /// The capacity of a queued item's channel.
    pub(crate) fn of_item(&mut self, index: u16) -> &mut Capacity {
        match usize::from(index).checked_sub(1).and_then(|at| self.others.get_mut(at)) {
            Some(channel) => &mut channel.capacity,
            None => &mut self.first,
        }
    }

    /// The position in the queue of the item of this number; None if another item replaced it.
    pub(crate) fn position(&mut self, number: u64) -> Option<u64> {
        // If no channel has moved a number, the number is the position.
        let mut positions = self.all().map(|capacity| capacity.position(number));
        positions.find(|position| *position != Some(number)).unwrap_or(Some(number))
    }

    /// Items were taken out of the queue, but not by Lua. Needs no memory.
    pub(crate) fn remove_many(&mut self, items: &Removed<Item>) {
        for item in items.iter() {
            self.of_item(item.channel).uncount(item.bytes);
        }
    }

    /// Called after [`Self::remove_many`]: forgets these items, because more items may enter.
    pub(crate) fn forget_many(&mut self, items: &Removed<Item>) {
        let mut ended = None;
        for capacity in self.all() {
            capacity.consumed.told();
            if capacity.knows_items() {
                // Made once, and only if a channel needs it.
                let ended = ended.get_or_insert_with(|| items.iter().map(|item| item.sequence).collect());
                capacity.forget_many(ended);
            }
        }
    }

    /// All channels, starting with the first.
    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Capacity> {
        std::iter::once(&mut self.first).chain(self.others.iter_mut().map(|channel| &mut channel.capacity))
    }

    /// The first channel's capacity.
    pub(crate) fn first(&self) -> &Capacity {
        &self.first
    }

    /// The index of a closed channel that can be opened again.
    pub(crate) fn vacant(&self) -> Option<usize> {
        self.others.iter().position(|channel| !channel.open && channel.generation < LAST_GENERATION)
    }

    /// How many channels there are besides the first, including closed ones.
    pub(crate) fn len(&self) -> usize {
        self.others.len()
    }

    /// Reserves memory for one more; false if there is none.
    pub(crate) fn reserve(&mut self) -> bool {
        self.others.try_room(1).is_ok()
    }

    /// Opens the vacant channel at `at`, or the next new one, for which memory is reserved.
    pub(crate) fn open(
        &mut self,
        at: usize,
        name: Shared<Box<str>>,
        limits: Limits,
        consumed: Shared<Consumed>,
    ) -> ChannelId {
        let capacity = Capacity::new(Some(limits), consumed);
        let generation = match self.others.get_mut(at) {
            Some(channel) => {
                let generation = channel.generation + 1;
                *channel = Channel { generation, open: true, name, capacity };
                generation
            }
            None => {
                let generation = u32::from(self.base);
                self.others.push(Channel { generation, open: true, name, capacity });
                generation
            }
        };
        // The cast is lossless: `MOST_CHANNELS` fits.
        ChannelId { index: at as u16 + 1, generation }
    }

    /// Closes a channel: it admits nothing more. False if there is no such channel.
    pub(crate) fn close(&mut self, id: ChannelId) -> bool {
        let channel = self.named(id);
        channel.map(|channel| channel.open = false).is_some()
    }

    /// Takes the counts of a channel that was closed and emptied, and leaves it without any. Must be dropped with no lock held.
    pub(crate) fn take(&mut self, id: ChannelId) -> Option<Capacity> {
        let channel = self.at(id.index)?;
        let none = Capacity::new(None, channel.capacity.consumed.clone());
        Some(std::mem::replace(&mut channel.capacity, none))
    }

    /// What `stats()` shows of the channels besides the first.
    pub(crate) fn info(&self) -> impl Iterator<Item = ChannelInfo> {
        self.others.iter().filter(|channel| channel.open).map(|channel| {
            let capacity = &channel.capacity;
            ChannelInfo {
                name: channel.name.clone(),
                limits: capacity.limits,
                queued: capacity.items(),
                bytes: capacity.bytes(),
                high_water: capacity.high_water,
                refused: capacity.refused,
                dropped: capacity.dropped,
                coalesced: capacity.coalesced,
                timed_out: capacity.timed_out,
            }
        })
    }

    /// How many channels are open besides the first.
    pub(crate) fn open_count(&self) -> usize {
        self.others.iter().filter(|channel| channel.open).count()
    }
}

const _: () = assert!(MOST_CHANNELS < 1 << INDEX_BITS);
