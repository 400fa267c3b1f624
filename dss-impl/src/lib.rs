//! The core of DarkSideSync. Each Lua state has one [`Dispatcher`]. Each revision of the library interface has an adapter, which
//! connects the libraries compiled against that revision to the dispatcher.
//!
//! Imports go one way: `registry → adapter/* → port`, and
//! `dispatcher → port, boundary → {queue, library, capacity, callbacks, notifier} → sync`. The core depends on no revision and on no
//! version of Lua; `dss-lua` connects it to Lua.
//!
//! The path of one delivery:
//!
//! ```text
//! any thread      deliver ─► intake (queue, credit) ── notifier ─► a sleeping Lua wakes
//! Lua thread      take ─► desk ─► decode (foreign) ─► callback ─► reply (foreign) ─► the waiting thread goes on
//! ```
//!
//! Each state has two locks. If a thread holds both, it took *desk* before *intake*. Producers use only the intake, and the Lua thread
//! takes everything in it at once. A thread that waits for an item or for room sleeps at a *bell*, whose own lock is always taken last.
//! No lock is held while foreign code runs.

#[cfg(not(loom))]
pub mod adapter;
#[cfg(not(loom))]
mod barrier;
#[cfg(loom)]
#[path = "barrier_model.rs"]
mod barrier;
mod bell;
#[cfg(not(loom))]
mod biased;
#[cfg(all(loom, deep))]
#[doc(hidden)]
pub mod biased;
#[cfg(all(loom, not(deep)))]
#[path = "biased_model.rs"]
mod biased;
#[cfg(all(loom, not(deep)))]
#[path = "biased.rs"]
#[doc(hidden)]
pub mod biased_protocol;
#[cfg(all(loom, deep))]
#[doc(hidden)]
pub use biased as biased_protocol;
mod boundary;
pub mod callbacks;
#[cfg(not(loom))]
mod cancellation;
pub mod capacity;
pub mod channel;
mod chunks;
pub mod clock;
#[cfg(not(loom))]
pub mod declared;
mod delegated;
pub mod delivery;
#[cfg(not(loom))]
mod descriptor;
pub mod dispatcher;
#[cfg(not(loom))]
mod entrance;
#[cfg(loom)]
#[path = "entrance_model.rs"]
mod entrance;
mod fork;
pub mod handle;
pub mod histogram;
#[cfg(not(loom))]
pub mod image;
mod item;
pub mod library;
#[cfg(not(loom))]
pub mod load;
pub mod memory;
pub mod metrics;
pub mod notifier;
pub mod outcome;
#[cfg(not(loom))]
pub mod pair;
pub mod payload;
pub mod port;
mod queue;
#[cfg(not(loom))]
pub mod registry;
#[cfg(not(loom))]
pub mod rendezvous;
pub mod reserve;
#[cfg(not(loom))]
pub mod revision;
#[cfg(not(loom))]
pub mod search;
pub mod spares;
#[cfg(not(loom))]
pub mod states;
mod sync;
#[cfg(not(loom))]
mod thread;
pub mod value;
mod waiter;

pub use delivery::{Announced, DeliverError};
pub use dispatcher::Dispatcher;
pub use handle::Handle;
pub use outcome::Outcome;
pub use payload::Payload;

/// The product's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
