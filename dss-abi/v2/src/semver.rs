//! Checks versions and requirements at compile time.
//!
//! DSS reads both with the crate `semver`. This module refuses exactly the texts that `semver` refuses, and a test
//! compares the two. The numbers are not needed, so they are not kept.

/// A place in a text.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The end of a valid part, or nothing if the part is invalid.
type Read<'a> = Option<Cursor<'a>>;

impl<'a> Cursor<'a> {
    const fn new(text: &'a str) -> Self {
        Cursor { bytes: text.as_bytes(), at: 0 }
    }

    const fn is_at_end(self) -> bool {
        self.at == self.bytes.len()
    }

    /// The byte at this place. At the end it is 0, which no version contains.
    const fn byte(self) -> u8 {
        if self.is_at_end() {
            0
        } else {
            self.bytes[self.at]
        }
    }

    const fn skip(self, count: usize) -> Self {
        Cursor { bytes: self.bytes, at: self.at + count }
    }

    const fn past_spaces(mut self) -> Self {
        while self.byte() == b' ' {
            self = self.skip(1);
        }
        self
    }

    const fn is_wildcard(self) -> bool {
        matches!(self.byte(), b'*' | b'x' | b'X')
    }

    /// Reads a number of at most 64 bits, without a leading zero.
    const fn number(mut self) -> Read<'a> {
        let start = self.at;
        let mut value = 0_u64;
        while self.byte().is_ascii_digit() {
            if value == 0 && self.at > start {
                return None;
            }
            value = match value.checked_mul(10) {
                Some(value) => value,
                None => return None,
            };
            value = match value.checked_add((self.byte() - b'0') as u64) {
                Some(value) => value,
                None => return None,
            };
            self = self.skip(1);
        }
        if self.at == start {
            None
        } else {
            Some(self)
        }
    }

    /// Reads identifiers separated by dots. A number in a pre-release has no leading zero.
    const fn identifiers(mut self, of_build: bool) -> Read<'a> {
        loop {
            let start = self;
            let mut is_number = true;
            while self.byte().is_ascii_alphanumeric() || self.byte() == b'-' {
                is_number = is_number && self.byte().is_ascii_digit();
                self = self.skip(1);
            }
            let length = self.at - start.at;
            let has_leading_zero = is_number && length > 1 && start.byte() == b'0';
            if length == 0 || (has_leading_zero && !of_build) {
                return None;
            }
            if self.byte() != b'.' {
                return Some(self);
            }
            self = self.skip(1);
        }
    }

    /// Reads what may follow the third number: `-rc.1`, `+linux`, both or neither.
    const fn suffixes(mut self) -> Read<'a> {
        if self.byte() == b'-' {
            self = match self.skip(1).identifiers(false) {
                Some(next) => next,
                None => return None,
            };
        }
        if self.byte() == b'+' {
            return self.skip(1).identifiers(true);
        }
        Some(self)
    }

    /// Reads one comparator of a requirement, such as `^2.1`.
    const fn comparator(self) -> Read<'a> {
        let mut here = match self.byte() {
            b'>' | b'<' if self.skip(1).byte() == b'=' => self.skip(2),
            b'=' | b'>' | b'<' | b'~' | b'^' => self.skip(1),
            _ => self,
        };
        here = match here.past_spaces().number() {
            Some(next) => next,
            None => return None,
        };
        let mut had_wildcard = false;
        let mut numbers = 1;
        while numbers < 3 && here.byte() == b'.' {
            here = here.skip(1);
            if here.is_wildcard() {
                had_wildcard = true;
                here = here.skip(1);
            } else if had_wildcard {
                return None;
            } else {
                here = match here.number() {
                    Some(next) => next,
                    None => return None,
                };
            }
            numbers += 1;
        }
        if numbers == 3 && !had_wildcard {
            here = match here.suffixes() {
                Some(next) => next,
                None => return None,
            };
        }
        Some(here.past_spaces())
    }
}

/// Whether a text is a version: `1.2.3`, `1.2.3-rc.1`, `1.2.3+linux`.
#[must_use]
pub const fn is_version(text: &str) -> bool {
    let mut here = Cursor::new(text);
    let mut numbers = 0;
    while numbers < 3 {
        if numbers > 0 {
            if here.byte() != b'.' {
                return false;
            }
            here = here.skip(1);
        }
        here = match here.number() {
            Some(next) => next,
            None => return false,
        };
        numbers += 1;
    }
    match here.suffixes() {
        Some(end) => end.is_at_end(),
        None => false,
    }
}

/// Whether a text is a requirement: `^2.1`, `>=2.1, <4`, `2.*`, `*`.
#[must_use]
pub const fn is_requirement(text: &str) -> bool {
    const MOST: usize = 32;
    let mut here = Cursor::new(text).past_spaces();
    if here.is_wildcard() {
        return here.skip(1).past_spaces().is_at_end();
    }
    let mut count = 0;
    while count < MOST {
        here = match here.comparator() {
            Some(next) => next,
            None => return false,
        };
        if here.is_at_end() {
            return true;
        }
        if here.byte() != b',' {
            return false;
        }
        here = here.skip(1).past_spaces();
        count += 1;
    }
    false
}
