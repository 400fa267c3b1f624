//! The record itself, and how it is read without trusting it.

use std::fmt;
use std::mem::{align_of, size_of};
use std::os::raw::c_void;

use crate::request::RequestFn;

/// The registry key of the table in which everything of DSS is published; 1.0's name for it.
pub const REGISTRY_KEY: &str = "DSS.DarkSideSync";

/// The key in that table under which the address of the [`Rendezvous`] lies, as a light userdata.
pub const RENDEZVOUS_KEY: &str = "DSS Rendezvous";

/// The first eight bytes of every [`Rendezvous`].
pub const MAGIC: [u8; 8] = *b"DSS\0RDV1";

/// A borrowed text in UTF-8: a pointer and a length in bytes, not terminated. Part of the records, so it never grows.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The first byte; may be NULL or dangling where `length` is 0.
    pub bytes: *const u8,
    /// The length in bytes.
    pub length: usize,
}

impl Text {
    /// Borrows a text that lives as long as the process.
    #[must_use]
    pub const fn of(text: &'static str) -> Self {
        Text { bytes: text.as_ptr(), length: text.len() }
    }

    /// Borrows `text` for the length of a call; whoever receives it copies what it keeps.
    #[must_use]
    pub const fn borrowed(text: &str) -> Self {
        Text { bytes: text.as_ptr(), length: text.len() }
    }

    /// The text as a `String`; what is not UTF-8 is replaced.
    ///
    /// # Safety
    /// `bytes` must point to `length` readable bytes, or be NULL, or `length` must be 0.
    #[must_use]
    pub unsafe fn read(self) -> String {
        if self.bytes.is_null() || self.length == 0 {
            return String::new();
        }
        // SAFETY: as this function's caller promises.
        let bytes = unsafe { std::slice::from_raw_parts(self.bytes, self.length) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

// SAFETY: a `Text` is plain data; reading it is the unsafe act, and its caller answers for it.
unsafe impl Send for Text {}
// SAFETY: as above.
unsafe impl Sync for Text {}

/// How long a revision will be offered.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevisionStatus {
    /// It is here to stay.
    Supported = 1,
    /// It works, and a later release may drop it.
    Deprecated = 2,
}

/// One revision that a DSS offers.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The revision's number: 1 for v1. 1.0's C interface, found by its own key, is listed as 0.
    pub revision: u32,
    /// A [`RevisionStatus`] as its number; an unknown one counts as supported.
    pub status: u32,
    /// The revision's name, `c1v0` or `v1`.
    pub name: Text,
    /// The version of that revision's interface, as semver.
    pub version: Text,
}

impl Offer {
    /// The size that an offer had in 2.0.0, in bytes: 40 on 64 bits. What lies behind it may be read only where
    /// [`Rendezvous::offer_size`] covers it.
    pub const SIZE_2_0: u32 = 8 + 4 * size_of::<usize>() as u32;
}

/// What DSS publishes, one for the process. Plain C layout; the record grows at its end alone.
#[repr(C)]
#[derive(Debug)]
pub struct Rendezvous {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// The size of this record in bytes, as its publisher has it.
    pub size: u32,
    /// The size of one [`Offer`] in bytes, as its publisher has it: the stride of `offers`.
    pub offer_size: u32,
    /// The product's version, as semver.
    pub dss_version: Text,
    /// The Lua that this DSS was built for, as `_VERSION` or `LuaJIT` says it.
    pub lua: Text,
    /// The revisions offered, ascending by number.
    pub offers: *const Offer,
    /// How many of them.
    pub offer_count: usize,
    /// Asks for a revision. [any-thread]
    pub request: RequestFn,
}

// SAFETY: published once, never written again, and all that it points to lives as long as the process.
unsafe impl Send for Rendezvous {}
// SAFETY: as above.
unsafe impl Sync for Rendezvous {}

/// Why an address is not a rendezvous that this crate can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The address is NULL or misaligned: DSS was not required in this Lua state, or it is a 1.x that has no
    /// rendezvous.
    Missing,
    /// The first eight bytes are not [`MAGIC`].
    Magic([u8; 8]),
    /// The record is shorter than it was in 2.0.0.
    Short {
        /// The size that the record gives of itself, in bytes.
        found: u32,
        /// The least that is needed, in bytes.
        wanted: u32,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Missing => f.write_str(
                "this Lua state has no DSS rendezvous: call `require \"darksidesync\"` first, with DSS 2.0.0 or later",
            ),
            Refused::Magic(found) => write!(
                f,
                "the DSS rendezvous has the wrong magic: wanted {:?}, found {:?}; \
                 something else lies under the registry's key, or this DSS is too new for the library: rebuild the library",
                String::from_utf8_lossy(&MAGIC),
                String::from_utf8_lossy(found),
            ),
            Refused::Short { found, wanted } => write!(
                f,
                "the DSS rendezvous is too short: this library reads {} bytes, the loaded DSS has {}; \
                 upgrade DSS to 2.0.0 or later",
                wanted, found
            ),
        }
    }
}

