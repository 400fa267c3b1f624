//! What a delivery carries.

/// What a library handed over, in three words that only its revision's adapter reads. The core keeps them and gives them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload(pub [usize; 3]);
