//! How a delivery ended, and why a decode or a reply failed.

use std::mem::MaybeUninit;

/// How a delivery ended, as its waiting thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Decode said that the delivery is over; there was nothing to reply to.
    Decoded,
    /// Lua replied.
    Replied,
    /// Lua dropped the reply uncalled.
    Collected,
    /// The library was unregistered, or the state closed.
    Cancelled,
    /// Decode or return failed: a Lua error, or a panic of the library's.
    Failed,
    /// The library ended it before its time.
    Withdrawn,
    /// A deadline that its library set was over.
    TimedOut,
    /// It made room for a later one.
    Dropped,
}

/// Why a decode or a reply failed, in up to 1,000 bytes of UTF-8. Without a destructor: it lies in frames that a Lua
/// error may skip.
pub struct Failure {
    bytes: MaybeUninit<[u8; 1000]>,
    length: usize,
}

impl Default for Failure {
    #[inline]
    fn default() -> Self {
        // Behind a black box, for a constant would be copied whole, and this is made for each poll.
        Failure { bytes: MaybeUninit::uninit(), length: std::hint::black_box(0) }
    }
}

impl Failure {
    /// Keeps `sentence`, as much of it as fits, cut between two characters.
    pub fn set(&mut self, sentence: &str) {
        let bytes = self.bytes.write([0; 1000]);
        let mut length = sentence.len().min(bytes.len());
        while !sentence.is_char_boundary(length) {
            length -= 1;
        }
        bytes[..length].copy_from_slice(&sentence.as_bytes()[..length]);
        self.length = length;
    }

    /// Forgets what was kept.
    #[inline]
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// The sentence.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: `set` wrote all of it before it set a length.
        unsafe { &self.bytes.assume_init_ref()[..self.length] }
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Self {
        let mut failure = Failure::default();
        failure.set(sentence);
        failure
    }
}
