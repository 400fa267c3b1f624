//! The adapter of revision c2v0: values in plain C, which DSS copies when they are handed over.
//!
//! | file | contents |
//! |---|---|
//! | `c2v0.rs` | the revision, calls into its libraries, and how they are opened |
//! | `c2v0/codes.rs` | its codes, and a sentence for each |
//! | `c2v0/values.rs` | values in both directions; limits |
//! | `c2v0/table.rs` | the functions that its libraries get |

mod codes;
mod table;
mod values;

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Arc;

use dss_abi::Rendezvous;
use dss_abi_c2v0::*;

use super::values::copied::{Copied, ObjectClass};
use super::values::deadlines::Late;
use super::values::open::{self, Registering, register};
use super::values::wire::{On, Returned, Shape, Wire};
use super::values::{calls, waiting};
use crate::declared::{Declared, Status};
use crate::handle::Handle;
use crate::memory::Shared;
use crate::outcome::Outcome;
use crate::revision::{Found, Revision};
use crate::states::StateRef;
use crate::sync::Mutex;
use crate::value::{Module, Raised, Value};

/// The revision. Its libraries have a declaration. DSS opens them and passes its table to them.
pub static REVISION: Revision = Revision {
    number: dss_abi_c2v0::REVISION,
    name: "c2v0",
    version: VERSION,
    status: Status::Preview,
    found: Found::File { fits: |_, _| Ok(()), open, grant: None },
};

struct C2v0;

/// What a library registered.
struct Own {
    name: String,
    definition: Definition,
    /// What `open` stored, once it has succeeded.
    state: Mutex<Option<usize>>,
}

/// Who is told how a request ended.
enum Completion {
    Done(dss_done, *mut c_void, Option<Shared<Late>>),
    Waits(Shared<waiting::Cell>),
}

/// A call into the library.
struct Frame {
    on: On,
    method: Option<&'static dss_method>,
    arguments: *const dss_value,
    count: usize,
    results: RefCell<Vec<Copied<dss_class>>>,
    raised: Cell<Option<Copied<dss_class>>>,
}

impl ObjectClass for dss_class {
    unsafe fn drop_object(&'static self, data: *mut c_void) {
        if let Some(drop) = self.drop {
            // SAFETY: as the caller promises.
            unsafe { drop(data) };
        }
    }
}

impl Own {
    /// # Safety
    /// The context of a registration that was not released.
    unsafe fn of<'a>(context: usize) -> &'a Own {
        let own: *const Own = std::ptr::with_exposed_provenance(context);
        // SAFETY: `open` registered with that address.
        unsafe { &*own }
    }

    fn state(&self) -> Option<*mut c_void> {
        self.state.lock().map(std::ptr::with_exposed_provenance_mut)
    }
}

impl Frame {
    fn own(&self) -> &Own {
        // SAFETY: the library is being called.
        unsafe { Own::of(self.on.context) }
    }

    fn arguments(&self) -> &[dss_value] {
        // SAFETY: `run` laid out that many values, and outlives this borrow.
        unsafe { slice(self.arguments, self.count) }.unwrap_or_default()
    }

    /// The class, if a method was called.
    fn class(&self) -> Option<&'static dss_class> {
        let method = self.method?;
        let has = |class: &&'static dss_class| class.methods().iter().any(|it| std::ptr::eq(it, method));
        self.own().definition.classes.iter().copied().find(has)
    }

    /// The name of what was called, for errors.
    fn name(&self) -> String {
        let name = self.method.map_or("open", dss_method::name);
        match self.class() {
            Some(class) => format!("{}:{name}", class.name()),
            None => format!("{}.{name}", self.own().name),
        }
    }

    /// Whether the call was made on that object, or has it as an argument.
    fn has(&self, data: *mut c_void, class: *const dss_class) -> bool {
        // SAFETY: DSS laid the values out.
        let read = |value: &dss_value| matches!(unsafe { value.read() }, Some(Read::Object(it)) if it.data == data && it.cls == class);
        let is_self = self.on.object == data && self.class().is_none_or(|own| std::ptr::eq(own, class));
        is_self || self.arguments().iter().any(read)
    }
}

