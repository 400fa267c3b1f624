//! Builds and runs what the tests, the demo and the benchmark use: the module, the libraries and a host for each Lua. They
//! are built with the commands that a user would type.

pub mod artefacts;
pub mod build_lock;
pub mod c;
pub mod c2v0;
pub mod debian;
pub mod environment;
pub mod freeze;
pub mod frozen;
pub mod luas;
pub mod others;
pub mod run;
pub mod sanitizer;
pub mod scenarios;
mod stamp;
pub mod standalone;
pub mod targets;
pub mod walk;
pub mod windows;

pub use artefacts::Artefacts;
pub use luas::Lua;
