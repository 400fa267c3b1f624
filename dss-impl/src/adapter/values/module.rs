//! A loaded library, as Lua calls it.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use super::objects::Objects;
use super::push;
use super::service::Refused;
use super::wire::{On, Returned, Shape, Wire};
use crate::dispatcher::{Calling, Dispatcher};
use crate::handle::Handle;
use crate::states::{self, StateRef};
use crate::value::{Class, Module, Results, Value};

const DEAD_CALLBACK: &str = "a library returned a function of another Lua state, or of one that has closed";
const NOT_LENT: &str = "a library returned an object that Lua owns and that it was not called on or with: a function can \
                        return only new objects and those that it was given";
const TOO_DEEP: &str = "a library returned lists or maps that are nested too deep";

/// A call into the library, from its start until its results are in Lua.
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

/// Runs `work` as a call into a library, if the library is registered. [lua-thread]
pub(crate) fn in_call<R>(state: StateRef, handle: Handle, work: impl FnOnce() -> R) -> Option<R> {
    let _call = Call::begin(state, handle)?;
    Some(work())
}

struct Given<W: Wire> {
    values: W::Values,
    /// The value is an error to be raised.
    error: bool,
    lent: bool,
    call: Call,
}

impl<W: Wire> Results for Given<W> {
    fn is_error(&self) -> bool {
        self.error
    }

    fn has_lent(&self) -> bool {
        self.lent
    }

    unsafe fn push(&mut self, lua: *mut c_void) -> Result<c_int, &'static str> {
        let Some(to) = states::lua_values() else { return Ok(0) };
        let values = W::slice(&mut self.values);
        let count = c_int::try_from(values.len()).unwrap_or(c_int::MAX);
        // SAFETY: the caller's promise, here and below.
        if !unsafe { to.reserve(lua, count.saturating_add(8)) } {
            return Err("a library returned too many values for Lua's stack");
        }
        // SAFETY: as above.
        let last = unsafe { to.top(lua) };
        for value in values {
            if let Shape::Lent(lent) = W::shape(value) {
                // SAFETY: as above.
                if !unsafe { to.push_lent(lua, last, lent) } {
                    return Err(NOT_LENT);
                }
                continue;
            }
            // SAFETY: as above.
            unsafe { push::push::<W>(to, lua, value, self.call.handle) }?;
        }
        Ok(count)
    }
}

/// The results of a call, if all of them can go to Lua.
fn check<W: Wire>(returned: Returned<W>, call: Call) -> Result<Box<dyn Results>, String> {
    let (mut values, error) = match returned {
        Returned::Values(values) => (values, false),
        Returned::Raised(value) => (value, true),
    };
    let mut lent = false;
    if let Some(dispatcher) = states::dispatcher_of(call.handle) {
        for value in W::slice(&mut values) {
            if let Shape::Lent(_) = W::shape(value) {
                lent = true;
                continue;
            }
            match push::measure::<W>(std::slice::from_mut(value), dispatcher) {
                Err(Refused::InvalidCallback) => return Err(DEAD_CALLBACK.to_owned()),
                Err(Refused::Malformed) => return Err(push::BORROWED.to_owned()),
                Err(Refused::TooDeep) => return Err(TOO_DEEP.to_owned()),
                // Lua itself limits the memory that a result takes.
                _ => {}
            }
        }
    }
    Ok(Box::new(Given::<W> { values, error, lent, call }))
}

/// A registered library, as Lua calls it.
pub(super) struct Loaded<W: Wire> {
    pub(super) state: StateRef,
    pub(super) handle: Handle,
    /// The library's own context, for its functions.
    pub(super) context: usize,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) file: String,
    pub(super) functions: &'static [W::Function],
    pub(super) objects: Arc<Objects<W>>,
}

