//! The barriers in a model: full fences on both sides.

use crate::sync::{Ordering, fence};

pub(crate) fn prepare() {}

pub(crate) fn light() {
    fence(Ordering::SeqCst);
}

pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
}
