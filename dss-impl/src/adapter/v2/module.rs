//! A loaded library, as Lua calls it.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

use abi_stable::std_types::{RResult, RString, RVec};
use dss_abi_v2::contract::{CallFn, Code, RawCall, RawClass, RawFunction};
use dss_abi_v2::value::{RawBorrowed, RawValue};

use super::{Context, values};
use crate::dispatcher::{Calling, Dispatcher};
use crate::handle::Handle;
use crate::states::{self, StateRef};
use crate::sync::Mutex;
use crate::value::{Class, Module, ObjectRef, Results, Value};

/// The objects of one library that one Lua state has. When the library leaves they are dropped, and what Lua has left of them
/// names nothing. Those that take no room may have one address: they are told apart by class, and counted.
pub(super) struct Objects(Mutex<HashMap<(usize, usize), Held>>);

struct Held {
    class: &'static RawClass,
    count: usize,
}

fn key(data: *mut c_void, class: &'static RawClass) -> (usize, usize) {
    (data.expose_provenance(), std::ptr::from_ref(class).expose_provenance())
}

impl Objects {
    pub(super) fn new() -> Self {
        Objects(Mutex::new(HashMap::new()))
    }

    fn add(&self, data: *mut c_void, class: &'static RawClass) {
        self.0.lock().entry(key(data, class)).or_insert(Held { class, count: 0 }).count += 1;
    }

    fn has(&self, data: *mut c_void, class: &'static RawClass) -> bool {
        self.0.lock().contains_key(&key(data, class))
    }

    /// Drops an object, if it was not dropped before.
    fn drop_one(&self, data: *mut c_void, class: &'static RawClass) {
        let key = key(data, class);
        let mut objects = self.0.lock();
        let Some(held) = objects.get_mut(&key) else { return };
        held.count -= 1;
        if held.count == 0 {
            objects.remove(&key);
        }
        drop(objects);
        // SAFETY: the library made the two together, and the map had them once more than it has now.
        unsafe { (class.drop.0)(data) };
    }

    pub(super) fn drop_all(&self) {
        let all = std::mem::take(&mut *self.0.lock());
        for ((data, _), Held { class, count }) in all {
            let data: *mut c_void = std::ptr::with_exposed_provenance_mut(data);
            for _ in 0..count {
                // SAFETY: as above.
                unsafe { (class.drop.0)(data) };
            }
        }
    }
}

/// Notes that Lua owns an object now. In a call into the library of `handle`.
pub(super) fn given(handle: Handle, data: *mut c_void, class: &'static RawClass) {
    let context = states::dispatcher_of(handle).and_then(|dispatcher| dispatcher.context(handle));
    if let Some(context) = context {
        // SAFETY: the library is being called, so its registration is there.
        let context = unsafe { Context::of(context) };
        context.objects.add(data, class);
    }
}

const DEAD_CALLBACK: &str =
    "a library returned a function of another Lua state, or one whose state has closed";
const NOT_LENT: &str = "a library returned an object that it was not called on or with: a function can give such an object back, \
                        and no other that Lua owns";
const TOO_DEEP: &str = "a library returned lists or maps that are nested too deep";

/// A call into the library, from its beginning until its results are in Lua.
struct Call {
    handle: Handle,
    calling: Option<Calling>,
}

impl Call {
    /// Begins a call into the library of `handle` in `state`.
    fn begin(state: StateRef, handle: Handle) -> Option<Call> {
        // SAFETY: a module's methods are called on the Lua thread of the state that loaded it, by Lua.
        let calling = unsafe { state.dispatcher.begin_call(state.epoch, handle) }?;
        Some(Call { handle, calling: Some(calling) })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let (Some(dispatcher), Some(calling)) = (states::dispatcher_of(self.handle), self.calling.take()) {
            dispatcher.end_call(calling);
        }
    }
}

