//! The rendezvous of DarkSideSync (DSS): the record through which a library and a loaded DSS find each other.
//!
//! Library authors do not need this crate; they use the crate of a revision, such as `dss-abi-v2`. This crate is for
//! authors of such a crate, and for DSS.
//!
//! # Finding DSS
//! DSS publishes the address of one [`Rendezvous`] as a light userdata. It is in the Lua registry, in the table
//! [`REGISTRY_KEY`], under the key [`RENDEZVOUS_KEY`]. The interface of DSS 1.0 is in the same table. A library
//! checks in this order, and stops with an error at the first thing that does not fit:
//!
//! 1. [`Rendezvous::magic`] and then [`Rendezvous::size`]: is it a rendezvous, and does it have the fields that the
//!    library reads? [`Rendezvous::read`] checks both.
//! 2. [`Rendezvous::request`]: is there a revision with the library's number, in a version that its semver
//!    requirement accepts?
//! 3. The header of `abi_stable`, and then the layouts of both sides' types. The crate of the revision checks these.
//!
//! ```
//! use dss_abi::{AnswerBuffer, Rendezvous, Request, Text, BUILT_TO_UNWIND, GRANTED};
//! use std::os::raw::c_void;
//! use std::ptr::null;
//!
//! /// Asks for revision 7. Returns the revision's root, or why there is none.
//! ///
//! /// # Safety
//! /// `address` is the light userdata in the registry, or NULL.
//! unsafe fn ask(address: *const c_void) -> Result<*const c_void, String> {
//!     let rendezvous = Rendezvous::read(address).map_err(|refused| refused.to_string())?;
//!     let request = Request {
//!         size: std::mem::size_of::<Request>() as u32,
//!         revision: 7,
//!         flags: BUILT_TO_UNWIND,
//!         reserved: 0,
//!         library: Text::of("hello"),
//!         wants: Text::of("^1.0.0"),
//!         header: null(), // of `abi_stable`
//!         layout: null(), // of the revision's root type
//!     };
//!     let mut buffer = AnswerBuffer::new();
//!     match (rendezvous.request)(&request, buffer.answer()) {
//!         GRANTED => Ok(buffer.get().root), // check `header` and `layout` before you read it
//!         _ => Err(buffer.sentence()),
//!     }
//! }
//!
//! let refused = unsafe { ask(null()) }.unwrap_err();
//! assert!(refused.starts_with("this Lua state has no DSS rendezvous"));
//! ```
//!
//! # Layouts
//! All types that cross the boundary are `repr(C)`, and consist of integers and pointers.
//!
//! Each record contains its own size, and grows only at its end. `SIZE_2_0` of a record is its size in 2.0.0. A
//! reader compares the record's size with it; if the size is at least `SIZE_2_0`, the record is complete. The structs
//! of this crate never grow. A later release adds fields in a new struct that begins with the old one. A reader may
//! read the new fields only if the record's size covers them. If the structs themselves grew, readers would refuse
//! older records, and a reference to an older record would cover memory that it does not have.
//!
//! DSS owns all pointers in a [`Rendezvous`]. They are valid until the process ends, because DSS stays mapped.

#![deny(unsafe_op_in_unsafe_fn)] // older compilers do not read it from the workspace

mod record;
mod request;

pub use record::{Offer, Refused, Rendezvous, RevisionStatus, Text, MAGIC, REGISTRY_KEY, RENDEZVOUS_KEY};
pub use request::{Answer, AnswerBuffer, Request, RequestFn, BUILT_TO_UNWIND, GRANTED, REFUSED};
