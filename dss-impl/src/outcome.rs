//! How a delivery ended, and why a decode or a reply failed.

use std::mem::MaybeUninit;

/// How a delivery ended. Its waiting thread gets this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Decode ended the delivery, and no reply was needed.
    Decoded,
    /// Lua replied.
    Replied,
    /// Lua dropped the reply function without calling it.
    Collected,
    /// The library was unregistered, or the state closed.
    Cancelled,
    /// Decode or return failed: a Lua error, or a panic in the library.
    Failed,
    /// The library ended it early.
    Withdrawn,
    /// A deadline that its library set has passed.
    TimedOut,
    /// It was dropped to make room for a later one.
    Dropped,
}

/// Why a decode or a reply failed, in up to 1,000 bytes of UTF-8. It has no destructor, because it is in stack frames that a Lua
/// error may skip.
pub struct Failure {
    bytes: MaybeUninit<[u8; 1000]>,
    length: usize,
}

impl Default for Failure {
    #[inline]
    fn default() -> Self {
        // `black_box`: otherwise all bytes of a constant would be copied, and this runs for each poll.
        Failure { bytes: MaybeUninit::uninit(), length: std::hint::black_box(0) }
    }
}

impl Failure {
    /// Keeps as much of `sentence` as fits, cut between two characters.
    pub fn set(&mut self, sentence: &str) {
        let bytes = self.bytes.write([0; 1000]);
        let mut length = sentence.len().min(bytes.len());
        while !sentence.is_char_boundary(length) {
            length -= 1;
        }
        bytes[..length].copy_from_slice(&sentence.as_bytes()[..length]);
        self.length = length;
    }

    /// Clears the sentence.
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
        // SAFETY: `set` writes all bytes before it sets a length.
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