/// Opens the library in `file`: [`crate::revision::OpenFn`].
fn open(
    state: StateRef,
    file: &Path,
    declared: &Declared,
    _: &'static Rendezvous,
) -> Result<Arc<dyn Module>, String> {
    let refuse = |why: &dyn std::fmt::Display| format!("{}: {why}", declared.who());
    // SAFETY: the file declares a c2v0 library, so it exports this type under that name.
    let entry = unsafe { open::map::<dss_entry>(file, ENTRY_SYMBOL) }.map_err(|error| refuse(&error))?;
    // SAFETY: the contract of the entry.
    let raw = unsafe { entry() };
    // SAFETY: as above.
    let definition = unsafe { Definition::read(raw) }.map_err(|why| refuse(&why))?;
    let Definition { raw, functions, classes } = definition.clone();
    let own = Box::new(Own { name: declared.name.clone(), definition, state: Mutex::new(None) });
    let context = std::ptr::from_ref(&*own).expose_provenance();
    open::open::<C2v0>(state, file, declared, |number| {
        let registering = Registering::<C2v0> {
            libid: std::ptr::from_ref(raw).addr(),
            name: &declared.name,
            version: &declared.version.to_string(),
            functions,
            classes: &classes,
            // SAFETY: the contract of a definition.
            limits: unsafe { values::limits(raw.limits) },
            keeps_alive: raw.flags & DSS_KEEPS_ALIVE != 0,
            context,
            own,
        };
        let handle = register(number, registering).map_err(|error| refuse(&error))?;
        let opened = open::in_call(state, handle, || {
            let mut data = null_mut();
            let on = On { context, handle, object: null_mut() };
            let returned = run(on, None, Vec::new(), |call, _| match raw.open {
                // SAFETY: the contract of `open`: on the Lua thread, in a call.
                Some(open) => unsafe { open(&table::API, call, &raw mut data) },
                None => DSS_OK,
            });
            // The values that it gave are dropped inside the call, because that may run the library's code.
            match returned {
                Returned::Values(_) => {
                    // SAFETY: the library is being called.
                    *unsafe { Own::of(context) }.state.lock() = Some(data.expose_provenance());
                    Ok(())
                }
                Returned::Raised(mut error) => Err(match error.first_mut().map(Copied::shape::<C2v0>) {
                    Some(Shape::Bytes(text)) => refuse(&String::from_utf8_lossy(text)),
                    _ => refuse(&"its `open` raised an error that is not a string"),
                }),
            }
        });
        opened.unwrap_or_else(|| Err(refuse(&"it was unregistered while it was being opened")))
    })
}

/// Calls into the library. The arguments are valid until it returns.
fn run(
    on: On,
    method: Option<&'static dss_method>,
    mut arguments: Vec<Value>,
    call: impl FnOnce(dss_call, &[dss_value]) -> c_int,
) -> Returned<C2v0> {
    let mut arena = Arena::default();
    let Some(laid) = values::lay_out(&mut arguments, &mut arena) else {
        return Returned::Raised(vec![error(DSS_OUT_OF_MEMORY)]);
    };
    let (results, raised) = (RefCell::new(Vec::new()), Cell::new(None));
    let frame = Frame { on, method, arguments: laid.as_ptr(), count: laid.len(), results, raised };
    let code = calls::enter(&frame, |number| call(number, &laid));
    match (code, frame.raised.take()) {
        // An error that was raised counts, whatever code the library returns.
        (_, Some(error)) => Returned::Raised(vec![error]),
        (DSS_OK, None) => Returned::Values(frame.results.into_inner()),
        (code, _) => Returned::Raised(vec![error(code)]),
    }
}

// Two values and their callback are then one of the sizes that `spares` keeps.
const _: () =
    assert!(size_of::<Copied<dss_class>>() == if cfg!(target_pointer_width = "64") { 24 } else { 16 });

