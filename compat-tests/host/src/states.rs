//! Lua states: the main one, more on the same thread, and states with their own threads.

use crate::lua::{self, State as Raw};
use crate::memory::Failing;
use crate::object::{self, Object, create, open, reply};
use crate::value::Value;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::thread::JoinHandle;

/// Options of the command line that apply to all states of this process.
#[derive(Default)]
pub(crate) struct Paths {
    /// Put before `package.path`.
    pub(crate) path: Option<Vec<u8>>,
    /// Put before `package.cpath`.
    pub(crate) cpath: Option<Vec<u8>>,
}

/// Set once, before the first state is made.
pub(crate) static PATHS: OnceLock<Paths> = OnceLock::new();

/// What to run.
pub(crate) enum Source<'a> {
    /// Code, and its name in messages.
    Code(&'a [u8], &'a CStr),
    /// The path of a file.
    File(&'a CStr),
}

/// How a state is made.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kind {
    /// Open only `package`, not the other standard libraries.
    bare: bool,
    /// Use an allocator that `host.fail` can make fail.
    failing: bool,
}

/// A Lua state with its libraries. It is closed when this is dropped.
pub(crate) struct LuaState {
    raw: NonNull<Raw>,
    failing: Option<Box<Failing>>,
    /// Whether it is running. It must then not be entered from outside or closed.
    busy: Cell<bool>,
}

/// A chunk to run inside a state. Its fields outlive the protected call, so a Lua error skips no destructor.
struct Job<'a> {
    source: Source<'a>,
    args: &'a [Value],
    /// The global `arg`, if it is to be set: the script's name, then its arguments.
    script: Option<&'a [Value]>,
    traceback: bool,
    outcome: Outcome,
}

/// The results of a chunk, or the message of its error.
type Outcome = Result<Vec<Value>, Value>;

impl LuaState {
    /// Opens a state with the standard libraries and the table `host`.
    pub(crate) fn new(mut kind: Kind) -> Result<Self, String> {
        // SAFETY: the call has no preconditions.
        let raw = NonNull::new(unsafe { lua::newstate() }).ok_or("no memory for a Lua state")?;
        // SAFETY: the state was just opened.
        let failing = kind.failing.then(|| unsafe { Failing::install(raw.as_ptr()) });
        let state = Self { raw, failing, busy: Cell::new(false) };
        match state.enter(set_up, (&raw mut kind).cast()) {
            Ok(()) => Ok(state),
            Err(message) => Err(match message {
                Value::String(text) => String::from_utf8_lossy(&text).into_owned(),
                _ => "the state can't be set up".into(),
            }),
        }
    }

    /// Runs a chunk with `args`. If `script` is given, sets the global `arg` first.
    pub(crate) fn run(
        &self,
        source: Source<'_>,
        args: &[Value],
        script: Option<&[Value]>,
        traceback: bool,
    ) -> Outcome {
        let mut job = Job { source, args, script, traceback, outcome: Ok(Vec::new()) };
        self.enter(run_job, (&raw mut job).cast())?;
        job.outcome
    }

    fn enter(&self, function: lua::Function, data: *mut c_void) -> Result<(), Value> {
        if self.busy.replace(true) {
            return Err("the state is running already".into());
        }
        let l = self.raw.as_ptr();
        // SAFETY: the state is open, idle, and owned by this thread. `enter` never raises.
        let result = unsafe {
            let status = lua::enter(l, function, data);
            let result = if status == lua::OK { Ok(()) } else { Err(message_at(l, -1)) };
            lua::settop(l, 0);
            result
        };
        self.busy.set(false);
        result
    }
}

impl Drop for LuaState {
    fn drop(&mut self) {
        if let Some(failing) = self.failing.as_ref().filter(|failing| !failing.stays()) {
            // SAFETY: this owns the state, and nobody is running it.
            unsafe { failing.remove(self.raw.as_ptr()) };
        }
        // SAFETY: this owns the state, and nobody is running it. `close` refuses a busy one, and Lua does not collect an object
        // that is on the stack of a running function.
        unsafe { lua::close(self.raw.as_ptr()) }
    }
}

impl Object for LuaState {
    const NAME: &'static CStr = c"dss.host.state";
    const METHODS: &'static [(&'static CStr, lua::Function)] = &[(c"dostring", dostring), (c"close", close)];
}

/// A thread with its own state.
struct Thread(RefCell<Progress>);

enum Progress {
    Running(JoinHandle<Outcome>),
    /// Kept, so that a second `join` returns the same.
    Joined(Outcome),
}

