//! The rendezvous: the record that DSS publishes, and its answers to libraries that ask for a revision. The registry passes in the
//! list of revisions.

use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dss_abi::{Answer, GRANTED, MAGIC, Offer, REFUSED, Rendezvous, Request, RequestFn, Text};
use semver::{Version, VersionReq};

use crate::revision::{Grant, Revision, by_number, name_of};
use crate::states::lua_name;

/// Makes the record that offers `revisions`, with `request` as its function. The memory of its list is never freed, so make it only once.
/// [any-thread]
#[must_use]
pub fn record(revisions: &[&'static Revision], request: RequestFn) -> Rendezvous {
    let offer = |revision: &&'static Revision| Offer {
        revision: revision.number,
        status: revision.status as u32,
        name: Text::of(revision.name),
        version: Text::of(revision.version),
    };
    let offers = revisions.iter().map(offer).collect::<Vec<_>>().leak();
    Rendezvous {
        magic: MAGIC,
        size: size_of::<Rendezvous>() as u32,
        offer_size: size_of::<Offer>() as u32,
        dss_version: Text::of(crate::VERSION),
        lua: Text::of(lua_name()),
        offers: offers.as_ptr(),
        offer_count: offers.len(),
        request,
    }
}

/// Answers a library that asks a DSS that offers `revisions`. [any-thread]
///
/// # Safety
/// The contract of [`RequestFn`].
pub unsafe fn answer(revisions: &[&Revision], request: *const Request, answer: *mut Answer) -> i32 {
    // SAFETY: guaranteed by the contract of `RequestFn`.
    if unsafe { stated_size(answer) } < Answer::SIZE_2_0 {
        return REFUSED; // there is no place for a sentence
    }
    // SAFETY: by the contract of `RequestFn`, it is as large as it states, which covers the struct, and only this call uses it.
    let answer = unsafe { &mut *answer };
    let decided = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: guaranteed by the contract of `RequestFn`.
        unsafe { complete(revisions, request) }.and_then(|request| decide(revisions, request))
    }));
    let decided = decided.unwrap_or_else(|_| {
        Err(format!("this DSS {} failed while it read the request of a library: upgrade DSS", crate::VERSION))
    });
    answer.text_length = 0;
    match decided {
        Ok(grant) => {
            answer.header = grant.header as *const _;
            answer.layout = grant.layout as *const _;
            answer.root = grant.root as *const _;
            answer.status = GRANTED;
        }
        Err(sentence) => {
            answer.status = REFUSED;
            // SAFETY: by the contract of `RequestFn`, the text has the stated capacity.
            unsafe { answer.write_sentence(&sentence) };
        }
    }
    answer.status
}

/// The size that a record states; 0 if there is no record.
///
/// # Safety
/// `record` is NULL, or begins with its size.
unsafe fn stated_size<T>(record: *const T) -> u32 {
    if record.is_null() {
        return 0;
    }
    // SAFETY: as the caller promises.
    unsafe { record.cast::<u32>().read() }
}

/// The request, if it is complete. A refusal names the sender, if that part of the request is there.
///
/// # Safety
/// The contract of [`dss_abi::RequestFn`].
unsafe fn complete<'a>(revisions: &[&Revision], request: *const Request) -> Result<&'a Request, String> {
    // SAFETY: as the caller promises.
    let found = unsafe { stated_size(request) };
    if found >= Request::SIZE_2_0 {
        // SAFETY: its size covers the struct.
        return Ok(unsafe { &*request });
    }
    // SAFETY: as the caller promises, and any value of a number is valid.
    let number = unsafe { field::<u32>(request, found, offset_of!(Request, revision)) };
    // SAFETY: as above, and any value of a pointer with a length is valid.
    let library = unsafe { field::<Text>(request, found, offset_of!(Request, library)) };
    // SAFETY: by the contract of `RequestFn`, texts are borrowed for the length of the call.
    let library = library.map(|text| unsafe { text.read() });
    Err(format!(
        "{} wants {} with a request of {found} bytes, and this DSS {} reads {} bytes: build the library with a released \
         dss-abi",
        library.as_deref().unwrap_or("a library"),
        number.map_or_else(
            || "a revision".to_owned(),
            |number| format!("revision {}", name_of(revisions, number))
        ),
        crate::VERSION,
        Request::SIZE_2_0,
    ))
}

