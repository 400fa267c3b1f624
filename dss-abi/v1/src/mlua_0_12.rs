//! Deliveries as closures that get a [`mlua::Lua`] and return its values. Errors and panics are handled.
//!
//! The module needs the feature `mlua-0_12`. The library's own manifest names `mlua` with the feature `module` and
//! the Lua for which the library is built:
//!
//! ```toml
//! dss-abi-v1 = { version = "1.0.0", features = ["mlua-0_12"] }
//! mlua = { version = "=0.12.1", default-features = false, features = ["module", "lua54"] }
//! ```
//!
//! Any 0.12 compiles, but use exactly 0.12.1: 0.12.2 crashes if the first `require` of the library runs in a
//! coroutine that is collected later.
//!
//! This module stays with 0.12. A later `mlua` has other types, and needs a crate of its own: a package can have only
//! one `mlua-sys` among its dependencies, even if no feature enables it, because `mlua-sys` links to Lua. Such a
//! crate can use the public items of this one.
//!
//! A whole library:
//!
//! ```ignore
//! use dss_abi_v1::{mlua_0_12::attach, LibraryId};
//! use mlua::prelude::*;
//!
//! static HELLO: LibraryId = LibraryId::new("hello");
//!
//! #[mlua::lua_module]
//! fn hello(lua: &Lua) -> LuaResult<LuaFunction> {
//!     let library = attach(lua, &HELLO)?.register_in(lua, &HELLO, || {})?;
//!     lua.create_function(move |lua, callback: LuaFunction| {
//!         let callback = lua.create_registry_value(callback)?;
//!         std::thread::spawn(move || {
//!             library.deliver_lua(move |lua| {
//!                 Ok((lua.registry_value::<LuaFunction>(&callback)?, "hello from a thread"))
//!             })
//!         });
//!         Ok(())
//!     })
//! }
//! ```

use std::ffi::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use mlua::ffi;
use mlua::prelude::*;

use crate::attach::{AttachError, Dss};
use crate::delivery::{drop_quietly, panicked, Delivery, LuaState, Refused};
use crate::error::{Announced, Failure, RegisterError};
use crate::library::{Library, LibraryId};
use crate::request::{Answer, Request};

/// The address is the registry key of the function that runs closures. Each library has its own, because each
/// contains `mlua`.
static RUNNER: u8 = 0;

/// Attaches to the DSS that is loaded in this Lua state. If none is loaded, it calls `require "darksidesync"`.
/// [lua-thread]
///
/// ```no_run
/// use dss_abi_v1::{mlua_0_12::attach, Library, LibraryId};
/// use mlua::prelude::*;
///
/// static HELLO: LibraryId = LibraryId::new("hello");
///
/// fn open(lua: &Lua) -> LuaResult<Library> {
///     attach(lua, &HELLO)?.register_in(lua, &HELLO, || println!("the state closes"))
/// }
/// ```
///
/// # Errors
/// A Lua error that says why DSS could not be loaded, or an [`AttachError`] as a Lua error.
pub fn attach(lua: &Lua, library: &'static LibraryId) -> LuaResult<Dss> {
    let mut table: LuaValue = lua.named_registry_value(dss_abi::REGISTRY_KEY)?;
    if table.is_nil() {
        lua.globals().get::<LuaFunction>("require")?.call::<()>("darksidesync")?;
        table = lua.named_registry_value(dss_abi::REGISTRY_KEY)?;
    }
    let address = match table {
        LuaValue::Table(table) => table.raw_get::<LuaValue>(dss_abi::RENDEZVOUS_KEY)?,
        _ => LuaValue::Nil,
    };
    let address = match address {
        LuaValue::LightUserData(address) => address.0 as *const c_void,
        _ => std::ptr::null(),
    };
    // SAFETY: it is what lies there, or NULL.
    let attached = unsafe { Dss::attach(address, library) };
    attached.map_err(LuaError::external)
}

