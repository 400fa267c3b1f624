//! What a delivery carries.

/// What a library handed over, in three words that only its revision's adapter reads. The core keeps them and gives them back. The last word
/// is the address of what the delivery consists of, if that is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload(pub [usize; 3]);

impl Payload {
    /// Begins to bring the delivery's memory to this processor, which will read it soon. Another one wrote it. Any payload will do.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let address = std::ptr::without_provenance(self.0[2]);
            // SAFETY: the instruction reads nothing that the program can see, and does nothing with an address that is not valid.
            unsafe { _mm_prefetch(address, _MM_HINT_T0) };
        }
    }
}