impl<W: Wire> Module for Loaded<W> {
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
        self.functions.iter().map(|function| W::function_name(function).to_owned()).collect()
    }

    fn classes(&self) -> Vec<Arc<dyn Class>> {
        let each = |class: &&'static W::Class| -> Arc<dyn Class> {
            let (state, handle, context) = (self.state, self.handle, self.context);
            let (library, objects) = (self.name.clone(), Arc::clone(&self.objects));
            Arc::new(LoadedClass::<W> { class, state, handle, context, library, objects })
        };
        self.objects.classes.iter().map(each).collect()
    }

    fn identifies_callbacks(&self) -> bool {
        W::IDENTIFIES_CALLBACKS
    }

    fn is_registered(&self) -> bool {
        let registered = |dispatcher: &Dispatcher| {
            // SAFETY: Lua calls a module's methods on the Lua thread of the state that loaded it, and the state is open.
            unsafe { dispatcher.within_lua(|| dispatcher.is_registered(self.handle)) }
        };
        self.state.get().is_some_and(registered)
    }

    fn give_up(&self) {
        if let Some(dispatcher) = states::dispatcher_of(self.handle) {
            // This is refused if the library has already unregistered itself.
            let _ = dispatcher.unregister(self.handle);
        }
    }

    fn call(&self, function: usize, arguments: Vec<Value>) -> Result<Box<dyn Results>, String> {
        let function = &self.functions[function];
        let call = Call::begin(self.state, self.handle).ok_or_else(|| {
            format!("'{}.{}': {}", self.name, W::function_name(function), has_left(&self.name))
        })?;
        let on = On { context: self.context, handle: self.handle, object: std::ptr::null_mut() };
        // SAFETY: the call has begun, and `function` is one of the library's functions.
        check::<W>(unsafe { W::call(function, on, arguments, &self.objects.classes) }, call)
    }
}

fn has_left(library: &str) -> String {
    format!("the library {library} is no longer registered in this Lua state: load it again")
}

struct LoadedClass<W: Wire> {
    class: &'static W::Class,
    state: StateRef,
    handle: Handle,
    context: usize,
    library: String,
    objects: Arc<Objects<W>>,
}

impl<W: Wire> LoadedClass<W> {
    fn on(&self, object: *mut c_void) -> On {
        On { context: self.context, handle: self.handle, object }
    }

    /// Begins a call on an object, or returns why the object cannot be used.
    fn begin(&self, method: &str, data: *mut c_void) -> Result<Call, String> {
        let call =
            if self.objects.has(data, self.class) { Call::begin(self.state, self.handle) } else { None };
        call.ok_or_else(|| format!("'{}:{method}': {}", W::class_name(self.class), has_left(&self.library)))
    }
}

impl<W: Wire> Class for LoadedClass<W> {
    fn key(&self) -> usize {
        std::ptr::from_ref(self.class).expose_provenance()
    }

    fn name(&self) -> &str {
        W::class_name(self.class)
    }

    fn methods(&self) -> Vec<String> {
        W::methods(self.class).iter().map(|method| W::function_name(method).to_owned()).collect()
    }

    fn has_close(&self) -> bool {
        W::has_close(self.class)
    }

    unsafe fn call(
        &self,
        method: usize,
        data: *mut c_void,
        arguments: Vec<Value>,
    ) -> Result<Box<dyn Results>, String> {
        let method = &W::methods(self.class)[method];
        let call = self.begin(W::function_name(method), data)?;
        // SAFETY: the call has begun. Lua owns the object, which is of the method's class.
        check::<W>(unsafe { W::call(method, self.on(data), arguments, &self.objects.classes) }, call)
    }

    unsafe fn close(&self, data: *mut c_void) -> Result<Option<Box<dyn Results>>, String> {
        // An object that its library took back is closed.
        if !W::has_close(self.class) || !self.objects.has(data, self.class) {
            return Ok(None);
        }
        let call = self.begin("close", data)?;
        // SAFETY: as above.
        let given = check::<W>(unsafe { W::close(self.class, self.on(data)) }, call)?;
        Ok(given.is_error().then_some(given))
    }

    unsafe fn text(&self, data: *mut c_void) -> Option<String> {
        let _call = self.begin("tostring", data).ok()?;
        // SAFETY: as above.
        unsafe { W::text(self.class, self.on(data)) }
    }

    unsafe fn drop(&self, data: *mut c_void) {
        // If the library has left, or is about to, its objects are dropped then.
        if let Some(_call) = Call::begin(self.state, self.handle) {
            self.objects.drop_one(data, self.class);
        }
    }
}
