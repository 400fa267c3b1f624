//! What a delivery carries.

/// What a library handed over, as its revision's adapter notes it: three words whose meaning is that adapter's. The core keeps them and
/// hands them back, and never reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload(pub [usize; 3]);
