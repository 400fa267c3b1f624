//! References to Lua functions. Any thread may take them and give them back.
//!
//! Lua keeps the functions themselves. Each has a *slot* here, which holds its count of references and its generation in one word:
//!
//! | references | meaning                                       | leaves to                                                 |
//! |------------|-----------------------------------------------|-----------------------------------------------------------|
//! | 0          | vacant, or its function is yet to be removed  | 1, by `insert`, on the Lua thread                         |
//! | n          | held                                          | n + 1, by `retain`; n - 1, by `release`; 0, by `kill_all` |
//!
//! Whenever the count falls to 0, the generation goes up, so an outdated name is invalid. Only the Lua thread touches Lua: a slot that
//! another thread released is put on a list, and its function is removed when Lua next enters.

use std::ffi::c_void;

use crate::chunks::Chunks;
use crate::fork;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};

const SLOT_BITS: u32 = 20;
/// The most callbacks that one Lua state may have at once.
pub const MOST_CALLBACKS: u32 = 1 << SLOT_BITS;
const GENERATION_BITS: u32 = 24;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;

/// Why a Lua function got no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCallback {
    /// The state has [`MOST_CALLBACKS`].
    TooMany,
    /// There is no memory for another.
    OutOfMemory,
}

/// The callbacks of one dispatcher.
pub(crate) struct Callbacks {
    /// Never freed: any name, whatever its bits, refers either to valid memory or to nothing.
    slots: Chunks<Slot>,
    lists: Mutex<Lists>,
    /// Whether there are released slots. Read without the lock.
    waiting: AtomicBool,
    /// The process in which it was made; see [`fork`].
    process: u32,
}

/// Room for one callback.
struct Slot {
    /// Generation and references.
    word: AtomicU64,
    /// The next slot in its list, under the lists' lock. The list is kept in the slots, so releasing a callback needs no memory.
    next: AtomicUsize,
}

impl Slot {
    #[inline]
    fn is_live(&self, id: CallbackId) -> bool {
        let (generation, references) = unpack(self.word.load(Ordering::Acquire));
        generation == id.generation && references > 0
    }

    #[inline]
    fn key(&self) -> *const c_void {
        std::ptr::from_ref(self).cast()
    }
}

/// The end of a list.
const END: usize = usize::MAX;

struct Lists {
    /// Slots in use so far, vacant ones included.
    length: u32,
    /// The first vacant slot.
    vacant: usize,
    /// The first slot whose function is yet to be removed.
    released: usize,
}

/// The name of a callback, as a library holds it; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId {
    pub(crate) dispatcher: u32,
    pub(crate) slot: u32,
    generation: u32,
}

impl CallbackId {
    /// The number that a library keeps.
    #[must_use]
    pub fn to_raw(self) -> u64 {
        u64::from(self.generation) << (2 * SLOT_BITS)
            | u64::from(self.dispatcher) << SLOT_BITS
            | u64::from(self.slot)
    }

    /// Splits a number. Any number gives a name.
    #[must_use]
    pub fn from_raw(raw: u64) -> Self {
        const MASK: u64 = (1 << SLOT_BITS) - 1;
        CallbackId {
            dispatcher: (raw >> SLOT_BITS & MASK) as u32,
            slot: (raw & MASK) as u32,
            generation: (raw >> (2 * SLOT_BITS)) as u32,
        }
    }

    /// Its slot and its generation. The lowest 20 bits are 0.
    #[cfg(not(loom))] // the adapters that ask are not in the models
    #[inline]
    pub(crate) fn within_its_state(self) -> u64 {
        u64::from(self.generation) << (2 * SLOT_BITS) | u64::from(self.slot) << SLOT_BITS
    }

    /// The callback of that state with what [`Self::within_its_state`] returned, whatever has been put into the lowest 20 bits.
    #[cfg(not(loom))]
    #[inline]
    pub(crate) fn of_state(dispatcher: u32, within: u64) -> Self {
        let Self { dispatcher: slot, generation, .. } = Self::from_raw(within);
        CallbackId { dispatcher, slot, generation }
    }

    /// The slot at which Lua keeps the function.
    #[must_use]
    pub fn slot(self) -> u32 {
        self.slot
    }
}

