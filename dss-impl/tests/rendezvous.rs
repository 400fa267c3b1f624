//! The rendezvous as a library sees it: the record, and the sentences of what is refused.
#![cfg(not(loom))]

use std::ffi::c_void;

use dss_abi::{
    Answer, AnswerBuffer, BUILT_TO_UNWIND, GRANTED, MAGIC, Offer, REFUSED, Refused, Rendezvous, Request,
    RevisionStatus, Text,
};
use dss_impl::declared::Status;
use dss_impl::registry::rendezvous;

/// What a library called `misfit` asks for, without any layout.
fn misfit(revision: u32, wants: &'static str) -> Request {
    Request {
        size: Request::SIZE_2_0,
        revision,
        flags: BUILT_TO_UNWIND,
        reserved: 0,
        library: Text::of("misfit"),
        wants: Text::of(wants),
        header: std::ptr::null(),
        layout: std::ptr::null(),
    }
}

/// The status and the sentence that come back.
fn ask(request: *const Request) -> (i32, String) {
    let mut answer = AnswerBuffer::new();
    // SAFETY: each test gives NULL, or a record that is no shorter than the size it states.
    let status = unsafe { (rendezvous().request)(request, answer.answer()) };
    assert_eq!(status, answer.get().status);
    (status, answer.sentence())
}

fn refusal(request: *const Request) -> String {
    let (status, sentence) = ask(request);
    assert_eq!(status, REFUSED);
    sentence
}

#[test]
fn the_record_can_be_read_and_offers_what_there_is() {
    let address: *const Rendezvous = rendezvous();
    // SAFETY: what DSS publishes.
    let record = unsafe { Rendezvous::read(address.cast()) }.unwrap();
    assert_eq!((record.size, record.offer_size), (Rendezvous::SIZE_2_0, Offer::SIZE_2_0));
    // SAFETY: it was read.
    let offers: Vec<_> = unsafe { record.offers() }.collect();
    let revisions: Vec<_> = offers.iter().map(|offer| (offer.revision, offer.status)).collect();
    let (supported, preview) = (RevisionStatus::Supported as u32, Status::Preview as u32);
    assert_eq!(revisions, [(0, supported), (1, supported), (2, supported), (3, preview)]);
    // SAFETY: texts of the record live as long as the process.
    let names: Vec<_> = offers.iter().map(|offer| unsafe { offer.name.read() }).collect();
    assert_eq!(names, ["c1v0", "v1", "v2", "c2v0"]);
}

#[test]
fn a_record_that_has_more_at_its_ends_is_read_as_this_one() {
    #[repr(C)]
    struct LaterOffer {
        offer: Offer,
        more: u64,
    }
    #[repr(C)]
    struct Later {
        record: Rendezvous,
        more: [u64; 3],
    }
    let offer = |revision| Offer { revision, status: 9, name: Text::of("later"), version: Text::of("1.0.0") };
    let offers = [LaterOffer { offer: offer(1), more: 1 }, LaterOffer { offer: offer(9), more: 2 }];
    let later = Box::new(Later {
        record: Rendezvous {
            magic: MAGIC,
            size: size_of::<Later>() as u32,
            offer_size: size_of::<LaterOffer>() as u32,
            dss_version: Text::of("2.9.0"),
            lua: Text::of("Lua 5.4"),
            offers: offers.as_ptr().cast(),
            offer_count: offers.len(),
            request: rendezvous().request,
        },
        more: [3; 3],
    });
    assert_eq!((later.more, offers[1].more), ([3; 3], 2));
    // SAFETY: a record of the size it states.
    let record = unsafe { Rendezvous::read(std::ptr::from_ref(&*later).cast()) }.unwrap();
    // SAFETY: it was read, and its offers are of the size that it states.
    let revisions: Vec<_> = unsafe { record.offers() }.map(|offer| offer.revision).collect();
    assert_eq!(revisions, [1, 9]);
}

