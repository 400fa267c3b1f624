//! A delivery without memory of its own: a callback and at most two plain values, in the three words of its payload.
//!
//! Most deliveries are a number or two. Each record would be a block of memory that one thread writes, and another reads and frees.
//!
//! | word | contents |
//! |---|---|
//! | 0, 1 | the values: an integer, the bits of a float, or 0 and 1 |
//! | 2 | bit 0: [`PACKED`]; bits 1 and 2: how many values there are; bits 3 to 6: their kinds; from bit 20: the callback |

use std::ffi::{c_int, c_void};

use super::push::{self, NO_LUA};
use super::service::Source;
use super::wire::{Plain, Wire};
use crate::callbacks::CallbackId;
use crate::handle::Handle;
use crate::payload::Payload;
use crate::states;

/// The most values.
const MOST: usize = 2;

/// Set in the last word. The last word of a record is its address, which is even.
const PACKED: u64 = 1;

/// Where the kinds begin, and the bits of each.
const KINDS: u32 = 3;
const KIND_BITS: u32 = 2;

/// Whether a word has room for a value.
const FITS: bool = usize::BITS == 64;

impl Plain {
    /// Its kind and its word.
    #[inline]
    fn to_bits(self) -> (u64, u64) {
        match self {
            Plain::Nil => (0, 0),
            Plain::Boolean(value) => (1, u64::from(value)),
            Plain::Integer(value) => (2, value.cast_unsigned()),
            Plain::Float(value) => (3, value.to_bits()),
        }
    }

    #[inline]
    fn from_bits(kind: u64, word: u64) -> Self {
        match kind {
            0 => Plain::Nil,
            1 => Plain::Boolean(word != 0),
            2 => Plain::Integer(word.cast_signed()),
            _ => Plain::Float(f64::from_bits(word)),
        }
    }
}

/// A payload that is packed.
pub(super) struct Packed(Payload);

impl Packed {
    /// Packs a delivery; None if it needs a record. It holds a reference to the callback.
    #[inline]
    pub(super) fn pack<W: Wire>(callback: CallbackId, values: &impl Source<W>) -> Option<Payload> {
        let count = values.count();
        if !FITS || count > MOST {
            return None;
        }
        let mut last = PACKED | (count as u64) << 1 | callback.within_its_state();
        let mut words = [0; 3];
        for (at, word) in words.iter_mut().enumerate().take(count) {
            let (kind, bits) = values.plain(at)?.to_bits();
            *word = bits as usize;
            last |= kind << (KINDS + KIND_BITS * at as u32);
        }
        words[MOST] = last as usize;
        Some(Payload(words))
    }

    /// The payload, if it is packed.
    #[inline]
    pub(super) fn of(payload: &Payload) -> Option<Self> {
        (FITS && payload.0[MOST] as u64 & PACKED != 0).then_some(Packed(*payload))
    }

    fn last(&self) -> u64 {
        self.0.0[MOST] as u64
    }

    /// The callback, of the state of that dispatcher.
    #[inline]
    pub(super) fn callback(&self, dispatcher: u32) -> CallbackId {
        CallbackId::of_state(dispatcher, self.last())
    }

    #[inline]
    fn values(&self) -> impl Iterator<Item = Plain> {
        let (words, last) = (self.0.0, self.last());
        let count = (last >> 1 & 3) as usize;
        (0..count.min(MOST)).map(move |at| {
            let kind = last >> (KINDS + KIND_BITS * at as u32) & 3;
            Plain::from_bits(kind, words[at] as u64)
        })
    }

    /// Pushes the function and the values. Returns how many there are, or why it failed.
    ///
    /// # Safety
    /// As documented for `LuaValues`' methods.
    #[inline]
    pub(super) unsafe fn push(&self, lua: *mut c_void, handle: Handle) -> Result<c_int, &'static str> {
        let Some(to) = states::lua_values() else { return Err(NO_LUA) };
        // SAFETY: the caller's promise, here and below.
        unsafe { to.push_callback(lua, push::key(self.callback(handle.dispatcher), handle)) };
        let mut count = 1;
        for value in self.values() {
            // SAFETY: as above.
            unsafe { push::plain(to, lua, value) }?;
            count += 1;
        }
        Ok(count)
    }
}