impl Dss {
    /// Registers the library in the state of `lua`. If it is registered there already, returns that registration and
    /// drops `closing`. [lua-thread]
    ///
    /// When the state closes, the library is unregistered, and then `closing` is called. At that time its queued
    /// items are cancelled, and no thread of the library waits for Lua, so `closing` can join the threads.
    ///
    /// ```no_run
    /// # use dss_abi_v1::{mlua_0_12::attach, Library, LibraryId};
    /// # use mlua::prelude::*;
    /// # static HELLO: LibraryId = LibraryId::new("hello");
    /// fn open(lua: &Lua, mut worker: Option<std::thread::JoinHandle<()>>) -> LuaResult<Library> {
    ///     attach(lua, &HELLO)?.register_in(lua, &HELLO, move || {
    ///         if let Some(worker) = worker.take() {
    ///             let _ = worker.join();
    ///         }
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// A [`RegisterError`] as a Lua error.
    pub fn register_in(
        &self,
        lua: &Lua,
        id: &'static LibraryId,
        closing: impl FnMut() + Send + 'static,
    ) -> LuaResult<Library> {
        let runner = lua.create_function(|lua, (task, arguments): (LuaLightUserData, LuaMultiValue)| {
            // SAFETY: `run` calls with the address of a task in its own frame.
            let task = unsafe { &mut *task.0.cast::<Task<'_>>() };
            Ok(task.run(lua, arguments))
        })?;
        let keep = |state| {
            // SAFETY: `exec_raw` calls protected, with the runner on the stack.
            unsafe { ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, runner_key()) };
        };
        // SAFETY: the closure holds nothing that wants to be dropped.
        unsafe { lua.exec_raw::<()>(runner, keep) }?;
        let closing = Closing::new(closing);
        let told = closing.clone();
        let mut registered = None;
        let register = |state| {
            // SAFETY: `exec_raw` calls with the state's own pointer; nothing in there raises.
            registered = Some(unsafe { self.register::<ffi::lua_State>(state, id, move || closing.tell()) });
        };
        // SAFETY: as above.
        unsafe { lua.exec_raw::<()>((), register) }?;
        match registered {
            Some(Ok(library)) => {
                // Lua finalizes the younger first: this goes before `mlua`'s own state in this image does, and with it
                // goes the library, so that no decode finds that state gone. DSS's own finalizer comes later still.
                let key = format!("dss-abi-v1 {:#x}", id.address());
                lua.create_any_userdata(Leaver(library, told))
                    .and_then(|leaver| lua.set_named_registry_value(&key, leaver))
                    .map_err(|error| {
                        let _ = library.unregister();
                        error
                    })?;
                Ok(library)
            }
            Some(Err(RegisterError::Already(library))) => Ok(library),
            Some(Err(error)) => Err(LuaError::external(error)),
            None => Err(LuaError::external(AttachError::new("Lua did not run the registration"))),
        }
    }
}

/// The function to call when the state closes. DSS or the [`Leaver`] calls it, whichever is first.
#[derive(Clone)]
struct Closing(Arc<Mutex<Option<Told>>>);

type Told = Box<dyn FnMut() + Send>;

impl Closing {
    fn new(closing: impl FnMut() + Send + 'static) -> Self {
        Closing(Arc::new(Mutex::new(Some(Box::new(closing)))))
    }

    fn tell(&self) {
        // Taken out first: no lock is held while it runs.
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(closing) = taken {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(closing)) {
                drop_quietly(panic);
            }
        }
    }
}

/// Unregisters a library when its Lua state closes.
struct Leaver(Library, Closing);

impl Drop for Leaver {
    fn drop(&mut self) {
        // Refused where it was unregistered before, and then there is nobody to tell.
        if self.0.unregister().is_ok() {
            self.1.tell();
        }
    }
}