struct Returned {
    values: RVec<RawValue>,
    /// It is one value, and raised.
    error: bool,
    call: Call,
}

impl Results for Returned {
    fn is_error(&self) -> bool {
        self.error
    }

    fn has_lent(&self) -> bool {
        self.values.iter().any(|value| matches!(value, RawValue::Borrowed(_)))
    }

    unsafe fn push(&mut self, lua: *mut c_void) -> Result<c_int, &'static str> {
        let Some(to) = states::lua_values() else { return Ok(0) };
        let count = c_int::try_from(self.values.len()).unwrap_or(c_int::MAX);
        // SAFETY: the caller's promise, here and below.
        if !unsafe { to.reserve(lua, count.saturating_add(8)) } {
            return Err("a library returned more values than Lua's stack has room for");
        }
        // SAFETY: as above.
        let last = unsafe { to.top(lua) };
        for value in &mut self.values {
            if let RawValue::Borrowed(RawBorrowed { data, class }) = value {
                let lent = ObjectRef { data: *data, class: std::ptr::from_ref::<RawClass>(class).addr() };
                // SAFETY: as above.
                if !unsafe { to.push_lent(lua, last, lent) } {
                    return Err(NOT_LENT);
                }
                continue;
            }
            // SAFETY: as above.
            unsafe { values::push(to, lua, value, self.call.handle) }?;
        }
        Ok(count)
    }
}

/// How a function is called: with its registration, by its own word, and on an object or NULL.
#[derive(Clone, Copy)]
struct On {
    state: StateRef,
    context: usize,
    handle: Handle,
    function: usize,
    object: *mut c_void,
}

impl On {
    fn raw(self) -> RawCall {
        let On { context, handle, function, object, .. } = self;
        let context = std::ptr::with_exposed_provenance_mut(context);
        RawCall { context, handle: handle.to_raw(), function, object }
    }
}

fn call(
    function: CallFn,
    on: On,
    arguments: Vec<Value>,
    left: impl FnOnce() -> String,
) -> Result<Box<dyn Results>, String> {
    let call = Call::begin(on.state, on.handle).ok_or_else(left)?;
    let arguments = values::from_lua(arguments);
    // SAFETY: the contract of `CallFn`: on the Lua thread, with the registration's context, which is there while the call is,
    // and with an object of that class's or NULL.
    let (values, error) = match unsafe { (function.0)(&on.raw(), arguments) } {
        RResult::ROk(values) => (values, false),
        RResult::RErr(value) => (RVec::from(vec![value]), true),
    };
    if let Some(dispatcher) = states::dispatcher_of(on.handle) {
        for value in values.iter().filter(|value| !matches!(value, RawValue::Borrowed(_))) {
            match values::measure(std::slice::from_ref(value), dispatcher) {
                Err(Code::INVALID_CALLBACK) => return Err(DEAD_CALLBACK.to_owned()),
                Err(Code::MALFORMED) => return Err(values::BORROWED.to_owned()),
                Err(Code::TOO_DEEP) => return Err(TOO_DEEP.to_owned()),
                // How much a result takes is for Lua's memory to say.
                _ => {}
            }
        }
    }
    Ok(Box::new(Returned { values, error, call }))
}

/// What a library registered, as Lua calls it.
pub(super) struct V2Module {
    pub(super) state: StateRef,
    pub(super) handle: Handle,
    /// The library's own context, for its functions.
    pub(super) context: usize,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) file: String,
    pub(super) functions: &'static [RawFunction],
    pub(super) classes: Vec<&'static RawClass>,
    pub(super) objects: Arc<Objects>,
}

impl Module for V2Module {
    fn name(&self) -> &str {
        &self.name
    }

