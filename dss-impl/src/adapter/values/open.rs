//! Maps a library's file, and lets it register in a Lua state.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use semver::Version;

use super::module::Loaded;
pub(crate) use super::module::in_call;
use super::objects::Objects;
use super::wire::Wire;
use super::{Context, adapter};
use crate::capacity::Limits;
use crate::declared::Declared;
use crate::dispatcher::RegisterError;
use crate::handle::Handle;
use crate::image;
use crate::library::{Registration, Terms};
use crate::states::StateRef;
use crate::value::Module;

/// An opening in progress on this thread.
struct Opening {
    /// The number of the revision whose adapter opens it.
    revision: u32,
    state: StateRef,
    name: String,
    version: String,
    file: String,
    registered: Option<(Handle, Arc<dyn Module>)>,
}

thread_local! {
    /// Nested openings: a library may load another. A library gives the number of its opening, from 1, as its state.
    static OPENINGS: RefCell<Vec<Opening>> = const { RefCell::new(Vec::new()) };
}

/// Calls the library in `file` so that it registers. `open` calls it with the number of this opening. [lua-thread]
///
/// # Errors
/// The sentence that says why the library is not loaded.
pub(crate) fn open<W: Wire>(
    state: StateRef,
    file: &Path,
    declared: &Declared,
    open: impl FnOnce(usize) -> Result<(), String>,
) -> Result<Arc<dyn Module>, String> {
    let Declared { name, version, .. } = declared;
    let shown = file.display();
    let opening = Opening {
        revision: W::NUMBER,
        state,
        name: name.clone(),
        version: version.to_string(),
        file: shown.to_string(),
        registered: None,
    };
    let number = OPENINGS.with_borrow_mut(|openings| {
        openings.push(opening);
        openings.len()
    });
    let opened = open(number);
    let registered = OPENINGS.with_borrow_mut(Vec::pop).and_then(|opening| opening.registered);
    match (opened, registered) {
        (Ok(()), Some((_, module))) => Ok(module),
        (Ok(()), None) => Err(format!(
            "{name} {version} ({shown}) did not register: this is a bug in the library or in the layer that it is built with"
        )),
        (Err(sentence), registered) => {
            // It may have registered before it failed.
            if let Some((handle, _)) = registered {
                let _ = state.dispatcher.unregister(handle);
            }
            Err(sentence)
        }
    }
}

/// Maps a file until the process ends, and finds a function in it.
///
/// # Errors
/// The file cannot be mapped, or has no such function.
///
/// # Safety
/// The file's constructors may run, and what it exports under `symbol` is an `F`, a function pointer.
pub(crate) unsafe fn map<F: Copy>(file: &Path, symbol: &str) -> Result<F, libloading::Error> {
    const { assert!(size_of::<F>() == size_of::<usize>(), "a function pointer") };
    // SAFETY: as the caller promises.
    let library = unsafe { libloading::Library::new(file) }?;
    // SAFETY: as the caller promises.
    let symbol = unsafe { library.get::<F>(symbol.as_bytes()) }?;
    let function = *symbol;
    // SAFETY: it is a function pointer.
    image::pin(unsafe { std::mem::transmute_copy::<F, usize>(&function) });
    // Even if pinning fails, it is never closed.
    std::mem::forget(library);
    Ok(function)
}

/// What a library registers with.
pub(crate) struct Registering<'a, W: Wire> {
    /// An address of the library's own, the same in all states.
    pub(crate) libid: usize,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its version.
    pub(crate) version: &'a str,
    /// Its functions.
    pub(crate) functions: &'static [W::Function],
    /// The classes of the objects that it gives to Lua.
    pub(crate) classes: &'a [&'static W::Class],
    /// Its limits. None if they are malformed.
    pub(crate) limits: Option<Limits>,
    /// Whether it keeps `run` going.
    pub(crate) keeps_alive: bool,
    /// Its own context, for its functions.
    pub(crate) context: usize,
    /// How it is told about its end.
    pub(crate) own: W::Own,
}

/// Why a library was not registered. What came with the registration was released.
pub(crate) enum NotRegistered {
    /// It is registered already, under this handle.
    Already(Handle),
    /// No such opening is in progress, or the library has already registered in it.
    InvalidState,
    /// Its name or version is not what its file declares, or its limits are malformed.
    Malformed,
    /// The state is closing.
    Stopping,
    /// There is no memory, or no room for another library.
    OutOfMemory,
}

impl fmt::Display for NotRegistered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotRegistered::Already(_) => "it is already registered in this Lua state",
            NotRegistered::InvalidState => {
                "it registered at the wrong time: a library must register while it is being opened"
            }
            NotRegistered::Malformed => {
                "its limits are invalid: set `size` and a policy that this interface has"
            }
            NotRegistered::Stopping => "the Lua state is closing",
            NotRegistered::OutOfMemory => {
                "there is no memory for it, or the Lua state has too many libraries"
            }
        })
    }
}

/// Registers the library whose opening is under way. [lua-thread]
pub(crate) fn register<W: Wire>(number: usize, given: Registering<'_, W>) -> Result<Handle, NotRegistered> {
    let refuse = |own, why| {
        // SAFETY: it is not registered, so this is its last call.
        unsafe { W::release(own) };
        Err(why)
    };
    // Only the innermost opening counts. An outer one continues when the inner one has ended.
    let opening = OPENINGS.with_borrow(|openings| {
        // A library registers once in an opening. Nothing would own a first registration after a second.
        let opening = openings.last().filter(|it| number == openings.len() && it.registered.is_none())?;
        // It must use the service of the revision that its file declares.
        if opening.revision != W::NUMBER {
            return None;
        }
        Some((opening.state, opening.name.clone(), opening.version.clone(), opening.file.clone()))
    });
    let Some((state, name, version, file)) = opening else {
        return refuse(given.own, NotRegistered::InvalidState);
    };
    let well_formed =
        given.name == name && Version::parse(given.version).is_ok_and(|given| given.to_string() == version);
    let Some(limits) = given.limits.filter(|_| well_formed) else {
        return refuse(given.own, NotRegistered::Malformed);
    };
    let objects = Arc::new(Objects::<W>::new(given.classes));
    let context = Context::<W> { own: given.own, objects: Arc::clone(&objects) };
    let registration = Registration {
        libid: given.libid,
        name: Some(Arc::from(name.as_str())),
        adapter: adapter::<W>(),
        context: Box::into_raw(Box::new(context)).expose_provenance(),
        terms: Some(Terms {
            version: Arc::from(version.as_str()),
            file: Some(Arc::from(file.as_str())),
            limits,
            keeps_alive: given.keeps_alive,
        }),
    };
    let handle = state.dispatcher.register(registration).map_err(|error| match error {
        RegisterError::AlreadyRegistered(handle) => NotRegistered::Already(handle),
        RegisterError::Stopping => NotRegistered::Stopping,
        RegisterError::Full | RegisterError::OutOfMemory => NotRegistered::OutOfMemory,
    })?;
    let (context, functions) = (given.context, given.functions);
    let module = Loaded::<W> { state, handle, context, name, version, file, functions, objects };
    OPENINGS.with_borrow_mut(|openings| {
        if let Some(opening) = openings.last_mut() {
            opening.registered = Some((handle, Arc::new(module)));
        }
    });
    Ok(handle)
}
