//! What happens when DSS opens the library in a Lua state.

use std::fmt;
use std::os::raw::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use abi_stable::std_types::{RSlice, RSome, RStr};
use dss_abi::{Answer, GRANTED, REFUSED};

use crate::attach::attach;
use crate::call::Uses;
use crate::contract::{
    ClosingFn, Code, DropFn, Opening, RawClass, RawFunction, RawRegistration, Registered, ServiceObject,
};
use crate::declaration::Declaration;
use crate::error::Result;
use crate::guard::{guard, run_quietly};
use crate::library::Library;
use crate::limits::Limits;

/// The library as [`library!`](crate::library!) defines it. A `static` of the library.
pub struct Definition {
    /// The declaration in the file. The reference keeps the linker from removing it. Its address is the library's
    /// identity.
    pub declaration: &'static Declaration,
    /// The name.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
    /// The functions.
    pub functions: &'static [RawFunction],
    /// Collects the classes of the objects that the functions and methods take and return.
    pub uses: fn(&mut Uses),
    /// The classes.
    pub classes: &'static [fn() -> &'static RawClass],
    /// The limits.
    pub limits: Limits,
    /// Whether `run()` goes on while it is registered.
    pub keep_alive: bool,
    /// Called after it is registered.
    pub open: Option<fn(&Library) -> Result<()>>,
    /// Called when the state closes.
    pub close: Option<fn(&Library)>,
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Definition({} {})", self.name, self.version)
    }
}

/// The library as it is opened in one Lua state. The context of a registration points to it.
pub(crate) struct Opened {
    definition: &'static Definition,
    /// The DSS that serves this state.
    pub(crate) service: &'static ServiceObject,
}

/// Opens a library.
///
/// # Safety
/// The conditions of [`OpenFn`](crate::contract::OpenFn) hold, and the definition is the one of this image.
pub unsafe fn open(definition: &'static Definition, opening: *const Opening, answer: *mut Answer) -> i32 {
    // SAFETY: as the caller promises.
    let opened = guard(|| unsafe { try_open(definition, opening) })
        .unwrap_or_else(|panic| Err(format!("{} panicked while it was opened: {}", definition.name, panic)));
    // SAFETY: as the caller promises.
    unsafe { tell(answer, opened) }
}

/// # Safety
/// The conditions of [`open`] hold.
unsafe fn try_open(definition: &'static Definition, opening: *const Opening) -> Result<(), String> {
    if opening.is_null() {
        return Err(format!("{}: DSS passed nothing to open it with: upgrade DSS", definition.name));
    }
    // SAFETY: every such record begins with its size.
    let size = unsafe { opening.cast::<u32>().read() } as usize;
    if size < Opening::SIZE_1_0 as usize {
        return Err(format!(
            "{}: this library reads {} bytes of what it is opened with, but the loaded DSS passes {}: upgrade DSS",
            definition.name,
            Opening::SIZE_1_0,
            size
        ));
    }
    check_classes(definition)?;
    // SAFETY: the size covers it.
    let opening = unsafe { &*opening };
    // SAFETY: the rendezvous of the DSS that opens the library.
    let service = unsafe { attach(opening.rendezvous.cast(), definition.name) }?;
    let registered = register(definition, service, opening.state).map_err(|code| {
        format!("{}: DSS did not register it: {}", definition.name, registration_refused(code))
    })?;
    let library = Library::new(service, registered.handle);
    match definition.open {
        Some(run) if !registered.already => guard(|| run(&library))
            .unwrap_or_else(|panic| Err(format!("it panicked: {}", panic).into()))
            .map_err(|error| {
                // Refused where the author did it already.
                let _ = library.unregister();
                format!("{} did not open: {}", definition.name, error.as_str())
            }),
        _ => Ok(()),
    }
}

