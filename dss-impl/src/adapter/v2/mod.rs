//! The adapter of revision v2.
//!
//! | file | contents |
//! |---|---|
//! | `mod.rs` | the revision, and how its libraries are opened |
//! | `wire.rs` | its values, functions and completions, in `abi_stable`'s types |
//! | `service.rs` | the functions that DSS offers to its libraries |

mod service;
mod wire;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use abi_stable::StableAbi;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::RBox;
use dss_abi::{AnswerBuffer, GRANTED, Rendezvous, Request};
use dss_abi_v2::contract::{OPEN_SYMBOL, OpenFn, Opening, ServiceObject};

use super::layouts::{self, Layouts};
use super::values;
use crate::declared::{Declared, Status};
use crate::revision::{Found, Grant, Revision};
use crate::states::StateRef;
use crate::value::Module;

/// The revision. Its libraries have a declaration. DSS opens them, and they ask the rendezvous.
pub static REVISION: Revision = Revision {
    number: dss_abi_v2::REVISION,
    name: "v2",
    version: dss_abi_v2::VERSION,
    status: Status::Supported,
    found: Found::File { fits: layouts::fits, open, grant: Some(grant) },
};

/// The version of `abi_stable` whose layouts this DSS can check, in the form of a library's declaration.
pub const ABI_STABLE: &str = "0.11";

/// The compiler that built this, in the form of a library's declaration.
pub const COMPILER: [u8; 64] = dss_abi_v2::declaration::Declaration::new("dss", "0.0.0", "*").compiler;

static LAYOUTS: Layouts = Layouts::new("v2", "dss-abi-v2", dss_abi_v2::check_layouts);

fn grant(request: &Request, library: &str) -> Result<Grant, String> {
    static ROOT: OnceLock<ServiceObject> = OnceLock::new();
    let root = || ROOT.get_or_init(|| ServiceObject::from_ptr(RBox::new(service::V2Service), TD_Opaque));
    LAYOUTS.grant(request, library, <ServiceObject as StableAbi>::LAYOUT, root)
}

/// Opens the library in `file`: see [`crate::revision::OpenFn`].
fn open(
    state: StateRef,
    file: &Path,
    declared: &Declared,
    rendezvous: &'static Rendezvous,
) -> Result<Arc<dyn Module>, String> {
    let Declared { name, version, .. } = declared;
    let shown = file.display();
    // SAFETY: the file declares a v2 library, so it exports this type under that name.
    let open = unsafe { values::open::map::<OpenFn>(file, OPEN_SYMBOL) }
        .map_err(|error| format!("{name} {version} ({shown}) could not be loaded: {error}"))?;
    values::open::open::<wire::V2>(state, file, declared, |number| {
        let size = size_of::<Opening>() as u32;
        let opening = Opening { size, reserved: 0, rendezvous, state: number };
        let mut answer = AnswerBuffer::new();
        // SAFETY: the contract of `OpenFn`: both records state their sizes and live until the call returns.
        let status = unsafe { open(&opening, answer.answer()) };
        if status == GRANTED {
            return Ok(());
        }
        Err(format!("{name} {version} ({shown}): {}", answer.sentence()))
    })
}
