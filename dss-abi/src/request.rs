//! How a revision is asked for, and what comes back.

use std::mem::size_of;
use std::os::raw::c_void;

use crate::record::Text;

/// [`Request::flags`]: the library is built with `panic = "unwind"`.
pub const BUILT_TO_UNWIND: u32 = 1;

/// The answer's status: the revision is granted.
pub const GRANTED: i32 = 0;
/// The answer's status: it is refused, and the answer's text says why.
pub const REFUSED: i32 = 1;

/// Asks for a revision; returns [`GRANTED`] or [`REFUSED`], and the same in the answer. [any-thread]
///
/// A refusal comes with a sentence, except where there is no answer to write it into: NULL, or one that is shorter than
/// [`Answer::SIZE_2_0`].
///
/// # Safety
/// Both pointers point to records of the size they state, for the length of the call, or are NULL. Pointers and texts in
/// the records are what their fields say.
pub type RequestFn = unsafe extern "C" fn(request: *const Request, answer: *mut Answer) -> i32;

/// What a library asks for. Plain C layout; the record grows at its end alone. Borrowed by DSS for the length of the call,
/// except `header` and `layout`, which live as long as the process.
#[repr(C)]
#[derive(Debug)]
pub struct Request {
    /// The size of this record in bytes, as the library has it.
    pub size: u32,
    /// The revision's number.
    pub revision: u32,
    /// [`BUILT_TO_UNWIND`], or 0.
    pub flags: u32,
    /// Always 0.
    pub reserved: u32,
    /// Who asks, for the sentence of a refusal.
    pub library: Text,
    /// Which versions of that revision will do, as a semver requirement: `^1.0.0`.
    pub wants: Text,
    /// The library's `abi_stable` header.
    pub header: *const c_void,
    /// The library's `abi_stable` layout of the revision's root type.
    pub layout: *const c_void,
}

impl Request {
    /// The size that the record had in 2.0.0, in bytes: 64 on 64 bits. What lies behind it may be read only where
    /// [`Self::size`] covers it.
    pub const SIZE_2_0: u32 = 16 + 6 * size_of::<usize>() as u32;
}

/// What DSS answers. Plain C layout; the record grows at its end alone.
#[repr(C)]
#[derive(Debug)]
pub struct Answer {
    /// The size of this record in bytes, as the library has it; DSS writes no further.
    pub size: u32,
    /// [`GRANTED`] or [`REFUSED`].
    pub status: i32,
    /// The `abi_stable` header of DSS; valid as long as the process.
    pub header: *const c_void,
    /// The layout of the revision's root type as DSS has it; valid as long as the process.
    pub layout: *const c_void,
    /// The revision's root, to be looked at after both of the above were checked; valid as long as the process.
    pub root: *const c_void,
    /// Where DSS writes the sentence of a refusal, in UTF-8; the library's own buffer. May be NULL.
    pub text: *mut u8,
    /// How many bytes fit there.
    pub text_capacity: usize,
    /// How many bytes were written.
    pub text_length: usize,
}

/// An [`Answer`] with the buffer for its text, for who asks.
#[derive(Debug)]
pub struct AnswerBuffer {
    text: Vec<u8>,
    answer: Answer,
}

impl Default for AnswerBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl AnswerBuffer {
    /// An empty answer that has room for a sentence of 2 KiB.
    #[must_use]
    pub fn new() -> Self {
        let mut text = vec![0_u8; 2048];
        let answer = Answer {
            size: size_of::<Answer>() as u32,
            status: REFUSED,
            header: std::ptr::null(),
            layout: std::ptr::null(),
            root: std::ptr::null(),
            text: text.as_mut_ptr(),
            text_capacity: text.len(),
            text_length: 0,
        };
        AnswerBuffer { text, answer }
    }

    /// What to hand to [`RequestFn`].
    pub fn answer(&mut self) -> *mut Answer {
        &mut self.answer
    }

    /// What came back.
    #[must_use]
    pub fn get(&self) -> &Answer {
        &self.answer
    }

    /// The sentence of a refusal.
    #[must_use]
    pub fn sentence(&self) -> String {
        let end = self.answer.text_length.min(self.text.len());
        String::from_utf8_lossy(&self.text[..end]).into_owned()
    }
}

impl Answer {
    /// The size that the record had in 2.0.0, in bytes: 56 on 64 bits. What lies behind it may be read and written only
    /// where [`Self::size`] covers it.
    pub const SIZE_2_0: u32 = 8 + 6 * size_of::<usize>() as u32;

    /// Writes `sentence` into the asker's buffer, as much of it as fits, cut between two characters.
    ///
    /// # Safety
    /// `text` points to `text_capacity` writable bytes, or is NULL.
    pub unsafe fn write_sentence(&mut self, sentence: &str) {
        if self.text.is_null() {
            return;
        }
        let mut end = sentence.len().min(self.text_capacity);
        while !sentence.is_char_boundary(end) {
            end -= 1;
        }
        // SAFETY: `end` bytes fit, as the caller promises, and the two cannot overlap: `sentence` is borrowed from DSS.
        unsafe { std::ptr::copy_nonoverlapping(sentence.as_ptr(), self.text, end) };
        self.text_length = end;
    }
}

// The layout is frozen, as that of the rendezvous.
const _: () = {
    assert!(size_of::<Request>() == Request::SIZE_2_0 as usize);
    assert!(size_of::<Answer>() == Answer::SIZE_2_0 as usize);
};
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(Request::SIZE_2_0 == 64);
    assert!(Answer::SIZE_2_0 == 56);
};
#[cfg(target_pointer_width = "32")]
const _: () = {
    assert!(Request::SIZE_2_0 == 40);
    assert!(Answer::SIZE_2_0 == 32);
};