impl Library {
    /// Queues a closure, and returns immediately. Lua runs the closure on the Lua thread. The closure returns a
    /// function and its arguments, and Lua calls the function. If the closure returns no values, nothing is called.
    /// [any-thread]
    ///
    /// The library must have registered in that state with [`Dss::register_in`]. Otherwise the closure is dropped,
    /// and `poll` or `dispatch` raises an error that says so.
    ///
    /// ```no_run
    /// use dss_abi_v1::Library;
    /// use mlua::prelude::*;
    ///
    /// fn later(lua: &Lua, library: Library, callback: LuaFunction) -> LuaResult<()> {
    ///     let callback = lua.create_registry_value(callback)?;
    ///     std::thread::spawn(move || {
    ///         library.deliver_lua(move |lua| {
    ///             Ok((lua.registry_value::<LuaFunction>(&callback)?, "hello from a thread"))
    ///         })
    ///     });
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refused`] contains the closure and the reason.
    pub fn deliver_lua<F, R>(&self, decode: F) -> Result<Announced, Refused<F>>
    where
        F: FnOnce(&Lua) -> LuaResult<R> + Send + 'static,
        R: IntoLuaMulti,
    {
        self.deliver(Decode(Some(decode))).map_err(|refused| {
            refused.map(|delivery| delivery.0.expect("a delivery that was refused was not run"))
        })
    }

    /// Queues a closure as [`Self::deliver_lua`] does, and waits for Lua's answer. [any-thread] `[blocks]`
    ///
    /// The Lua function gets a reply function as its first argument. `reply` gets the values with which Lua calls the
    /// reply function. The library must have registered with [`Dss::register_in`].
    ///
    /// ```no_run
    /// use dss_abi_v1::{Answer, Library};
    /// use mlua::prelude::*;
    ///
    /// /// Asks Lua; not on the Lua thread.
    /// fn ask(library: Library, callback: &LuaRegistryKey) -> Option<String> {
    ///     let decode = |lua: &Lua| Ok((lua.registry_value::<LuaFunction>(callback)?, "name?"));
    ///     match library.request_lua(decode, |_, name: String| Ok(name)) {
    ///         Ok(Answer::Replied(name)) => Some(name),
    ///         _ => None,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refused`] contains both closures and the reason. On the Lua thread, as [`Self::deliver_and_wait`] defines
    /// it, the reason is [`DeliverError::WouldDeadlock`](crate::DeliverError::WouldDeadlock).
    pub fn request_lua<F, R, G, A, T>(&self, decode: F, reply: G) -> Result<Answer<T>, Refused<(F, G)>>
    where
        F: FnOnce(&Lua) -> LuaResult<R> + Send,
        R: IntoLuaMulti,
        G: FnOnce(&Lua, A) -> LuaResult<T> + Send,
        A: FromLuaMulti,
        T: Send,
    {
        let ask = Ask { decode: Some(decode), reply: Some(reply), types: std::marker::PhantomData };
        self.deliver_and_wait(ask).map_err(|refused| {
            let untouched = "a request that was refused was not run";
            refused.map(|ask| (ask.decode.expect(untouched), ask.reply.expect(untouched)))
        })
    }
}

struct Decode<F>(Option<F>);

impl<F, R> Delivery for Decode<F>
where
    F: FnOnce(&Lua) -> LuaResult<R> + Send + 'static,
    R: IntoLuaMulti,
{
    fn decode(&mut self, lua: LuaState) -> Result<usize, Failure> {
        let decode = self.0.take().ok_or("a delivery is decoded once")?;
        run(lua, 0, |lua, _| decode(lua)?.into_lua_multi(lua))
    }
}

struct Ask<F, G, A> {
    decode: Option<F>,
    reply: Option<G>,
    types: std::marker::PhantomData<fn(A)>,
}

impl<F, R, G, A, T> Request for Ask<F, G, A>
where
    F: FnOnce(&Lua) -> LuaResult<R> + Send,
    R: IntoLuaMulti,
    G: FnOnce(&Lua, A) -> LuaResult<T> + Send,
    A: FromLuaMulti,
    T: Send,
{
    type Answer = T;

    fn decode(&mut self, lua: LuaState) -> Result<usize, Failure> {
        let decode = self.decode.take().ok_or("a request is decoded once")?;
        run(lua, 0, |lua, _| decode(lua)?.into_lua_multi(lua))
    }

    fn reply(&mut self, lua: LuaState) -> Result<(T, usize), Failure> {
        let reply = self.reply.take().ok_or("a request is answered once")?;
        // SAFETY: DSS calls with a live state.
        let arguments = unsafe { ffi::lua_gettop(lua.as_ptr()) };
        let mut answer = None;
        run(lua, arguments, |lua, given| {
            answer = Some(reply(lua, A::from_lua_multi(given, lua)?)?);
            Ok(LuaMultiValue::new())
        })?;
        answer.map(|answer| (answer, 0)).ok_or_else(|| "Lua did not run the reply".into())
    }
}

