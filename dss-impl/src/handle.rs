//! Handles: what a library holds in place of a pointer.
//!
//! A utilid is a number that looks like a pointer and is never followed. It names a place (the index of a dispatcher
//! and of a slot in it) and the generation that place had when the handle was given out. A place that was left gets
//! the next generation, so a handle used too late differs from every one that is valid.
//!
//! On 64 bits: generation 32, dispatcher 20, slot 12. Generations start at `FIRST_GENERATION`, so that bit 48 or one
//! above it is always set: no address of a user's process looks like a handle, and none is NULL. On 32 bits it is
//! 16, 8 and 8, and an address can look like a handle; what it names is still checked.
//!
//! A place whose generations are used up is retired, never wrapped: at one registration a microsecond that is after
//! more than an hour on 64 bits for one place of 4,096.

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

/// Lua states that DSS may serve at once in a process.
pub const MAX_DISPATCHERS: u32 = 1 << bits::DISPATCHER;
/// Libraries that may be registered at once in a Lua state.
pub(crate) const MAX_SLOTS: u32 = 1 << bits::SLOT;

impl Handle {
    /// The handle as the number that a library keeps; never 0.
    #[must_use]
    pub fn to_raw(self) -> usize {
        ((self.generation as usize) << (bits::DISPATCHER + bits::SLOT))
            | ((self.dispatcher as usize) << bits::SLOT)
            | self.slot as usize
    }

    /// Takes a number apart; any number gives a handle, and whether it is valid is for its dispatcher to say.
    #[must_use]
    pub fn from_raw(raw: usize) -> Self {
        Handle {
            dispatcher: (raw >> bits::SLOT) as u32 & (MAX_DISPATCHERS - 1),
            slot: raw as u32 & (MAX_SLOTS - 1),
            generation: (raw >> (bits::DISPATCHER + bits::SLOT)) as u32,
        }
    }
}
