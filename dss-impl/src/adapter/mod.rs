//! The adapters. Each translates one revision to the [port](crate::port). They decide nothing and have no queue.

pub mod c1v0;
pub mod c2v0;
mod layouts;
mod panics;
pub mod v1;
pub mod v2;
mod values;
