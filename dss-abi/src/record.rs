//! The record itself, and how it is read without trusting it.

use std::fmt;
use std::mem::{align_of, size_of};
use std::os::raw::c_void;

use crate::request::RequestFn;

/// The key of the table in the Lua registry in which DSS publishes everything. DSS 1.0 has the same key.
pub const REGISTRY_KEY: &str = "DSS.DarkSideSync";

/// The key in that table of the address of the [`Rendezvous`], a light userdata.
pub const RENDEZVOUS_KEY: &str = "DSS Rendezvous";

/// The first eight bytes of every [`Rendezvous`].
pub const MAGIC: [u8; 8] = *b"DSS\0RDV1";

/// A borrowed text in UTF-8: a pointer and a length in bytes. It is not terminated. It is part of other records, so
/// it never grows.
///
/// ```
/// let text = dss_abi::Text::of("hello");
/// assert_eq!(text.length, 5);
/// assert_eq!(unsafe { text.read() }, "hello");
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// The first byte. It may be NULL or dangling if `length` is 0.
    pub bytes: *const u8,
    /// The length in bytes.
    pub length: usize,
}

impl Text {
    /// Borrows a text that lives until the process ends.
    ///
    /// ```
    /// static NAME: dss_abi::Text = dss_abi::Text::of("hello");
    /// ```
    #[must_use]
    pub const fn of(text: &'static str) -> Self {
        Text { bytes: text.as_ptr(), length: text.len() }
    }

    /// Borrows a text for a call. The receiver copies it if it keeps it.
    ///
    /// ```
    /// let name = format!("library {}", 7);
    /// let text = dss_abi::Text::borrowed(&name);
    /// assert_eq!(unsafe { text.read() }, "library 7"); // `name` is still alive
    /// ```
    #[must_use]
    pub const fn borrowed(text: &str) -> Self {
        Text { bytes: text.as_ptr(), length: text.len() }
    }

    /// Copies the text into a `String`. Bytes that are not UTF-8 are replaced.
    ///
    /// ```
    /// let bytes = [b'a', 0xFF];
    /// let text = dss_abi::Text { bytes: bytes.as_ptr(), length: bytes.len() };
    /// assert_eq!(unsafe { text.read() }, "a\u{FFFD}");
    /// ```
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

/// Whether later releases will offer a revision.
///
/// ```
/// use dss_abi::{Offer, RevisionStatus};
///
/// fn is_deprecated(offer: &Offer) -> bool {
///     offer.status == RevisionStatus::Deprecated as u32
/// }
/// ```
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevisionStatus {
    /// Later releases will offer it.
    Supported = 1,
    /// It works, but a later release may drop it.
    Deprecated = 2,
}

/// One revision that a DSS offers.
///
/// ```
/// use dss_abi::{Offer, RevisionStatus, Text};
///
/// static OFFER: Offer = Offer {
///     revision: 2,
///     status: RevisionStatus::Supported as u32,
///     name: Text::of("v2"),
///     version: Text::of("1.0.0"),
/// };
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The revision's number, such as 1 for v1. The C interface of DSS 1.0, which has its own key, is listed as 0.
    pub revision: u32,
    /// The number of a [`RevisionStatus`]. An unknown number means supported.
    pub status: u32,
    /// The revision's name, `c1v0` or `v1`.
    pub name: Text,
    /// The version of that revision's interface, as semver.
    pub version: Text,
}

impl Offer {
    /// The size of an offer in 2.0.0, in bytes: 40 on 64 bits. Read later fields only if [`Rendezvous::offer_size`]
    /// covers them.
    pub const SIZE_2_0: u32 = 8 + 4 * size_of::<usize>() as u32;
}