/// The error of a call that returns only a code.
fn error(code: c_int) -> Copied<dss_class> {
    Copied::Bytes(codes::sentence(code).to_bytes().into())
}

impl Wire for C2v0 {
    const NAME: &'static str = REVISION.name;
    const NUMBER: u32 = REVISION.number;
    const MAY_THROW: bool = true;
    const IDENTIFIES_CALLBACKS: bool = true;

    type Value = Copied<dss_class>;
    type Entry = (Copied<dss_class>, Copied<dss_class>);
    type Values = Vec<Copied<dss_class>>;
    type Function = dss_method;
    type Class = dss_class;
    type Completion = Completion;
    type Own = Box<Own>;

    #[inline]
    fn shape(value: &mut Self::Value) -> Shape<'_, Self> {
        value.shape()
    }

    fn entry((key, value): &mut Self::Entry) -> (&mut Self::Value, &mut Self::Value) {
        (key, value)
    }

    fn forget_object(value: &mut Self::Value) {
        value.forget_object();
    }

    fn slice(values: &mut Self::Values) -> &mut [Self::Value] {
        values
    }

    fn function_name(function: &'static dss_method) -> &'static str {
        function.name()
    }

    fn class_name(class: &'static dss_class) -> &'static str {
        class.name()
    }

    fn methods(class: &'static dss_class) -> &'static [dss_method] {
        class.methods()
    }

    fn has_close(class: &'static dss_class) -> bool {
        class.close.is_some()
    }

    unsafe fn call(
        method: &'static dss_method,
        on: On,
        arguments: Vec<Value>,
        _: &[&'static dss_class],
    ) -> Returned<Self> {
        // SAFETY: as the caller promises.
        run(on, Some(method), arguments, |call, values| unsafe { call_of(method.run, on, call, values) })
    }

    unsafe fn close(class: &'static dss_class, on: On) -> Returned<Self> {
        // SAFETY: as the caller promises.
        run(on, None, Vec::new(), |call, values| unsafe { call_of(class.close, on, call, values) })
    }

    unsafe fn text(class: &'static dss_class, on: On) -> Option<String> {
        class.text?;
        // SAFETY: as the caller promises.
        let returned =
            run(on, None, Vec::new(), |call, values| unsafe { call_of(class.text, on, call, values) });
        let (Returned::Values(mut values) | Returned::Raised(mut values)) = returned;
        match values.first_mut().map(Copied::shape::<Self>) {
            Some(Shape::Bytes(text)) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    unsafe fn drop_object(class: &'static dss_class, data: *mut c_void) {
        // SAFETY: as the caller promises.
        unsafe { class.drop_object(data) };
    }

    unsafe fn complete(completion: Completion, outcome: Outcome, answer: Option<Result<Vec<Value>, Raised>>) {
        match completion {
            Completion::Done(done, context, late) => {
                let not_started = late.is_some_and(|late| late.end(outcome));
                values::tell(done, context, waiting::End { outcome, not_started, answer });
            }
            Completion::Waits(cell) => cell.end(outcome, answer),
        }
    }

    unsafe fn closing(own: &Box<Own>, handle: Handle) {
        if let (Some(closing), Some(state)) = (own.definition.raw.closing, own.state()) {
            // SAFETY: the contract of `closing`.
            unsafe { closing(state, handle.to_raw() as u64) };
        }
    }

    unsafe fn release(own: Box<Own>) {
        if let (Some(release), Some(state)) = (own.definition.raw.release, own.state()) {
            // SAFETY: the contract of `release`: once, as the last call with that data.
            unsafe { release(state) };
        }
    }
}

/// # Safety
/// The library is being called, as `call`, with those arguments.
unsafe fn call_of(run: dss_function, on: On, call: dss_call, arguments: &[dss_value]) -> c_int {
    match run {
        // SAFETY: as the caller promises.
        Some(run) => unsafe { run(call, on.object, arguments.as_ptr(), arguments.len()) },
        None => DSS_OK,
    }
}
