//! References to Lua functions, which any thread may take and give back.
//!
//! The functions themselves lie in Lua, each at the *place* that is kept here for it. A place counts the references to it and
//! has a generation, both in one word:
//!
//! | references | meaning                             | leaves to                                                     |
//! |------------|-------------------------------------|---------------------------------------------------------------|
//! | 0          | vacant, or its function waits to be forgotten | 1, by `insert`, on the Lua thread                   |
//! | n          | held                                | n + 1, by `retain`; n - 1, by `release`; 0, by `kill_all`      |
//!
//! Whenever the count falls to 0 the generation goes up, so a name that is used too late names nothing. Lua is touched on the
//! Lua thread alone: a place that any other thread let go of is noted, and its function forgotten when Lua next enters.

use std::ffi::c_void;

use crate::chunks::Chunks;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};

const SLOT_BITS: u32 = 20;
const GENERATION_BITS: u32 = 24;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;

/// The callbacks of one dispatcher.
pub(crate) struct Callbacks {
    /// Never freed: a name, whatever its bits, names memory that is there or nothing.
    places: Chunks<AtomicU64>,
    lists: Mutex<Lists>,
    /// How many places in `released`, to be read without the lock.
    waiting: AtomicUsize,
}

#[derive(Default)]
struct Lists {
    /// Places that there have been.
    length: u32,
    vacant: Vec<u32>,
    /// Places whose functions are to be forgotten.
    released: Vec<u32>,
}

/// The name of a callback, as a library holds it; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId {
    pub(crate) dispatcher: u32,
    pub(crate) place: u32,
    generation: u32,
}

impl CallbackId {
    /// As the number that a library keeps.
    #[must_use]
    pub fn to_raw(self) -> u64 {
        u64::from(self.generation) << (2 * SLOT_BITS)
            | u64::from(self.dispatcher) << SLOT_BITS
            | u64::from(self.place)
    }

    /// Takes a number apart; any number gives a name.
    #[must_use]
    pub fn from_raw(raw: u64) -> Self {
        const MASK: u64 = (1 << SLOT_BITS) - 1;
        CallbackId {
            dispatcher: (raw >> SLOT_BITS & MASK) as u32,
            place: (raw & MASK) as u32,
            generation: (raw >> (2 * SLOT_BITS)) as u32,
        }
    }

