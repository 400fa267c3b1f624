//! A file that says it is a library: reading what it declares ends with that or with an error, whatever is in it.
//!
//! ```sh
//! DSS_FUZZ_SEEDS=$PWD/fuzz/corpus/declaration cargo test -p dss-impl --test declared_fuzz seeds
//! cargo +nightly fuzz run declaration -- -runs=1000000 -max_len=32768
//! ```
#![no_main]

use std::borrow::Cow;

use dss_impl::declared::{Float, Libc, Platform, parse_for};
use libfuzzer_sys::fuzz_target;

const PLATFORMS: [Platform; 6] = [
    platform("linux", "x86_64", 64, false, Some(Libc::Gnu), None),
    platform("linux", "x86_64", 64, false, Some(Libc::Musl), None),
    platform("linux", "s390x", 64, true, Some(Libc::Gnu), None),
    platform("linux", "arm", 32, false, Some(Libc::Gnu), Some(Float::Hard)),
    platform("windows", "x86_64", 64, false, None, None),
    platform("macos", "aarch64", 64, false, None, None),
];

const fn platform(
    system: &'static str,
    processor: &'static str,
    bits: u32,
    big_endian: bool,
    libc: Option<Libc>,
    float: Option<Float>,
) -> Platform {
    Platform { system, processor: Cow::Borrowed(processor), bits, big_endian, libc, float }
}

fuzz_target!(|bytes: &[u8]| {
    for platform in PLATFORMS {
        if let Err(error) = parse_for(bytes, &platform) {
            assert!(error.to_string().len() < 1024);
        }
    }
});
