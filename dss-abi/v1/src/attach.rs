//! Attaching: finds the service of DSS by the rendezvous, and checks that both sides mean the same by it.

use std::fmt;
use std::os::raw::c_void;
use std::sync::Mutex;

use abi_stable::abi_stability::abi_checking::{check_layout_compatibility_with_globals, CheckingGlobals};
use abi_stable::library::AbiHeader;
use abi_stable::std_types::{RSome, RStr};
use abi_stable::type_layout::TypeLayout;
use abi_stable::StableAbi;
use dss_abi::{AnswerBuffer, Rendezvous, Request, Text, BUILT_TO_UNWIND, GRANTED};

use crate::contract::{ClosingFn, FinishFn, RawLua, RawRegistration, ServiceObject};
use crate::delivery::drop_quietly;
use crate::error::RegisterError;
use crate::library::{Library, LibraryId};
use crate::REVISION;

/// The versions of the revision that this crate works with, as a semver requirement.
const WANTS: &str = "^1.0.0";

/// The loaded DSS. Any thread may keep it.
///
/// ```no_run
/// # use std::os::raw::c_void;
/// use dss_abi_v1::{Dss, Library, LibraryId};
///
/// static TICKER: LibraryId = LibraryId::new("ticker");
///
/// /// # Safety
/// /// `rendezvous` comes from the registry of the state `lua`, which runs on this thread.
/// unsafe fn open(
///     rendezvous: *const c_void,
///     lua: *mut c_void,
/// ) -> Result<Library, Box<dyn std::error::Error>> {
///     let dss = Dss::attach(rendezvous, &TICKER)?;
///     Ok(dss.register(lua, &TICKER, || println!("the state closes"))?)
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Dss {
    service: &'static ServiceObject,
}

impl fmt::Debug for Dss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dss")
    }
}

/// Why a library could not attach. The text is one sentence that names both sides.
///
/// ```no_run
/// # use std::os::raw::c_void;
/// # use dss_abi_v1::{AttachError, Dss, LibraryId};
/// # static TICKER: LibraryId = LibraryId::new("ticker");
/// /// # Safety
/// /// `rendezvous` comes from the registry.
/// unsafe fn attach(rendezvous: *const c_void) -> Option<Dss> {
///     let error: AttachError = match Dss::attach(rendezvous, &TICKER) {
///         Ok(dss) => return Some(dss),
///         Err(error) => error,
///     };
///     eprintln!("{}", error);
///     None
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachError {
    sentence: String,
    details: Option<String>,
}

