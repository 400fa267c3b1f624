//! What `library!` and `object!` check at compile time. Each error is a sentence that says what is wrong.

/// The first name that is in a list twice. It is empty if there is none.
#[must_use]
pub const fn twice(names: &[&'static str]) -> &'static str {
    let mut at = 0;
    while at < names.len() {
        let mut before = 0;
        while before < at {
            // The default name of a class that was written by hand is empty, and says nothing.
            if !names[at].is_empty() && same(names[at], names[before]) {
                return names[at];
            }
            before += 1;
        }
        at += 1;
    }
    ""
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The length of a sentence in bytes.
#[must_use]
pub const fn length(parts: &[&str]) -> usize {
    let (mut length, mut part) = (0, 0);
    while part < parts.len() {
        length += parts[part].len();
        part += 1;
    }
    length
}

/// Joins the parts of a sentence. `format!` does not work in a constant.
#[must_use]
pub const fn joined<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut sentence = [0; N];
    let (mut length, mut part) = (0, 0);
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            sentence[length] = bytes[at];
            length += 1;
            at += 1;
        }
        part += 1;
    }
    sentence
}

/// Ends the compilation with a sentence, if `refused`.
///
/// # Panics
/// At compile time, if `refused`.
pub const fn refuse_if(refused: bool, sentence: &[u8]) {
    if refused {
        match core::str::from_utf8(sentence) {
            Ok(sentence) => panic!("{}", sentence),
            Err(_) => panic!("`library!` or `object!` is not well formed"),
        }
    }
}
