//! A table that grows without a lock and never moves what it holds: chunks that double in size, are made when first needed,
//! and are never freed. An index, whatever its bits, names memory that is there or nothing; looking it up takes two loads.

use std::sync::OnceLock;

/// Entries in the first chunk; chunk k has `FIRST << k`.
const FIRST: u32 = 8;
/// Enough for 2^20 entries.
const CHUNKS: usize = 18;

/// The table.
pub(crate) struct Chunks<T>([OnceLock<Box<[T]>>; CHUNKS]);

/// The chunk of `index`, and the place in it.
#[inline]
fn place(index: u32) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2();
    (chunk as usize, (index - FIRST * ((1 << chunk) - 1)) as usize)
}

impl<T> Chunks<T> {
    pub(crate) const fn new() -> Self {
        Chunks([const { OnceLock::new() }; CHUNKS])
    }

    /// The entry at `index`, if its chunk was made.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, place) = place(index);
        self.0.get(chunk)?.get()?.get(place)
    }

    /// The entry at `index`, whose chunk is made of `entry` where it is not there; none past the last chunk, or where there is no
    /// memory for one. Threads that make one at the same time each call `entry`, and one of them is kept.
    pub(crate) fn get_or_make(&self, index: u32, entry: impl Fn(u32) -> T) -> Option<&T> {
        let (chunk, place) = place(index);
        let lock = self.0.get(chunk)?;
        if lock.get().is_none() {
            let length = FIRST << chunk;
            let first = index - place as u32;
            let mut made = Vec::new();
            made.try_reserve_exact(length as usize).ok()?;
            made.extend((first..first + length).map(entry));
            // It has no room to give back, which would want memory. Where another thread was faster, its chunk is the one.
            drop(lock.set(made.into_boxed_slice()));
        }
        lock.get()?.get(place)
    }
}
