//! The promises about threads, model-checked: every interleaving, within the bound that each model states.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p dss-impl --release --test loom
//! ```
#![cfg(loom)]

#[path = "loom/fake.rs"]
mod fake;

#[path = "loom/closing.rs"]
mod closing;
#[path = "loom/credit.rs"]
mod credit;
#[path = "loom/ending.rs"]
mod ending;
#[path = "loom/leaving.rs"]
mod leaving;
#[path = "loom/sleep.rs"]
mod sleep;
#[path = "loom/waiting.rs"]
mod waiting;