impl Object for Thread {
    const NAME: &'static CStr = c"dss.host.thread";
    const METHODS: &'static [(&'static CStr, lua::Function)] = &[(c"join", join), (c"done", done)];
}

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[(c"newstate", newstate), (c"thread", thread)];

pub(crate) unsafe fn register(l: *mut Raw) {
    // SAFETY: this function has the same contract as the one it calls.
    unsafe {
        object::register::<LuaState>(l);
        object::register::<Thread>(l);
    }
}

/// `host.newstate([kind]) -> state`: makes another Lua state in this process and on this thread, with all libraries, the same
/// paths, and its own `host`. It is closed when it is collected, if not before. `kind` is a table: `bare = true` opens no
/// standard library except `package`; `failing = true` gives it an allocator that `host.fail` can make fail.
unsafe extern "C-unwind" fn newstate(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let mut kind = Kind::default();
        if lua::kind(l, 1) > lua::TNIL {
            lua::getfield(l, 1, c"bare".as_ptr());
            lua::getfield(l, 1, c"failing".as_ptr());
            kind = Kind { bare: lua::toboolean(l, -2) != 0, failing: lua::toboolean(l, -1) != 0 };
        }
        create(l, move || LuaState::new(kind))
    }
}

/// `state:dostring(code, ...) -> ...`, or `nil, message` if the code fails: runs code in the other state, with the arguments as
/// its `...`. Arguments and results are copied. They can be nil, booleans, numbers and strings.
unsafe extern "C-unwind" fn dostring(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing; the state and the code stay on the stack.
    unsafe {
        let this = object::this::<LuaState>(l);
        let code = object::string(l, 2);
        let last = lua::gettop(l);
        reply(l, move || {
            let state = open(this)?;
            let args = Value::read_all(l, 3, last, "argument")?;
            Ok(match state.run(Source::Code(code, c"=(dostring)"), &args, None, false) {
                Ok(results) => results,
                Err(message) => vec![Value::Nil, message],
            })
        })
    }
}

/// `state:close()`: closes the state. A second call does nothing.
unsafe extern "C-unwind" fn close(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing; the slot belongs to the userdata on the stack.
    unsafe {
        let slot = object::slot::<LuaState>(l);
        reply(l, move || {
            if (*slot).as_ref().is_some_and(|state| state.busy.get()) {
                return Err("a state can't be closed while it runs".into());
            }
            object::discard(slot);
            Ok(Vec::new())
        })
    }
}

/// `host.thread(code, ...) -> thread`: runs code in a new Lua state on a new OS thread, and closes that state there.
/// Arguments and results are copied as in `dostring`. If the thread object is collected, the thread continues. The process does
/// not wait for it before it exits.
unsafe extern "C-unwind" fn thread(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing; the code stays on the stack until the closure has copied it.
    unsafe {
        let code = object::string(l, 1);
        let last = lua::gettop(l);
        create(l, move || {
            let args = Value::read_all(l, 2, last, "argument")?;
            let code = code.to_vec();
            let run = move || {
                let state = LuaState::new(Kind::default())?;
                state.run(Source::Code(&code, c"=(thread)"), &args, None, false)
            };
            let handle = std::thread::Builder::new().name("lua".into()).spawn(run);
            let handle = handle.map_err(|error| format!("no new thread: {error}"))?;
            Ok(Thread(RefCell::new(Progress::Running(handle))))
        })
    }
}

/// `thread:join() -> true, ...` or `false, message`: waits until the code has run and its state is closed.
unsafe extern "C-unwind" fn join(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing; the object stays on the stack.
    unsafe {
        let this = object::this::<Thread>(l);
        reply(l, move || {
            let mut progress = open(this)?.0.borrow_mut();
            let placeholder = Progress::Joined(Err("the thread is being joined".into()));
            let outcome = match std::mem::replace(&mut *progress, placeholder) {
                Progress::Running(handle) => handle.join().unwrap_or(Err("the thread panicked".into())),
                Progress::Joined(outcome) => outcome,
            };
            let answer = match outcome.clone() {
                Ok(values) => std::iter::once(true.into()).chain(values).collect(),
                Err(message) => vec![false.into(), message],
            };
            *progress = Progress::Joined(outcome);
            Ok(answer)
        })
    }
}

/// `thread:done() -> boolean`: whether `join` would return at once.
unsafe extern "C-unwind" fn done(l: *mut Raw) -> c_int {
    // SAFETY: as in `join`.
    unsafe {
        let this = object::this::<Thread>(l);
        reply(l, move || {
            Ok(vec![match &*open(this)?.0.borrow() {
                Progress::Running(handle) => handle.is_finished().into(),
                Progress::Joined(_) => true.into(),
            }])
        })
    }
}

