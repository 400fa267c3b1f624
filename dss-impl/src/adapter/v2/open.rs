//! Mapping a library's file, and having it register in a Lua state.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use dss_abi::{AnswerBuffer, GRANTED, Rendezvous};
use dss_abi_v2::contract::{
    Code, OPEN_SYMBOL, OpenFn, Opening, POLICY_DROP_OLDEST, POLICY_LATEST, POLICY_REFUSE, POLICY_WAIT,
    RawLimits, RawRegistration, Registered,
};
use semver::Version;

use super::module::{Objects, V2Module};
use super::{ADAPTER, Context};
use crate::capacity::{Limits, Policy};
use crate::declared::Declared;
use crate::dispatcher::RegisterError;
use crate::handle::Handle;
use crate::image;
use crate::library::{Registration, Terms};
use crate::states::StateRef;
use crate::value::Module;

/// The opening that is under way on this thread.
struct Opened {
    state: StateRef,
    name: String,
    version: String,
    file: String,
    module: Option<V2Module>,
}

thread_local! {
    /// Openings within each other: a library may load another. Its place, plus one, is what a library gives as its state.
    static OPENINGS: RefCell<Vec<Opened>> = const { RefCell::new(Vec::new()) };
}

/// Opens the library in `file`: see [`crate::revision::OpenFn`].
pub(super) fn open(
    state: StateRef,
    file: &Path,
    declared: &Declared,
    rendezvous: &'static Rendezvous,
) -> Result<Arc<dyn Module>, String> {
    let Declared { name, version, .. } = declared;
    let shown = file.display();
    let open =
        map(file).map_err(|error| format!("{name} {version} ({shown}) could not be loaded: {error}"))?;
    let opened = Opened {
        state,
        name: name.clone(),
        version: version.to_string(),
        file: shown.to_string(),
        module: None,
    };
    let place = OPENINGS.with_borrow_mut(|openings| {
        openings.push(opened);
        openings.len()
    });
    let opening = Opening { size: size_of::<Opening>() as u32, reserved: 0, rendezvous, state: place };
    let mut answer = AnswerBuffer::new();
    // SAFETY: the contract of `OpenFn`: both records state their sizes and live through the call.
    let status = unsafe { open(&opening, answer.answer()) };
    let opened = OPENINGS.with_borrow_mut(Vec::pop);
    let module = opened.and_then(|opened| opened.module);
    match (status, module) {
        (GRANTED, Some(module)) => Ok(Arc::new(module)),
        (GRANTED, None) => {
            Err(format!("{name} {version} ({shown}) did not register: its author's layer is broken"))
        }
        (_, module) => {
            // It may have registered before it failed.
            if let Some(module) = module {
                let _ = state.dispatcher.unregister(module.handle);
            }
            Err(format!("{name} {version} ({shown}): {}", answer.sentence()))
        }
    }
}

/// Maps the file, for as long as the process lives, and finds its way in.
fn map(file: &Path) -> Result<OpenFn, libloading::Error> {
    // SAFETY: its constructors run; the file declares itself to be a library for this.
    let library = unsafe { libloading::Library::new(file) }?;
    // SAFETY: what a library of v2 exports under that name.
    let symbol = unsafe { library.get::<OpenFn>(OPEN_SYMBOL.as_bytes()) }?;
    let open = *symbol;
    image::pin(open as usize);
    // Where nothing can be pinned it is never closed all the same.
    std::mem::forget(library);
    Ok(open)
}

/// Registers the library whose opening is under way: [`dss_abi_v2::contract::Service::register`].
pub(super) fn register(place: usize, given: &RawRegistration) -> Result<Registered, Code> {
    let refuse = |code| {
        release(given);
        Err(code)
    };
    // The last one alone: what was opened before it is under way again when it has ended.
    let state = OPENINGS.with_borrow(|openings| {
        // It registers once in an opening: what it registered before would be nobody's.
        let opened = openings.last().filter(|it| place == openings.len() && it.module.is_none())?;
        Some((opened.state, opened.name.clone(), opened.version.clone(), opened.file.clone()))
    });
    let Some((state, name, version, file)) = state else { return refuse(Code::INVALID_STATE) };
    let well_formed = given.name.as_str() == name
        && Version::parse(given.version.as_str()).is_ok_and(|given| given.to_string() == version);
    let limits = limits(given.limits).filter(|_| well_formed);
    let Some(limits) = limits else { return refuse(Code::MALFORMED) };
    let objects = Arc::new(Objects::new());
    let own = given.context.expose_provenance();
    let context = Context {
        closing: given.closing.into_option(),
        release: given.release.into_option(),
        context: own,
        objects: Arc::clone(&objects),
    };
    let registration = Registration {
        libid: given.libid,
        name: Some(Arc::from(name.as_str())),
        adapter: &ADAPTER,
        context: Box::into_raw(Box::new(context)).expose_provenance(),
        terms: Some(Terms {
            version: Arc::from(version.as_str()),
            file: Some(Arc::from(file.as_str())),
            limits,
            keeps_alive: given.keeps_alive,
        }),
    };
    let handle = match state.dispatcher.register(registration) {
        Ok(handle) => handle,
        Err(RegisterError::AlreadyRegistered(handle)) => {
            return Ok(Registered { handle: handle.to_raw(), already: true });
        }
        Err(RegisterError::Stopping) => return Err(Code::STOPPING),
        Err(RegisterError::Full | RegisterError::OutOfMemory) => return Err(Code::OUT_OF_MEMORY),
    };
    let classes = given.classes.as_slice().to_vec();
    let functions = given.functions.as_slice();
    let module = V2Module { state, handle, context: own, name, version, file, functions, classes, objects };
    OPENINGS.with_borrow_mut(|openings| {
        if let Some(opened) = openings.last_mut() {
            opened.module = Some(module);
        }
    });
    Ok(Registered { handle: Handle::to_raw(handle), already: false })
}

/// Lets go of what came with a registration that was refused.
fn release(given: &RawRegistration) {
    if let Some(release) = given.release.into_option() {
        // SAFETY: the contract of `RawRegistration`: once, as the last call with that context.
        unsafe { (release.0)(given.context) };
    }
}

/// A library's limits; none where they have no room for an item, or the policy is none.
pub(super) fn limits(raw: RawLimits) -> Option<Limits> {
    if raw.items == 0 || raw.bytes == 0 {
        return None;
    }
    let policy = match raw.policy {
        POLICY_REFUSE => Policy::Refuse,
        POLICY_WAIT => Policy::Wait(std::time::Duration::from_nanos(raw.wait)),
        POLICY_DROP_OLDEST => Policy::DropOldest,
        POLICY_LATEST => Policy::Latest,
        _ => return None,
    };
    Some(Limits { items: raw.items, bytes: raw.bytes, policy })
}