fn pack(generation: u32, references: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(references)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

impl Callbacks {
    pub(crate) fn new() -> Self {
        Callbacks {
            slots: Chunks::new(),
            lists: Mutex::new(Lists { length: 0, vacant: END, released: END }),
            waiting: AtomicBool::new(false),
            process: fork::generation(),
        }
    }

    #[inline]
    fn at(&self, slot: u32) -> Option<&AtomicU64> {
        self.slots.get(slot).map(|slot| &slot.word)
    }

    /// Puts a slot at the head of a list.
    fn push(&self, list: &mut usize, slot: u32) {
        if let Some(at) = self.slots.get(slot) {
            at.next.store(*list, Ordering::Relaxed);
            *list = slot as usize;
        }
    }

    /// Takes the slot at the head of a list.
    fn pop(&self, list: &mut usize) -> Option<u32> {
        let slot = u32::try_from(*list).ok()?;
        *list = self.slots.get(slot)?.next.load(Ordering::Relaxed);
        Some(slot)
    }

    /// The address of a slot. Chunks are never freed, so nothing else has this address.
    #[inline]
    pub(crate) fn key(&self, slot: u32) -> *const c_void {
        self.slots.get(slot).map_or(std::ptr::null(), Slot::key)
    }

    /// The address of the slot of that name; NULL if the name is invalid. [any-thread]
    #[inline]
    pub(crate) fn key_of(&self, id: CallbackId) -> *const c_void {
        let slot = self.slots.get(id.slot).filter(|slot| slot.is_live(id));
        slot.map_or(std::ptr::null(), Slot::key)
    }

    /// A new slot with one reference. [lua-thread]
    pub(crate) fn insert(&self, dispatcher: u32) -> Result<CallbackId, NoCallback> {
        let mut lists = self.lists.lock();
        let slot = match self.pop(&mut lists.vacant) {
            Some(slot) => slot,
            None => {
                let slot = lists.length;
                if slot >= MOST_CALLBACKS {
                    return Err(NoCallback::TooMany);
                }
                let vacant = |_| Slot { word: AtomicU64::new(pack(1, 0)), next: AtomicUsize::new(END) };
                self.slots.get_or_make(slot, vacant).ok_or(NoCallback::OutOfMemory)?;
                lists.length += 1;
                slot
            }
        };
        drop(lists);
        // It is there: it was vacant, or was made just now.
        let word = self.at(slot).ok_or(NoCallback::OutOfMemory)?;
        let (generation, _) = unpack(word.load(Ordering::Relaxed));
        word.store(pack(generation, 1), Ordering::Release);
        Ok(CallbackId { dispatcher, slot, generation })
    }

    /// Whether the name is valid. [any-thread]
    pub(crate) fn is_live(&self, id: CallbackId) -> bool {
        self.slots.get(id.slot).is_some_and(|slot| slot.is_live(id))
    }

    /// Takes another reference; false if the name is invalid. [any-thread]
    #[inline]
    pub(crate) fn retain(&self, id: CallbackId) -> bool {
        let Some(word) = self.at(id.slot) else { return false };
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let (generation, references) = unpack(seen);
            if generation != id.generation || references == 0 || references == u32::MAX {
                return false;
            }
            match word.compare_exchange_weak(
                seen,
                pack(generation, references + 1),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes another reference to the callback that is in a slot now; None if there is none. [lua-thread]
    pub(crate) fn retain_slot(&self, dispatcher: u32, slot: u32) -> Option<CallbackId> {
        let (generation, _) = unpack(self.at(slot)?.load(Ordering::Relaxed));
        let id = CallbackId { dispatcher, slot, generation };
        // This is the Lua thread, so no other callback can get the slot in the meantime.
        self.retain(id).then_some(id)
    }

    /// Gives a reference back. Does nothing if the name is no longer valid. [any-thread]
    #[inline]
    pub(crate) fn release(&self, id: CallbackId) {
        let Some(word) = self.at(id.slot) else { return };
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let (generation, references) = unpack(seen);
            if generation != id.generation || references == 0 {
                return;
            }
            let left = match references {
                1 => pack(generation + 1, 0),
                more => pack(generation, more - 1),
            };
            match word.compare_exchange_weak(seen, left, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if references == 1 => return self.note_released(id.slot),
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    fn note_released(&self, slot: u32) {
        let mut lists = self.lists.lock();
        self.push(&mut lists.released, slot);
        self.waiting.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::next_released`] would return a slot. [lua-thread]
    #[inline]
    pub(crate) fn has_released(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A slot whose function the caller removes now. The slot is vacant from here on. [lua-thread]
    pub(crate) fn next_released(&self) -> Option<u32> {
        let mut lists = self.lists.lock();
        let slot = self.pop(&mut lists.released);
        self.waiting.store(lists.released != END, Ordering::Relaxed);
        let slot = slot?;
        // A slot that has used up its generations is retired.
        if self.at(slot).is_some_and(|word| unpack(word.load(Ordering::Relaxed)).0 <= LAST_GENERATION) {
            self.push(&mut lists.vacant, slot);
        }
        Some(slot)
    }

    /// Makes all names invalid: the state has closed. [lua-thread]
    pub(crate) fn kill_all(&self) {
        let length = self.lists.lock().length;
        for slot in 0..length {
            let Some(word) = self.at(slot) else { continue };
            let mut seen = word.load(Ordering::Relaxed);
            loop {
                let (generation, references) = unpack(seen);
                if references == 0 {
                    break;
                }
                let dead = pack(generation + 1, 0);
                match word.compare_exchange_weak(seen, dead, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => {
                        self.note_released(slot);
                        break;
                    }
                    Err(now) => seen = now,
                }
            }
        }
        while self.next_released().is_some() {}
    }
}

/// One reference to a Lua function. It is given back when it is dropped. Any thread may hold it.
pub struct Reference {
    id: CallbackId,
    of: &'static Callbacks,
}

impl Reference {
    /// Takes over a reference that was counted already.
    pub(crate) fn adopt(id: CallbackId, of: &'static Callbacks) -> Self {
        Reference { id, of }
    }

    /// The callback it refers to.
    #[must_use]
    pub fn id(&self) -> CallbackId {
        self.id
    }

    /// Passes the reference to the caller, who keeps the number and gives it back with
    /// [`Dispatcher::release_callback`](crate::Dispatcher::release_callback).
    #[must_use]
    pub fn into_raw(self) -> u64 {
        let raw = self.id.to_raw();
        std::mem::forget(self);
        raw
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        // A forked child touches nothing of its parent's: a thread that does not exist here may hold the lock.
        if self.of.process == fork::generation() {
            self.of.release(self.id);
        }
    }
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reference").field(&self.id).finish()
    }
}
