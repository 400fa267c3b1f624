//! What a delivery carries.

/// What a library handed over, in three words that only its revision's adapter interprets. The core keeps them and gives them back. An
/// adapter that keeps a delivery in memory has its address in the last word, so that the core can prefetch it. An odd number is no
/// such address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload(pub [usize; 3]);

impl Payload {
    /// Starts loading the delivery's memory into this processor's cache. Another thread wrote it. Safe for any payload.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // To prefetch an address that is not valid costs as much as a cache miss.
            if self.0[2] & 1 != 0 {
                return;
            }
            let address = std::ptr::without_provenance(self.0[2]);
            // SAFETY: the instruction reads nothing that the program can see, and does nothing with an address that is not valid.
            unsafe { _mm_prefetch(address, _MM_HINT_T0) };
        }
    }
}
