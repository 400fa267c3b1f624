//! Handles, which libraries hold instead of pointers.
//!
//! A utilid is a number that looks like a pointer and is never dereferenced. It contains a place (the index of a dispatcher
//! and of a slot in it) and the generation that the place had when the handle was given out. When a place is vacated, it gets
//! the next generation, so an outdated handle differs from every valid one.
//!
//! On 64 bits: generation 32, dispatcher 20, slot 12. Generations start at `FIRST_GENERATION`, so that bit 48 or a
//! higher one is always set: no address of a user process looks like a handle, and no handle is NULL. On 32 bits it is
//! 16, 8 and 8, and an address can look like a handle. What it names is still checked.
//!
//! A place that has used up its generations is retired. The number never wraps. On 64 bits, at one registration per microsecond, one
//! place of 4,096 lasts for more than an hour.

/// One library in one Lua state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    pub(crate) dispatcher: u32,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

#[cfg(target_pointer_width = "64")]
mod bits {
    pub(super) const DISPATCHER: u32 = 20;
    pub(super) const SLOT: u32 = 12;
    pub(crate) const FIRST_GENERATION: u32 = 0x1_0000;
    pub(crate) const LAST_GENERATION: u32 = u32::MAX;
}

#[cfg(target_pointer_width = "32")]
mod bits {
    pub(super) const DISPATCHER: u32 = 8;
    pub(super) const SLOT: u32 = 8;
    pub(crate) const FIRST_GENERATION: u32 = 1;
    pub(crate) const LAST_GENERATION: u32 = 0xFFFF;
}

pub(crate) use bits::{FIRST_GENERATION, LAST_GENERATION};

/// The most Lua states that DSS serves at once in a process.
pub const MAX_DISPATCHERS: u32 = 1 << bits::DISPATCHER;
/// The most libraries that may be registered at once in a Lua state.
pub(crate) const MAX_SLOTS: u32 = 1 << bits::SLOT;

impl Handle {
    /// The number that a library keeps; never 0.
    #[must_use]
    pub fn to_raw(self) -> usize {
        ((self.generation as usize) << (bits::DISPATCHER + bits::SLOT))
            | ((self.dispatcher as usize) << bits::SLOT)
            | self.slot as usize
    }

    /// Splits a number. Any number gives a handle. Its dispatcher decides whether it is valid.
    #[must_use]
    pub fn from_raw(raw: usize) -> Self {
        Handle {
            dispatcher: (raw >> bits::SLOT) as u32 & (MAX_DISPATCHERS - 1),
            slot: raw as u32 & (MAX_SLOTS - 1),
            generation: (raw >> (bits::DISPATCHER + bits::SLOT)) as u32,
        }
    }
}