/// The field at `offset` in a request of `size` bytes, if the request is long enough.
///
/// # Safety
/// `size` bytes of the request are readable, and contain a `T` at `offset` if they are long enough.
unsafe fn field<T>(request: *const Request, size: u32, offset: usize) -> Option<T> {
    if (size as usize) < offset + size_of::<T>() {
        return None;
    }
    // SAFETY: as the caller promises. A short record need not be aligned.
    Some(unsafe { request.wrapping_byte_add(offset).cast::<T>().read_unaligned() })
}

/// Finds the requested revision. A refusal names both sides.
fn decide(revisions: &[&Revision], request: &Request) -> Result<Grant, String> {
    // SAFETY: by the contract of `RequestFn`, texts are borrowed for the length of the call.
    let library = unsafe { request.library.read() };
    // SAFETY: as above.
    let wants = unsafe { request.wants.read() };
    let offered = || {
        let each = |revision: &&Revision| format!("{} ({})", revision.name, revision.version);
        revisions.iter().map(each).collect::<Vec<_>>().join(", ")
    };
    let wanted = VersionReq::parse(&wants).map_err(|error| {
        format!("{library}: the version requirement `{wants}` is not valid semver ({error}): fix the library")
    })?;
    let number = request.revision;
    let found = by_number(revisions, number).and_then(|revision| Some((revision, revision.grant()?)));
    let Some((revision, grant)) = found else {
        let newest = revisions.iter().map(|revision| revision.number).max();
        let advice = if Some(number) > newest {
            "upgrade DSS"
        } else {
            "build the library for one of these revisions"
        };
        return Err(format!(
            "{library} wants revision {} ({wants}), and this DSS {} offers {}: {advice}",
            name_of(revisions, number),
            crate::VERSION,
            offered(),
        ));
    };
    let version = Version::parse(revision.version).map_err(|error| error.to_string())?;
    if !wanted.matches(&version) {
        return Err(format!(
            "{library} wants {} {wants}, and this DSS {} offers {}: upgrade DSS, or build the library for an offered version",
            revision.name,
            crate::VERSION,
            offered(),
        ));
    }
    grant(request, &library)
}

// `size` must stay where every reader expects it, whatever else changes.
const _: () = {
    assert!(offset_of!(Rendezvous, size) == 8);
    assert!(offset_of!(Request, size) == 0);
    assert!(offset_of!(Answer, size) == 0);
};

// The offsets of 2.0.0. They are not next to the types, because the crate of the types also builds with compilers that lack `offset_of`.
const _: () = {
    const WORD: usize = size_of::<usize>();
    assert!(offset_of!(Text, bytes) == 0);
    assert!(offset_of!(Text, length) == WORD);

    assert!(offset_of!(Offer, revision) == 0);
    assert!(offset_of!(Offer, status) == 4);
    assert!(offset_of!(Offer, name) == 8);
    assert!(offset_of!(Offer, version) == 8 + 2 * WORD);

    assert!(offset_of!(Rendezvous, magic) == 0);
    assert!(offset_of!(Rendezvous, size) == 8);
    assert!(offset_of!(Rendezvous, offer_size) == 12);
    assert!(offset_of!(Rendezvous, dss_version) == 16);
    assert!(offset_of!(Rendezvous, lua) == 16 + 2 * WORD);
    assert!(offset_of!(Rendezvous, offers) == 16 + 4 * WORD);
    assert!(offset_of!(Rendezvous, offer_count) == 16 + 5 * WORD);
    assert!(offset_of!(Rendezvous, request) == 16 + 6 * WORD);

    assert!(offset_of!(Request, size) == 0);
    assert!(offset_of!(Request, revision) == 4);
    assert!(offset_of!(Request, flags) == 8);
    assert!(offset_of!(Request, reserved) == 12);
    assert!(offset_of!(Request, library) == 16);
    assert!(offset_of!(Request, wants) == 16 + 2 * WORD);
    assert!(offset_of!(Request, header) == 16 + 4 * WORD);
    assert!(offset_of!(Request, layout) == 16 + 5 * WORD);

    assert!(offset_of!(Answer, size) == 0);
    assert!(offset_of!(Answer, status) == 4);
    assert!(offset_of!(Answer, header) == 8);
    assert!(offset_of!(Answer, layout) == 8 + WORD);
    assert!(offset_of!(Answer, root) == 8 + 2 * WORD);
    assert!(offset_of!(Answer, text) == 8 + 3 * WORD);
    assert!(offset_of!(Answer, text_capacity) == 8 + 4 * WORD);
    assert!(offset_of!(Answer, text_length) == 8 + 5 * WORD);
};
