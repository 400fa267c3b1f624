//! A file that says it is a library: reading what it declares ends with that or with an error, whatever is in it.
//!
//! ```sh
//! DSS_FUZZ_SEEDS=$PWD/fuzz/corpus/declaration cargo test -p dss-impl --test declared_fuzz seeds
//! cargo +nightly fuzz run declaration -- -runs=1000000 -max_len=32768
//! ```
#![no_main]

use std::borrow::Cow;

use dss_impl::declared::{Platform, parse_for};
use libfuzzer_sys::fuzz_target;

const PLATFORMS: [(&str, &str, u32, bool); 5] = [
    ("linux", "x86_64", 64, false),
    ("linux", "s390x", 64, true),
    ("linux", "arm", 32, false),
    ("windows", "x86_64", 64, false),
    ("macos", "aarch64", 64, false),
];

fuzz_target!(|bytes: &[u8]| {
    for (system, processor, bits, big_endian) in PLATFORMS {
        let platform = Platform { system, processor: Cow::Borrowed(processor), bits, big_endian };
        if let Err(error) = parse_for(bytes, &platform) {
            assert!(error.to_string().len() < 1024);
        }
    }
});