type Work<'a> = &'a mut dyn FnMut(&Lua, LuaMultiValue) -> LuaResult<LuaMultiValue>;

/// What `run` passes to the runner through Lua.
struct Task<'a> {
    work: Work<'a>,
    failure: Option<Failure>,
}

impl Task<'_> {
    fn run(&mut self, lua: &Lua, arguments: LuaMultiValue) -> LuaMultiValue {
        let failure = match catch_unwind(AssertUnwindSafe(|| (self.work)(lua, arguments))) {
            Ok(Ok(values)) => return values,
            Ok(Err(error)) => Failure::from(error),
            Err(panic) => panicked(panic),
        };
        self.failure = Some(failure);
        LuaMultiValue::new()
    }
}

fn runner_key() -> *const c_void {
    (&RUNNER as *const u8).cast()
}

/// Runs `work` through Lua. It pops the top `count` values, which are the arguments. It leaves the results on the
/// stack, and returns how many there are.
fn run(
    lua: LuaState,
    count: i32,
    work: impl FnOnce(&Lua, LuaMultiValue) -> LuaResult<LuaMultiValue>,
) -> Result<usize, Failure> {
    let mut work = Some(work);
    let mut once = |lua: &Lua, given: LuaMultiValue| match work.take() {
        Some(work) => work(lua, given),
        None => Err(LuaError::runtime("a delivery runs once")),
    };
    let mut task = Task { work: &mut once, failure: None };
    // SAFETY: DSS calls with a live state that has `count` values on top.
    let results = unsafe { call_runner(lua.as_ptr(), count, &mut task) };
    match task.failure {
        Some(failure) => Err(failure),
        None => results.map_err(Failure::from),
    }
}

/// Calls the runner on the raw stack, so that its results stay there. Returns how many results there are, or why it
/// could not be called. Raises nothing.
///
/// # Safety
/// `lua` is live and has `count` values on top.
unsafe fn call_runner(
    lua: *mut ffi::lua_State,
    count: i32,
    task: &mut Task<'_>,
) -> Result<usize, &'static str> {
    let task: *mut Task<'_> = task;
    // SAFETY: a live state, here and below.
    let base = unsafe { ffi::lua_gettop(lua) } - count;
    // SAFETY: the registry is always there, and a raw access raises nothing.
    let found = unsafe { ffi::lua_rawgetp(lua, ffi::LUA_REGISTRYINDEX, runner_key()) };
    if found != ffi::LUA_TFUNCTION {
        return Err("the library's closure cannot run, for the library was not registered with `Dss::register_in` in this \
                    Lua state: register it with that");
    }
    // SAFETY: `count` values lie above that place.
    unsafe { ffi::lua_insert(lua, base + 1) };
    // SAFETY: DSS leaves room for 20 values, and a library's replies are called with room for 2 more.
    unsafe { ffi::lua_pushlightuserdata(lua, task.cast()) };
    // SAFETY: as above.
    unsafe { ffi::lua_insert(lua, base + 2) };
    // SAFETY: the function and its arguments are on top.
    let status = unsafe { ffi::lua_pcall(lua, count + 1, ffi::LUA_MULTRET, 0) };
    // SAFETY: as above.
    let results = unsafe { ffi::lua_gettop(lua) } - base;
    match status {
        ffi::LUA_OK => Ok(results as usize),
        ffi::LUA_ERRMEM => Err("Lua could not run the library's closure: it is out of memory"),
        _ => Err("Lua could not run the library's closure: it has no room for what goes in or comes out"),
    }
}
