//! The rendezvous: the record through which a background library and a loaded DSS find each other.
//!
//! DSS publishes the address of one [`Rendezvous`] as a light userdata under [`RENDEZVOUS_KEY`], in the table that
//! lies in the Lua registry under [`REGISTRY_KEY`] (the same table in which 1.0's interface is found). A library
//! reads it in this order, and stops with a sentence at the first thing that does not fit:
//!
//! 1. [`Rendezvous::magic`], then [`Rendezvous::size`]: is this a rendezvous, and does it have the fields I read?
//! 2. [`Rendezvous::request`]: is there a revision with my number, of a version that my semver requirement accepts?
//! 3. `abi_stable`'s header, then the layout of both sides' types: done by the revision's own crate.
//!
//! Nothing in here is a Rust type with an unstable layout: all is `repr(C)`, integers and pointers.
//!
//! # How records grow
//! Records carry their own size, and grow at their end alone. What each had in 2.0.0 is its `SIZE_2_0`, and every reader
//! compares with that: what covers it is whole. The structs in here are that much and stay so; what a later release adds
//! lies in a struct of its own that begins with one of these, and may be read only where the size that the record states
//! covers it. (One struct that grew would refuse older records, and a reference to it would claim memory that they do
//! not have.)
//!
//! All pointers in a [`Rendezvous`] are owned by DSS and valid until the process ends: its image stays mapped.

#![deny(unsafe_op_in_unsafe_fn)] // older compilers do not read it from the workspace

mod record;
mod request;

pub use record::{Offer, Refused, Rendezvous, RevisionStatus, Text, MAGIC, REGISTRY_KEY, RENDEZVOUS_KEY};
pub use request::{Answer, AnswerBuffer, Request, RequestFn, BUILT_TO_UNWIND, GRANTED, REFUSED};