/// The record that DSS publishes, once for the process. It has plain C layout, and grows only at its end.
///
/// ```
/// use dss_abi::{Answer, Offer, Rendezvous, Request, RevisionStatus, Text, MAGIC, REFUSED};
///
/// static OFFERS: [Offer; 1] = [Offer {
///     revision: 2,
///     status: RevisionStatus::Supported as u32,
///     name: Text::of("v2"),
///     version: Text::of("1.0.0"),
/// }];
///
/// unsafe extern "C" fn request(_: *const Request, answer: *mut Answer) -> i32 {
///     if let Some(answer) = answer.as_mut() {
///         answer.status = REFUSED;
///         answer.write_sentence("no revision today");
///     }
///     REFUSED
/// }
///
/// static RENDEZVOUS: Rendezvous = Rendezvous {
///     magic: MAGIC,
///     size: Rendezvous::SIZE_2_0,
///     offer_size: Offer::SIZE_2_0,
///     dss_version: Text::of("2.1.0"),
///     lua: Text::of("Lua 5.4"),
///     offers: OFFERS.as_ptr(),
///     offer_count: OFFERS.len(),
///     request,
/// };
///
/// // What DSS puts into the registry.
/// let address: *const Rendezvous = &RENDEZVOUS;
/// let found = unsafe { Rendezvous::read(address.cast()) }.unwrap();
/// assert_eq!(unsafe { found.dss_version.read() }, "2.1.0");
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Rendezvous {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// The size of this record in bytes, for its publisher.
    pub size: u32,
    /// The size of one [`Offer`] in bytes, for its publisher. It is the stride of `offers`.
    pub offer_size: u32,
    /// The version of DSS, as semver.
    pub dss_version: Text,
    /// The Lua for which this DSS was built: the text of `_VERSION`, or `LuaJIT`.
    pub lua: Text,
    /// The offered revisions, in ascending order of their numbers.
    pub offers: *const Offer,
    /// The number of offers.
    pub offer_count: usize,
    /// Asks for a revision. [any-thread]
    pub request: RequestFn,
}

// SAFETY: published once, never written again, and all that it points to lives as long as the process.
unsafe impl Send for Rendezvous {}
// SAFETY: as above.
unsafe impl Sync for Rendezvous {}

/// Why an address is not a rendezvous that this crate can read.
///
/// ```
/// use dss_abi::{Refused, Rendezvous};
///
/// let refused = unsafe { Rendezvous::read(std::ptr::null()) }.unwrap_err();
/// assert_eq!(refused, Refused::Missing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The address is NULL or misaligned. DSS was not required in this Lua state, or it is a 1.x, which has no
    /// rendezvous.
    Missing,
    /// The first eight bytes are not [`MAGIC`].
    Magic([u8; 8]),
    /// The record is shorter than it was in 2.0.0.
    Short {
        /// The size that the record states, in bytes.
        found: u32,
        /// The least size that is needed, in bytes.
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
    /// The size of the record in 2.0.0, in bytes: 72 on 64 bits. Read later fields only if [`Self::size`] covers
    /// them.
    pub const SIZE_2_0: u32 = 16 + 7 * size_of::<usize>() as u32;

    /// Checks the record at `address`, and returns it. It reads each part only after it has checked the part before.
    ///
    /// ```
    /// use dss_abi::{Refused, Rendezvous};
    ///
    /// static OTHER: [u64; 9] = [0; 9];
    /// let refused = unsafe { Rendezvous::read(OTHER.as_ptr().cast()) }.unwrap_err();
    /// assert_eq!(refused, Refused::Magic([0; 8]));
    /// ```
    ///
    /// # Errors
    /// [`Refused`] says what does not fit.
    ///
    /// # Safety
    /// `address` is NULL, or points to at least 12 readable bytes. If these bytes are [`MAGIC`] and a size, it points
    /// to that many bytes, which live until the process ends.
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

    /// The offered revisions. There are none if the records are shorter than in 2.0.0.
    ///
    /// ```
    /// # use dss_abi::Rendezvous;
    /// # use std::os::raw::c_void;
    /// /// Whether this DSS offers v2.
    /// ///
    /// /// # Safety
    /// /// `address` is the light userdata in the registry, or NULL.
    /// unsafe fn has_v2(address: *const c_void) -> bool {
    ///     match Rendezvous::read(address) {
    ///         Ok(rendezvous) => rendezvous.offers().any(|offer| offer.revision == 2),
    ///         Err(_) => false,
    ///     }
    /// }
    /// # assert!(!unsafe { has_v2(std::ptr::null()) });
    /// ```
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