impl std::error::Error for Refused {}

impl Rendezvous {
    /// The size that the record had in 2.0.0, in bytes: 72 on 64 bits. What lies behind it may be read only where
    /// [`Self::size`] covers it.
    pub const SIZE_2_0: u32 = 16 + 7 * size_of::<usize>() as u32;

    /// Reads the record at `address`, looking at no more of it than what was checked before.
    ///
    /// # Errors
    /// [`Refused`] says what does not fit.
    ///
    /// # Safety
    /// `address` is NULL, or points to at least 12 readable bytes; where these are a magic and a size, to that many
    /// bytes, alive as long as the process.
    pub unsafe fn read(address: *const c_void) -> Result<&'static Rendezvous, Refused> {
        if address.is_null() || address as usize % align_of::<Rendezvous>() != 0 {
            return Err(Refused::Missing);
        }
        // SAFETY: the caller promises 12 bytes.
        let magic = unsafe { address.cast::<[u8; 8]>().read() };
        if magic != MAGIC {
            return Err(Refused::Magic(magic));
        }
        // SAFETY: still inside the 12 bytes.
        let size = unsafe { address.cast::<u32>().add(2) };
        // SAFETY: as above, and `address` is aligned for more than a `u32`.
        let size = unsafe { size.read() };
        if size < Self::SIZE_2_0 {
            return Err(Refused::Short { found: size, wanted: Self::SIZE_2_0 });
        }
        // SAFETY: the size that the record gives covers the struct, which is as large as in 2.0.0; the caller promises that
        // many bytes.
        Ok(unsafe { &*address.cast::<Rendezvous>() })
    }

    /// The revisions offered; none where the records are shorter than they were in 2.0.0.
    ///
    /// # Safety
    /// `self` came from [`Self::read`].
    pub unsafe fn offers(&self) -> impl Iterator<Item = Offer> + '_ {
        let stride = self.offer_size as usize;
        let count = if self.offer_size < Offer::SIZE_2_0 { 0 } else { self.offer_count };
        (0..count).map(move |index| {
            // SAFETY: `offers` has `offer_count` records, `offer_size` bytes apart, the first fields of each an `Offer`.
            let at = unsafe { self.offers.cast::<u8>().add(index * stride) };
            // SAFETY: as above; a later publisher may have records of another alignment.
            unsafe { at.cast::<Offer>().read_unaligned() }
        })
    }
}

// The layout is frozen; DSS itself asserts the place of each field, with a compiler that can.
const _: () = {
    assert!(size_of::<Text>() == 2 * size_of::<usize>());
    assert!(size_of::<Offer>() == Offer::SIZE_2_0 as usize);
    assert!(size_of::<Rendezvous>() == Rendezvous::SIZE_2_0 as usize);
    assert!(align_of::<Rendezvous>() == align_of::<usize>());
};
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<Text>() == 16);
    assert!(Offer::SIZE_2_0 == 40);
    assert!(Rendezvous::SIZE_2_0 == 72);
};
#[cfg(target_pointer_width = "32")]
const _: () = {
    assert!(size_of::<Text>() == 8);
    assert!(Offer::SIZE_2_0 == 24);
    assert!(Rendezvous::SIZE_2_0 == 44);
};
