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
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, Ordering};

const SLOT_BITS: u32 = 20;
const GENERATION_BITS: u32 = 24;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;

/// The callbacks of one dispatcher.
pub(crate) struct Callbacks {
    /// Never freed: a name, whatever its bits, names memory that is there or nothing.
    places: Chunks<Place>,
    lists: Mutex<Lists>,
    /// Whether there are released places, to be read without the lock.
    waiting: AtomicBool,
}

/// Room for one callback.
struct Place {
    /// Generation and references.
    word: AtomicU64,
    /// The place after this one in its list, under the lists' lock. A list lies in the places themselves, so to let go of a callback
    /// needs no memory.
    next: AtomicUsize,
}

/// The end of a list.
const END: usize = usize::MAX;

struct Lists {
    /// Places that there have been.
    length: u32,
    /// The first that is vacant.
    vacant: usize,
    /// The first whose function is to be forgotten.
    released: usize,
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
            lists: Mutex::new(Lists { length: 0, vacant: END, released: END }),
            waiting: AtomicBool::new(false),
        }
    }

    #[inline]
    fn at(&self, place: u32) -> Option<&AtomicU64> {
        self.places.get(place).map(|place| &place.word)
    }

    /// Puts a place at the head of a list.
    fn push(&self, list: &mut usize, place: u32) {
        if let Some(at) = self.places.get(place) {
            at.next.store(*list, Ordering::Relaxed);
            *list = place as usize;
        }
    }

    /// Takes the place at the head of a list.
    fn pop(&self, list: &mut usize) -> Option<u32> {
        let place = u32::try_from(*list).ok()?;
        *list = self.places.get(place)?.next.load(Ordering::Relaxed);
        Some(place)
    }

    /// The address of a place: chunks are never freed, so it is nothing else's.
    #[inline]
    pub(crate) fn key(&self, place: u32) -> *const c_void {
        self.places.get(place).map_or(std::ptr::null(), |place| std::ptr::from_ref(place).cast())
    }

    /// A place with one reference; none where there are more callbacks than can be told apart. [lua-thread]
    pub(crate) fn insert(&self, dispatcher: u32) -> Option<CallbackId> {
        let mut lists = self.lists.lock();
        let place = match self.pop(&mut lists.vacant) {
            Some(place) => place,
            None => {
                let place = lists.length;
                if place >= 1 << SLOT_BITS {
                    return None;
                }
                let vacant = |_| Place { word: AtomicU64::new(pack(1, 0)), next: AtomicUsize::new(END) };
                self.places.get_or_make(place, vacant)?;
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
        self.push(&mut lists.released, place);
        self.waiting.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::next_released`] has something to give. [lua-thread]
    #[inline]
    pub(crate) fn has_released(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place whose function is to be forgotten now: it is vacant from here on. [lua-thread]
    pub(crate) fn next_released(&self) -> Option<u32> {
        let mut lists = self.lists.lock();
        let place = self.pop(&mut lists.released);
        self.waiting.store(lists.released != END, Ordering::Relaxed);
        let place = place?;
        // A place whose generations are used up is retired.
        if self.at(place).is_some_and(|word| unpack(word.load(Ordering::Relaxed)).0 <= LAST_GENERATION) {
            self.push(&mut lists.vacant, place);
        }
        Some(place)
    }

    /// All names are dead from here on: the state has closed. [lua-thread]
    pub(crate) fn kill_all(&self) {
        let length = self.lists.lock().length;
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
                        self.note_released(place);
                        break;
                    }
                    Err(now) => seen = now,
                }
            }
        }
        while self.next_released().is_some() {}
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