impl AttachError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        AttachError { sentence: sentence.into(), details: None }
    }

    /// The differences that the layout check found, in many lines, for a log.
    ///
    /// ```no_run
    /// fn log(error: &dss_abi_v1::AttachError) {
    ///     eprintln!("{}", error);
    ///     if let Some(details) = error.details() {
    ///         eprintln!("{}", details);
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn details(&self) -> Option<&str> {
        self.details.as_deref()
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for AttachError {}

/// The roots whose layout this library has checked: addresses of services that live until the process ends.
static CHECKED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

impl Dss {
    /// Attaches to the DSS that published `rendezvous`. That is a light userdata in the Lua registry. It is in the
    /// table [`dss_abi::REGISTRY_KEY`], under the key [`dss_abi::RENDEZVOUS_KEY`]. [any-thread]
    ///
    /// ```no_run
    /// # use std::os::raw::{c_char, c_void};
    /// # extern "C" {
    /// #     fn lua_getfield(lua: *mut c_void, index: i32, key: *const c_char) -> i32;
    /// #     fn lua_touserdata(lua: *mut c_void, index: i32) -> *mut c_void;
    /// #     fn lua_settop(lua: *mut c_void, index: i32);
    /// # }
    /// # const LUA_REGISTRYINDEX: i32 = -1_001_000;
    /// use dss_abi_v1::{AttachError, Dss, LibraryId};
    ///
    /// static TICKER: LibraryId = LibraryId::new("ticker");
    ///
    /// /// # Safety
    /// /// DSS was required in the state `lua`, which runs on this thread.
    /// unsafe fn attach(lua: *mut c_void) -> Result<Dss, AttachError> {
    ///     lua_getfield(lua, LUA_REGISTRYINDEX, b"DSS.DarkSideSync\0".as_ptr().cast());
    ///     lua_getfield(lua, -1, b"DSS Rendezvous\0".as_ptr().cast());
    ///     let rendezvous = lua_touserdata(lua, -1);
    ///     lua_settop(lua, -3);
    ///     Dss::attach(rendezvous, &TICKER)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`AttachError`] says in one sentence what the library wants, what this DSS offers, and which of the two to
    /// upgrade.
    ///
    /// # Safety
    /// `rendezvous` is NULL, or that light userdata.
    pub unsafe fn attach(rendezvous: *const c_void, library: &'static LibraryId) -> Result<Dss, AttachError> {
        // SAFETY: as the caller promises.
        let rendezvous = unsafe { Rendezvous::read(rendezvous) }
            .map_err(|refused| AttachError::new(format!("{}: {}", library.name(), refused)))?;
        let request = Request {
            size: std::mem::size_of::<Request>() as u32,
            revision: REVISION,
            flags: BUILT_TO_UNWIND,
            reserved: 0,
            library: Text::of(library.name()),
            wants: Text::of(WANTS),
            header: (&AbiHeader::VALUE as *const AbiHeader).cast(),
            layout: (<ServiceObject as StableAbi>::LAYOUT as *const TypeLayout).cast(),
        };
        let mut buffer = AnswerBuffer::new();
        // SAFETY: both records state their sizes and live through the call.
        let status = unsafe { (rendezvous.request)(&request, buffer.answer()) };
        if status != GRANTED {
            return Err(refused(rendezvous, library, buffer.sentence()));
        }
        let answer = buffer.get();
        // SAFETY: a granted answer names the three, alive as long as the process; what the last two are is checked
        // before they are used: first the header, a plain C record, then the layout.
        unsafe { check(answer.header, answer.layout, answer.root, library) }?;
        // SAFETY: both layouts agree.
        let service = unsafe { &*answer.root.cast::<ServiceObject>() };
        Ok(Dss { service })
    }

    /// Registers the library in the state of `lua`, the raw `lua_State`. [lua-thread]
    ///
    /// When that state closes, all queued items of the library are cancelled, then `closing` is called on the Lua
    /// thread, and then the library is unregistered.
    ///
    /// ```no_run
    /// # use std::os::raw::c_void;
    /// # use dss_abi_v1::{Dss, Library, LibraryId, RegisterError};
    /// # static TICKER: LibraryId = LibraryId::new("ticker");
    /// /// # Safety
    /// /// `lua` is a live state that runs on this thread.
    /// unsafe fn register(dss: &Dss, lua: *mut c_void) -> Result<Library, RegisterError> {
    ///     dss.register(lua, &TICKER, || println!("the state closes"))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RegisterError`] says why. If the library is registered already, it contains that registration.
    ///
    /// # Safety
    /// `lua` is a live state of the Lua for which this process's DSS was built. It runs on this thread.
    pub unsafe fn register<T>(
        &self,
        lua: *mut T,
        id: &'static LibraryId,
        closing: impl FnMut() + Send + 'static,
    ) -> Result<Library, RegisterError> {
        let closing: Box<Box<dyn FnMut() + Send>> = Box::new(Box::new(closing));
        let registration = RawRegistration {
            libid: id.address(),
            name: RStr::from_str(id.name()),
            closing: RSome(ClosingFn(call_closing)),
            release: RSome(FinishFn(release_closing)),
            context: Box::into_raw(closing).cast(),
        };
        // SAFETY: as the caller promises.
        let lua = unsafe { RawLua::new(lua.cast()) };
        let registered = self.service.register(lua, registration).into_result()?;
        let library = Library { service: self.service, handle: registered.handle };
        if registered.already {
            return Err(RegisterError::Already(library));
        }
        Ok(library)
    }

    /// Finds the library's registration in the state of `lua`. [lua-thread]
    ///
    /// ```no_run
    /// # use std::os::raw::c_void;
    /// # use dss_abi_v1::{Dss, LibraryId};
    /// # static TICKER: LibraryId = LibraryId::new("ticker");
    /// /// # Safety
    /// /// `lua` is a live state that runs on this thread.
    /// unsafe fn is_registered(dss: &Dss, lua: *mut c_void) -> bool {
    ///     dss.find(lua, &TICKER).is_ok()
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RegisterError::Unknown`] if the library is not registered in that state.
    ///
    /// # Safety
    /// The conditions of [`Self::register`] hold.
    pub unsafe fn find<T>(&self, lua: *mut T, id: &'static LibraryId) -> Result<Library, RegisterError> {
        // SAFETY: as the caller promises.
        let lua = unsafe { RawLua::new(lua.cast()) };
        let handle = self.service.handle(lua, id.address()).into_result()?;
        Ok(Library { service: self.service, handle })
    }
}

/// The error of a refusal. DSS says why, unless it had no place to write that.
fn refused(rendezvous: &Rendezvous, library: &LibraryId, sentence: String) -> AttachError {
    if !sentence.is_empty() {
        return AttachError::new(sentence);
    }
    // SAFETY: a text of the rendezvous lives as long as the process.
    let version = unsafe { rendezvous.dss_version.read() };
    AttachError::new(format!(
        "{} wants v{} {}, and this DSS {} refuses that without a reason: upgrade DSS",
        library.name(),
        REVISION,
        WANTS,
        version
    ))
}

unsafe extern "C" fn call_closing(context: *mut c_void, _handle: usize) {
    // SAFETY: `context` is the box made in `register`, and DSS makes one call with it at a time.
    let closing = unsafe { &mut *context.cast::<Box<dyn FnMut() + Send>>() };
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(closing)) {
        drop_quietly(panic);
    }
}

unsafe extern "C" fn release_closing(context: *mut c_void) {
    // SAFETY: the last call with that box.
    drop_quietly(unsafe { Box::from_raw(context.cast::<Box<dyn FnMut() + Send>>()) });
}

/// Checks the header and the layout of DSS's root, once for each root.
///
/// # Safety
/// The three come from a granted answer.
unsafe fn check(
    header: *const c_void,
    layout: *const c_void,
    root: *const c_void,
    library: &LibraryId,
) -> Result<(), AttachError> {
    // A thread that panicked while it held this list left it whole.
    let mut checked = CHECKED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if checked.contains(&(root as usize)) {
        return Ok(());
    }
    // SAFETY: a plain C record whose layout `abi_stable` never changes.
    let header = unsafe { &*header.cast::<AbiHeader>() };
    if !header.is_valid() {
        return Err(AttachError::new(format!(
            "{}: this library is built with abi_stable {}.{}, the loaded DSS with {}.{}: build the library anew with the \
             dss-abi-v1 that this DSS names",
            library.name(),
            AbiHeader::VALUE.abi_major,
            AbiHeader::VALUE.abi_minor,
            header.abi_major,
            header.abi_minor
        )));
    }
    // SAFETY: the header says that both sides mean the same by a `TypeLayout`.
    let theirs = unsafe { &*layout.cast::<TypeLayout>() };
    check_layouts(<ServiceObject as StableAbi>::LAYOUT, theirs).map_err(|details| AttachError {
        sentence: format!(
            "{}: the types of revision v1 differ between this library (dss-abi-v1 {}) and the loaded DSS: build the \
             library anew with a released dss-abi-v1",
            library.name(),
            env!("CARGO_PKG_VERSION")
        ),
        details: Some(details),
    })?;
    checked.push(root as usize);
    Ok(())
}

/// Checks that `found` fits where `wanted` is expected.
///
/// The check has globals of its own. The shared ones of `abi_stable` remember earlier checks, so that a result would
/// depend on their order.
///
/// # Errors
/// The differences, in many lines.
#[doc(hidden)]
pub fn check_layouts(wanted: &'static TypeLayout, found: &'static TypeLayout) -> Result<(), String> {
    check_layout_compatibility_with_globals(wanted, found, &CheckingGlobals::new())
        .map_err(|errors| errors.to_string())
}
