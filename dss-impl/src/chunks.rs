//! A table that grows without a lock and never moves its entries. It consists of chunks that double in size, are made when first
//! needed, and are never freed. Any index, whatever its bits, refers either to valid memory or to nothing. A lookup takes two loads.

use std::sync::OnceLock;

use crate::memory::TryRoom;

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

    /// The entry at `index`, if its chunk exists.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, place) = place(index);
        self.0.get(chunk)?.get()?.get(place)
    }

    /// The entry at `index`. Makes the chunk from `entry` if there is none yet. Returns None past the last chunk, or if there is no
    /// memory. If several threads make a chunk at the same time, each calls `entry`, and one chunk is kept.
    pub(crate) fn get_or_make(&self, index: u32, entry: impl Fn(u32) -> T) -> Option<&T> {
        let (chunk, place) = place(index);
        let lock = self.0.get(chunk)?;
        if lock.get().is_none() {
            let length = FIRST << chunk;
            let first = index - place as u32;
            let mut made = Vec::new();
            made.try_room_exact(length as usize).ok()?;
            made.extend((first..first + length).map(entry));
            // The vector has no spare room to give back, which might need memory. If another thread was faster, its chunk is used.
            drop(lock.set(made.into_boxed_slice()));
        }
        lock.get()?.get(place)
    }
}
