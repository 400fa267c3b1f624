//! The promises about threads, model-checked: every interleaving, within the bound that each model states.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p dss-impl --release --test loom
//! ```
//!
//! `--cfg deep` beside it puts the biased lock itself under the models of the core, which then take minutes.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(loom)]

#[path = "loom/fake.rs"]
mod fake;

#[path = "loom/biased.rs"]
mod biased;
#[path = "loom/bounded.rs"]
mod bounded;
#[path = "loom/callbacks.rs"]
mod callbacks;
#[path = "loom/channels.rs"]
mod channels;
#[path = "loom/closing.rs"]
mod closing;
#[path = "loom/credit.rs"]
mod credit;
#[path = "loom/end.rs"]
mod end;
#[path = "loom/ending.rs"]
mod ending;
#[path = "loom/leaving.rs"]
mod leaving;
#[path = "loom/sleep.rs"]
mod sleep;
#[path = "loom/spares.rs"]
mod spares;
#[path = "loom/waiting.rs"]
mod waiting;