    /// The place at which Lua keeps the function.
    #[must_use]
    pub fn place(self) -> u32 {
        self.place
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
            places: Chunks::new(),
            lists: Mutex::new(Lists { length: 0, vacant: Vec::new(), released: Vec::new() }),
            waiting: AtomicUsize::new(0),
        }
    }

    #[inline]
    fn at(&self, place: u32) -> Option<&AtomicU64> {
        self.places.get(place)
    }

    /// The address of a place: chunks are never freed, so it is nothing else's.
    #[inline]
    pub(crate) fn key(&self, place: u32) -> *const c_void {
        self.at(place).map_or(std::ptr::null(), |word| std::ptr::from_ref(word).cast())
    }

    /// A place with one reference; none where there are more callbacks than can be told apart. [lua-thread]
    pub(crate) fn insert(&self, dispatcher: u32) -> Option<CallbackId> {
        let mut lists = self.lists.lock();
        let place = match lists.vacant.pop() {
            Some(place) => place,
            None => {
                let place = lists.length;
                if place >= 1 << SLOT_BITS {
                    return None;
                }
                self.places.get_or_make(place, |_| AtomicU64::new(pack(1, 0)))?;
                lists.length += 1;
                place
            }
        };
        drop(lists);
        let word = self.at(place)?;
        let (generation, _) = unpack(word.load(Ordering::Relaxed));
        word.store(pack(generation, 1), Ordering::Release);
        Some(CallbackId { dispatcher, place, generation })
    }

    /// Whether the name names something. [any-thread]
    pub(crate) fn is_live(&self, id: CallbackId) -> bool {
        self.at(id.place).is_some_and(|word| {
            let (generation, references) = unpack(word.load(Ordering::Acquire));
            generation == id.generation && references > 0
        })
    }

    /// Takes another reference; false where the name names nothing. [any-thread]
    #[inline]
    pub(crate) fn retain(&self, id: CallbackId) -> bool {
        let Some(word) = self.at(id.place) else { return false };
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

    /// Gives a reference back; does nothing where the name names nothing any more. [any-thread]
    #[inline]
    pub(crate) fn release(&self, id: CallbackId) {
        let Some(word) = self.at(id.place) else { return };
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
                Ok(_) if references == 1 => return self.note_released(id.place),
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    fn note_released(&self, place: u32) {
        let mut lists = self.lists.lock();
        lists.released.push(place);
        self.waiting.store(lists.released.len(), Ordering::Relaxed);
    }

    /// Whether [`Self::take_released`] has something to give. [lua-thread]
    #[inline]
    pub(crate) fn has_released(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// The places whose functions are to be forgotten now: they are vacant from here on. [lua-thread]
    pub(crate) fn take_released(&self) -> Vec<u32> {
        let mut lists = self.lists.lock();
        self.waiting.store(0, Ordering::Relaxed);
        let released = std::mem::take(&mut lists.released);
        // A place whose generations are used up is retired.
        let usable = |place: &&u32| {
            self.at(**place).is_some_and(|word| unpack(word.load(Ordering::Relaxed)).0 <= LAST_GENERATION)
        };
        lists.vacant.extend(released.iter().filter(usable));
        released
    }

    /// All names are dead from here on: the state has closed. [lua-thread]
    pub(crate) fn kill_all(&self) {
        let length = self.lists.lock().length;
        let mut live = Vec::new();
        for place in 0..length {
            let Some(word) = self.at(place) else { continue };
            let mut seen = word.load(Ordering::Relaxed);
            loop {
                let (generation, references) = unpack(seen);
                if references == 0 {
                    break;
                }
                let dead = pack(generation + 1, 0);
                match word.compare_exchange_weak(seen, dead, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => {
                        live.push(place);
                        break;
                    }
                    Err(now) => seen = now,
                }
            }
        }
        let mut lists = self.lists.lock();
        lists.released.extend(live);
        drop(lists);
        self.take_released();
    }
}

/// One reference to a Lua function, given back when it is dropped. Any thread may hold it.
#[derive(Debug)]
pub struct Reference(CallbackId);

impl Reference {
    /// Takes over a reference that was counted already.
    pub(crate) fn adopt(id: CallbackId) -> Self {
        Reference(id)
    }

    /// Whose it is.
    #[must_use]
    pub fn id(&self) -> CallbackId {
        self.0
    }

    /// Hands the reference over to who keeps the number, and gives it back by [`release`].
    #[must_use]
    pub fn into_raw(self) -> u64 {
        let raw = self.0.to_raw();
        std::mem::forget(self);
        raw
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        release(self.0);
    }
}

/// Another reference; none where the callback is dead, or never was. [any-thread]
#[must_use]
pub fn retain(id: CallbackId) -> Option<Reference> {
    let dispatcher = dispatcher_at(id.dispatcher)?;
    dispatcher.retain(id)
}

/// Gives a reference back. [any-thread]
pub fn release(id: CallbackId) {
    if let Some(dispatcher) = dispatcher_at(id.dispatcher) {
        dispatcher.callbacks.release(id);
    }
}

#[cfg(not(loom))]
use crate::states::dispatcher_at;

/// What [`retain`] and [`release`] are, for `tests/loom/bounded.rs` alone.
#[cfg(loom)]
#[doc(hidden)]
#[allow(missing_docs, reason = "as above")]
impl crate::Dispatcher {
    pub fn retain_callback(&self, id: CallbackId) -> bool {
        self.callbacks.retain(id)
    }

    pub fn release_callback(&self, id: CallbackId) {
        self.callbacks.release(id);
    }
}

/// The models have no table of dispatchers.
#[cfg(loom)]
fn dispatcher_at(_: u32) -> Option<&'static crate::dispatcher::Dispatcher> {
    None
}
