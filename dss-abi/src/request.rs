//! The request for a revision, and its answer.

use std::mem::size_of;
use std::os::raw::c_void;

use crate::record::Text;

/// [`Request::flags`]: the library is built with `panic = "unwind"`.
pub const BUILT_TO_UNWIND: u32 = 1;

/// [`Answer::status`]: the revision is granted.
pub const GRANTED: i32 = 0;
/// [`Answer::status`]: the revision is refused, and the answer's text says why.
pub const REFUSED: i32 = 1;

/// Asks for a revision. Returns [`GRANTED`] or [`REFUSED`], and writes the same into the answer. [any-thread]
///
/// A refusal has a sentence, unless there is no place for it: the answer is NULL, or shorter than
/// [`Answer::SIZE_2_0`].
///
/// # Safety
/// Each pointer is NULL, or points to a record of the size that the record states, during the call. The pointers and
/// texts in the records are what their fields say.
pub type RequestFn = unsafe extern "C" fn(request: *const Request, answer: *mut Answer) -> i32;

/// The request of a library for a revision. It has plain C layout, and grows only at its end. DSS borrows it during
/// the call, except `header` and `layout`, which live until the process ends.
///
/// ```
/// use dss_abi::{Request, Text, BUILT_TO_UNWIND};
///
/// let request = Request {
///     size: Request::SIZE_2_0,
///     revision: 2,
///     flags: BUILT_TO_UNWIND,
///     reserved: 0,
///     library: Text::of("hello"),
///     wants: Text::of("^1.0.0"),
///     header: std::ptr::null(), // of `abi_stable`
///     layout: std::ptr::null(), // of the revision's root type
/// };
/// # let _ = request;
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Request {
    /// The size of this record in bytes, for the library.
    pub size: u32,
    /// The revision's number.
    pub revision: u32,
    /// [`BUILT_TO_UNWIND`], or 0.
    pub flags: u32,
    /// Always 0.
    pub reserved: u32,
    /// The library's name, for the sentence of a refusal.
    pub library: Text,
    /// The versions of that revision that the library works with, as a semver requirement such as `^1.0.0`.
    pub wants: Text,
    /// The library's `abi_stable` header.
    pub header: *const c_void,
    /// The library's `abi_stable` layout of the revision's root type.
    pub layout: *const c_void,
}

impl Request {
    /// The size of the record in 2.0.0, in bytes: 64 on 64 bits. Read later fields only if [`Self::size`] covers
    /// them.
    pub const SIZE_2_0: u32 = 16 + 6 * size_of::<usize>() as u32;
}

/// The answer of DSS to a request. It has plain C layout, and grows only at its end. [`AnswerBuffer`] makes one.
///
/// ```
/// use dss_abi::{Answer, GRANTED};
///
/// fn is_granted(answer: &Answer) -> bool {
///     answer.status == GRANTED && !answer.root.is_null()
/// }
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct Answer {
    /// The size of this record in bytes, for the library. DSS writes no further.
    pub size: u32,
    /// [`GRANTED`] or [`REFUSED`].
    pub status: i32,
    /// The `abi_stable` header of DSS. It is valid until the process ends.
    pub header: *const c_void,
    /// The layout of the revision's root type in DSS. It is valid until the process ends.
    pub layout: *const c_void,
    /// The revision's root. Check `header` and `layout` before you read it. It is valid until the process ends.
    pub root: *const c_void,
    /// The library's buffer, into which DSS writes the sentence of a refusal in UTF-8. It may be NULL.
    pub text: *mut u8,
    /// The size of the buffer in bytes.
    pub text_capacity: usize,
    /// The number of bytes that DSS wrote.
    pub text_length: usize,
}

/// An [`Answer`] with a buffer for its text, for a library that makes a request.
///
/// ```
/// use dss_abi::{AnswerBuffer, Rendezvous, Request, GRANTED};
///
/// fn ask(rendezvous: &'static Rendezvous, request: &Request) -> Result<(), String> {
///     let mut buffer = AnswerBuffer::new();
///     // SAFETY: both records state their sizes, and live during the call.
///     let status = unsafe { (rendezvous.request)(request, buffer.answer()) };
///     if status == GRANTED { Ok(()) } else { Err(buffer.sentence()) }
/// }
/// ```
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
    /// An empty answer with room for a sentence of 2 KiB.
    ///
    /// ```
    /// use dss_abi::{AnswerBuffer, REFUSED};
    ///
    /// assert_eq!(AnswerBuffer::new().get().status, REFUSED);
    /// ```
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

    /// The pointer to pass to a [`RequestFn`].
    ///
    /// ```
    /// let mut buffer = dss_abi::AnswerBuffer::new();
    /// assert_eq!(unsafe { (*buffer.answer()).text_capacity }, 2048);
    /// ```
    pub fn answer(&mut self) -> *mut Answer {
        &mut self.answer
    }

    /// The answer.
    ///
    /// ```
    /// let buffer = dss_abi::AnswerBuffer::new();
    /// assert!(buffer.get().root.is_null()); // nothing was asked
    /// ```
    #[must_use]
    pub fn get(&self) -> &Answer {
        &self.answer
    }

    /// The sentence of a refusal.
    ///
    /// ```
    /// let mut buffer = dss_abi::AnswerBuffer::new();
    /// assert_eq!(buffer.sentence(), "");
    /// // What DSS does:
    /// unsafe { (*buffer.answer()).write_sentence("upgrade DSS") };
    /// assert_eq!(buffer.sentence(), "upgrade DSS");
    /// ```
    #[must_use]
    pub fn sentence(&self) -> String {
        let end = self.answer.text_length.min(self.text.len());
        String::from_utf8_lossy(&self.text[..end]).into_owned()
    }
}

impl Answer {
    /// The size of the record in 2.0.0, in bytes: 56 on 64 bits. Read and write later fields only if [`Self::size`]
    /// covers them.
    pub const SIZE_2_0: u32 = 8 + 6 * size_of::<usize>() as u32;

    /// Writes `sentence` into the library's buffer. If it does not fit, it is cut between two characters.
    ///
    /// ```
    /// let mut text = [0_u8; 4];
    /// let mut buffer = dss_abi::AnswerBuffer::new();
    /// // SAFETY: the pointer is valid as long as the buffer.
    /// let answer = unsafe { &mut *buffer.answer() };
    /// answer.text = text.as_mut_ptr();
    /// answer.text_capacity = text.len();
    /// // SAFETY: `text` has that many bytes.
    /// unsafe { answer.write_sentence("Lüge") };
    /// assert_eq!(&text[..answer.text_length], "Lüg".as_bytes());
    /// ```
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
