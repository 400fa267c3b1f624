//! What a delivery is made of: the reason of a failure, and sizes.
#![cfg(not(loom))]

use dss_impl::delivery::{Announced, DeliverError};
use dss_impl::outcome::{Failure, Outcome};
use dss_impl::payload::Payload;

#[test]
fn a_failure_keeps_its_sentence() {
    assert_eq!(Failure::default().as_bytes(), b"");
    assert_eq!(Failure::from("no such file").as_bytes(), b"no such file");
    let mut failure = Failure::from("the first, which is longer");
    failure.set("the second");
    assert_eq!(failure.as_bytes(), b"the second");
    failure.set("");
    assert_eq!(failure.as_bytes(), b"");
}

#[test]
fn a_long_failure_is_cut_between_two_characters() {
    let exact = "x".repeat(1000);
    assert_eq!(Failure::from(&*exact).as_bytes(), exact.as_bytes());
    assert_eq!(Failure::from(&*"x".repeat(1001)).as_bytes(), exact.as_bytes());
    for character in ["é", "€", "😀"] {
        for offset in 0..4 {
            let sentence = "x".repeat(offset) + &character.repeat(1000);
            let failure = Failure::from(&*sentence);
            let kept = std::str::from_utf8(failure.as_bytes()).expect("cut inside a character");
            assert!(sentence.starts_with(kept));
            assert!(kept.len() > 1000 - character.len() && kept.len() <= 1000);
        }
    }
}

#[test]
fn a_failure_may_lie_in_a_frame_that_a_lua_error_skips() {
    assert!(!std::mem::needs_drop::<Failure>());
    assert!(!std::mem::needs_drop::<dss_impl::dispatcher::Taken>());
    assert!(!std::mem::needs_drop::<dss_impl::dispatcher::Replying>());
}

#[test]
fn what_crosses_for_each_item_is_small() {
    assert_eq!(size_of::<Payload>(), 3 * size_of::<usize>());
    assert_eq!(size_of::<Outcome>(), 1);
    assert!(size_of::<Result<Announced, DeliverError>>() <= 2);
    assert!(size_of::<dss_impl::dispatcher::Taken>() <= 128);
}