fn register(
    definition: &'static Definition,
    service: &'static ServiceObject,
    state: usize,
) -> Result<Registered, Code> {
    let context = Box::into_raw(Box::new(Opened { definition, service }));
    let registration = RawRegistration {
        libid: definition.declaration as *const Declaration as usize,
        name: RStr::from_str(definition.name),
        version: RStr::from_str(definition.version),
        functions: RSlice::from_slice(definition.functions),
        classes: RSlice::from_slice(classes(definition)),
        limits: definition.limits.raw(),
        keeps_alive: definition.keep_alive,
        closing: RSome(ClosingFn(closing)),
        release: RSome(DropFn(release)),
        context: context.cast(),
    };
    service.register(state, registration).into_result()
}

type Classes = Vec<&'static RawClass>;

/// Checks that `objects` lists the class of each object that a function takes or returns, and that no two classes
/// have one name.
fn check_classes(definition: &'static Definition) -> Result<(), String> {
    let listed = classes(definition);
    for (at, class) in listed.iter().enumerate() {
        if listed[..at].iter().any(|other| other.name == class.name) {
            return Err(format!("{}: two types in `objects` are called '{}'", definition.name, class.name));
        }
    }
    let mut uses = Uses::default();
    (definition.uses)(&mut uses);
    match uses.not_among(listed) {
        None => Ok(()),
        Some((class, place)) => Err(format!(
            "{}: {} takes or returns '{}' objects, but `objects` in `library!` does not list their type: add it there",
            definition.name, place, class.name
        )),
    }
}

/// The classes, collected once: DSS keeps them until the process ends.
fn classes(definition: &'static Definition) -> &'static [&'static RawClass] {
    static GATHERED: AtomicPtr<Classes> = AtomicPtr::new(null_mut());
    let mut gathered = GATHERED.load(Ordering::Acquire);
    if gathered.is_null() {
        let classes: Classes = definition.classes.iter().map(|class| class()).collect();
        let mine = Box::into_raw(Box::new(classes));
        gathered = match GATHERED.compare_exchange(null_mut(), mine, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => mine,
            Err(first) => {
                // SAFETY: another thread was first, and nobody else knows this box.
                drop(unsafe { Box::from_raw(mine) });
                first
            }
        };
    }
    // SAFETY: set once, and never freed.
    unsafe { &*gathered }
}

fn registration_refused(code: Code) -> String {
    match code {
        Code::STOPPING => "the Lua state is closing".to_owned(),
        Code::OUT_OF_MEMORY => "the state has no room for another library".to_owned(),
        Code::INVALID_STATE => "that Lua state is not opening a library".to_owned(),
        Code::MALFORMED => "its version, a name or a limit is invalid".to_owned(),
        Code(other) => format!("for reason {}, which this library is too old to know", other),
    }
}

unsafe extern "C" fn closing(context: *mut c_void, handle: usize) {
    // SAFETY: `context` is what the library registered with, and `release` comes after this.
    let Opened { definition, service } = unsafe { &*context.cast::<Opened>() };
    if let Some(close) = definition.close {
        run_quietly(|| close(&Library::new(service, handle)));
    }
}

unsafe extern "C" fn release(context: *mut c_void) {
    // SAFETY: `register` made it, and this is the last call with it.
    drop(unsafe { Box::from_raw(context.cast::<Opened>()) });
}

/// Writes the answer.
///
/// # Safety
/// `answer` is NULL, or points to a record of the size that the record states.
unsafe fn tell(answer: *mut Answer, opened: Result<(), String>) -> i32 {
    let status = if opened.is_ok() { GRANTED } else { REFUSED };
    if answer.is_null() {
        return status;
    }
    // SAFETY: every such record begins with its size.
    let size = unsafe { answer.cast::<u32>().read() };
    if size < Answer::SIZE_2_0 {
        return status;
    }
    // SAFETY: the size covers it, and it is DSS's for the length of the call alone.
    let answer = unsafe { &mut *answer };
    answer.status = status;
    if let Err(sentence) = opened {
        // SAFETY: DSS says where its buffer is, and how long.
        unsafe { answer.write_sentence(&sentence) };
    }
    status
}