    fn file(&self) -> &str {
        &self.file
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn functions(&self) -> Vec<String> {
        self.functions.iter().map(|function| function.name.as_str().to_owned()).collect()
    }

    fn classes(&self) -> Vec<Arc<dyn Class>> {
        let each = |class: &&'static RawClass| -> Arc<dyn Class> {
            let (state, handle, context) = (self.state, self.handle, self.context);
            let (library, objects) = (self.name.clone(), Arc::clone(&self.objects));
            Arc::new(V2Class { class, state, handle, context, library, objects })
        };
        self.classes.iter().map(each).collect()
    }

    fn is_registered(&self) -> bool {
        let registered = |dispatcher: &Dispatcher| {
            // SAFETY: a module's methods are called on the Lua thread of the state that loaded it, by Lua, and it is served.
            unsafe { dispatcher.within_lua(|| dispatcher.is_registered(self.handle)) }
        };
        self.state.get().is_some_and(registered)
    }

    fn give_up(&self) {
        if let Some(dispatcher) = states::dispatcher_of(self.handle) {
            // Refused where it has left by itself.
            let _ = dispatcher.unregister(self.handle);
        }
    }

    fn call(&self, function: usize, arguments: Vec<Value>) -> Result<Box<dyn Results>, String> {
        let function = &self.functions[function];
        let left = || format!("'{}.{}': {}", self.name, function.name, has_left(&self.name));
        let (state, context, handle) = (self.state, self.context, self.handle);
        let on = On { state, context, handle, function: function.data, object: std::ptr::null_mut() };
        call(function.call, on, arguments, left)
    }
}

fn has_left(library: &str) -> String {
    format!("the library {library} has left this Lua state: load it again")
}

struct V2Class {
    class: &'static RawClass,
    state: StateRef,
    handle: Handle,
    context: usize,
    library: String,
    objects: Arc<Objects>,
}

impl V2Class {
    fn on(&self, function: usize, object: *mut c_void) -> On {
        On { state: self.state, context: self.context, handle: self.handle, function, object }
    }

    /// The object, or why it cannot be used.
    fn left(&self, method: &str) -> String {
        format!("'{}:{method}': {}", self.class.name, has_left(&self.library))
    }
}

impl Class for V2Class {
    fn key(&self) -> usize {
        std::ptr::from_ref(self.class).expose_provenance()
    }

    fn name(&self) -> &str {
        self.class.name.as_str()
    }

    fn methods(&self) -> Vec<String> {
        self.class.methods.iter().map(|method| method.name.as_str().to_owned()).collect()
    }

    fn has_close(&self) -> bool {
        self.class.close.is_some()
    }

    unsafe fn call(
        &self,
        method: usize,
        data: *mut c_void,
        arguments: Vec<Value>,
    ) -> Result<Box<dyn Results>, String> {
        let method = &self.class.methods[method];
        let left = || self.left(method.name.as_str());
        if !self.objects.has(data, self.class) {
            return Err(left());
        }
        call(method.call, self.on(method.data, data), arguments, left)
    }

    unsafe fn close(&self, data: *mut c_void) -> Result<Option<Box<dyn Results>>, String> {
        match self.class.close.into_option() {
            // What its library took back is closed.
            Some(close) if self.objects.has(data, self.class) => {
                let given = call(close, self.on(0, data), Vec::new(), || self.left("close"))?;
                Ok(given.is_error().then_some(given))
            }
            _ => Ok(None),
        }
    }

    unsafe fn text(&self, data: *mut c_void) -> Option<String> {
        let text = self.class.to_string.into_option().filter(|_| self.objects.has(data, self.class))?;
        let _call = Call::begin(self.state, self.handle)?;
        // SAFETY: the contract of `TextFn`, with an object of that class's; see `call` of the context.
        let text: RString = unsafe { (text.0)(&self.on(0, data).raw()) };
        Some(text.into_string())
    }

    unsafe fn drop(&self, data: *mut c_void) {
        // Where the library left, or is about to, that drops its objects.
        if let Some(_call) = Call::begin(self.state, self.handle) {
            self.objects.drop_one(data, self.class);
        }
    }
}