#[test]
fn a_record_that_is_shorter_than_in_2_0_is_refused() {
    let mut words = [0_u32; 4];
    words[0] = u32::from_ne_bytes(MAGIC[..4].try_into().unwrap());
    words[1] = u32::from_ne_bytes(MAGIC[4..].try_into().unwrap());
    words[2] = Rendezvous::SIZE_2_0 - 1;
    #[repr(C, align(8))]
    struct Aligned([u32; 4]);
    let short = Box::new(Aligned(words));
    let address: *const c_void = std::ptr::from_ref(&short.0).cast();
    // SAFETY: twelve bytes can be read, and no more is promised to be looked at for that size.
    let refused = unsafe { Rendezvous::read(address) }.err();
    let wanted = Rendezvous::SIZE_2_0;
    assert_eq!(refused, Some(Refused::Short { found: wanted - 1, wanted }));
    assert_eq!(
        refused.unwrap().to_string(),
        format!(
            "the DSS rendezvous is too short: this library reads {wanted} bytes, the loaded DSS has {}; upgrade DSS to \
             2.0.0 or later",
            wanted - 1
        )
    );
}

#[test]
fn a_short_request_is_refused_with_what_is_known_of_it() {
    let tail = format!(
        "and this DSS {} reads {} bytes: build the library with a released dss-abi",
        dss_impl::VERSION,
        Request::SIZE_2_0
    );
    let mut request = misfit(1, "^1.0.0");
    request.size = Request::SIZE_2_0 - 1;
    let size = request.size;
    assert_eq!(
        refusal(&raw const request),
        format!("misfit wants revision v1 with a request of {size} bytes, {tail}")
    );
    // The name would lie behind this.
    request.size = 16;
    assert_eq!(
        refusal(&raw const request),
        format!("a library wants revision v1 with a request of 16 bytes, {tail}")
    );
    request.size = 4;
    assert_eq!(
        refusal(&raw const request),
        format!("a library wants a revision with a request of 4 bytes, {tail}")
    );
    assert_eq!(
        refusal(std::ptr::null()),
        format!("a library wants a revision with a request of 0 bytes, {tail}")
    );
}

#[test]
fn a_longer_request_is_read_as_this_one() {
    #[repr(C)]
    struct Later {
        request: Request,
        more: u64,
    }
    let mut later = Later { request: misfit(7, "^7.0"), more: 1 };
    later.request.size = size_of::<Later>() as u32;
    assert_eq!(later.more, 1);
    let sentence = refusal((&raw const later).cast());
    assert!(sentence.starts_with("misfit wants revision v7 (^7.0), and this DSS "), "{sentence}");
    assert!(
        sentence.ends_with(" offers c1v0 (1.0.0), v1 (1.0.0), v2 (1.0.0), c2v0 (0.1.0): upgrade DSS"),
        "{sentence}"
    );
}

#[test]
fn an_answer_without_room_gets_no_sentence_and_is_not_written_to() {
    let request = misfit(7, "^7.0");
    let mut text = *b"untouched";
    let mut answer = Answer {
        size: Answer::SIZE_2_0 - 1,
        status: GRANTED,
        header: std::ptr::null(),
        layout: std::ptr::null(),
        root: std::ptr::null(),
        text: text.as_mut_ptr(),
        text_capacity: text.len(),
        text_length: 77,
    };
    // SAFETY: both records are no shorter than they state.
    let status = unsafe { (rendezvous().request)(&raw const request, &raw mut answer) };
    assert_eq!(status, REFUSED);
    assert_eq!((answer.status, answer.text_length), (GRANTED, 77));
    assert_eq!(&text, b"untouched");
    // SAFETY: NULL is allowed.
    let status = unsafe { (rendezvous().request)(&raw const request, std::ptr::null_mut()) };
    assert_eq!(status, REFUSED);
}

#[test]
fn a_sentence_is_cut_to_the_room_there_is() {
    let request = misfit(7, "^7.0");
    let mut text = [0_u8; 12];
    let mut answer = Answer {
        size: Answer::SIZE_2_0,
        status: GRANTED,
        header: std::ptr::null(),
        layout: std::ptr::null(),
        root: std::ptr::null(),
        text: text.as_mut_ptr(),
        text_capacity: text.len(),
        text_length: 0,
    };
    // SAFETY: both records are no shorter than they state, and the text has its capacity.
    let status = unsafe { (rendezvous().request)(&raw const request, &raw mut answer) };
    assert_eq!((status, answer.status, answer.text_length), (REFUSED, REFUSED, 12));
    assert_eq!(&text, b"misfit wants");
}

#[test]
fn a_request_without_layouts_is_refused() {
    let request = misfit(1, "^1.0.0");
    assert_eq!(
        refusal(&raw const request),
        "misfit asks for v1 without the layout of its types: build it with a released dss-abi-v1"
    );
}