/// Opens the libraries, sets the paths and makes `host`. Runs inside the new state, protected.
unsafe extern "C-unwind" fn set_up(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing: the paths are static, the rest is on Lua's stack.
    unsafe {
        if (*lua::touserdata(l, 1).cast::<Kind>()).bare {
            lua::openpackage(l);
        } else {
            lua::openlibs(l);
        }
        if let Some(paths) = PATHS.get() {
            prepend(l, c"path", paths.path.as_deref());
            prepend(l, c"cpath", paths.cpath.as_deref());
        }
        crate::open_host(l);
    }
    0
}

/// Puts an entry before the others of `package.path` or `package.cpath`.
unsafe fn prepend(l: *mut Raw, name: &CStr, entry: Option<&[u8]>) {
    let Some(entry) = entry else { return };
    // SAFETY: the caller's frame owns nothing, and `openlibs` made `package`.
    unsafe {
        lua::getglobal(l, c"package");
        lua::pushlstring(l, entry.as_ptr().cast(), entry.len());
        lua::pushlstring(l, c";".as_ptr(), 1);
        lua::getfield(l, -3, name.as_ptr());
        lua::concat(l, 3);
        lua::setfield(l, -2, name.as_ptr());
        lua::settop(l, -2);
    }
}

/// Runs a [`Job`] inside the state, protected. Only the job owns things, and it lives outside of the call.
unsafe extern "C-unwind" fn run_job(l: *mut Raw) -> c_int {
    // SAFETY: `LuaState::run` passes a job that outlives the call, and touches it only afterwards.
    unsafe {
        let job: *mut Job<'_> = lua::touserdata(l, 1).cast();
        let args: &[Value] = (*job).args;
        lua::checkstack(l, args.len() as c_int + 20, c"too many arguments".as_ptr());
        if let Some(script) = (*job).script {
            lua::createtable(l, script.len() as c_int, 1);
            for (index, value) in script.iter().enumerate() {
                value.push(l);
                lua::rawseti(l, -2, index as lua::Index);
            }
            lua::setglobal(l, c"arg");
        }
        lua::pushfunction(l, if (*job).traceback { traceback } else { describe });
        let handler = lua::gettop(l);
        let mut status = match &(*job).source {
            Source::Code(code, name) => lua::loadbuffer(l, code, name),
            Source::File(path) => lua::loadfile(l, path),
        };
        if status == lua::OK {
            for value in args {
                value.push(l);
            }
            status = lua::pcall(l, args.len() as c_int, lua::MULTRET, handler);
        }
        (*job).outcome = if status != lua::OK {
            Err(message_at(l, -1))
        } else if (*job).script.is_some() {
            // The results of a script are not used, and may have any type.
            Ok(Vec::new())
        } else {
            Value::read_all(l, handler + 1, lua::gettop(l), "result").map_err(Value::from)
        };
    }
    0
}

/// The message of an error, which [`describe`] has made a string unless memory ran out. Never raises.
unsafe fn message_at(l: *mut Raw, index: c_int) -> Value {
    // SAFETY: the caller guarantees an error at that index.
    match unsafe { Value::read(l, index) } {
        Ok(message @ Value::String(_)) => message,
        _ => "an error that is not a string".into(),
    }
}

/// A message handler: makes a string of any error, as a plain `lua` does.
unsafe extern "C-unwind" fn describe(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing; the names of types are static.
    unsafe {
        let kind = lua::kind(l, 1);
        if kind == lua::TSTRING {
            lua::settop(l, 1);
        } else if kind == lua::TNUMBER {
            lua::tolstring(l, 1, std::ptr::null_mut());
            lua::settop(l, 1);
        } else if lua::callmeta(l, 1, c"__tostring".as_ptr()) == 0 || lua::kind(l, -1) != lua::TSTRING {
            let name = CStr::from_ptr(lua::typename(l, kind)).to_bytes();
            lua::pushlstring(l, c"(error object is a ".as_ptr(), 19);
            lua::pushlstring(l, name.as_ptr().cast(), name.len());
            lua::pushlstring(l, c" value)".as_ptr(), 7);
            lua::concat(l, 3);
        }
        1
    }
}

/// A message handler: as [`describe`], with a traceback.
unsafe extern "C-unwind" fn traceback(l: *mut Raw) -> c_int {
    // SAFETY: the frame owns nothing. `debug.traceback` is called unprotected: its error would be the handler's.
    unsafe {
        describe(l);
        lua::getglobal(l, c"debug");
        lua::getfield(l, -1, c"traceback".as_ptr());
        lua::pushvalue(l, -3);
        lua::pushinteger(l, 2);
        lua::call(l, 2, 1);
        1
    }
}
