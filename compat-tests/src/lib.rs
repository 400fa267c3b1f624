//! Builds and runs what the tests, the demo and the benchmark look at: the module, the libraries and a host for each Lua,
//! each made by the commands that a user would type.

pub mod apart;
pub mod artefacts;
pub mod c;
pub mod debian;
pub mod freeze;
pub mod frozen;
pub mod luas;
pub mod place;
pub mod run;
pub mod scenarios;
mod stamp;
pub mod turn;
mod walk;
pub mod windows;

pub use artefacts::Artefacts;
pub use luas::Lua;
