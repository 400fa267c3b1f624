//! Rust code that owns things, inside a function that Lua calls.
//!
//! A Lua error leaves by a jump, in LuaJIT by an exception that is not Rust's, and skips the destructors on its way. So a
//! function of the module that owns strings, lists or shares has three layers:
//!
//! | layer                              | owns                            | leaves by                          |
//! |------------------------------------|---------------------------------|------------------------------------|
//! | [`call`], in the function itself   | nothing                         | its results, or a Lua error        |
//! | the work that is given to it       | what it likes                   | an [`Answer`]; a panic ends in `call` |
//! | a closure given to [`Protected::run`] | nothing; borrows from the work | a count; a Lua error ends in `run` |
//!
//! The net for panics lies around the work alone. Nothing in a closure may panic: that would unwind Lua's own frames. They push
//! and read values, and compute nothing.

use std::any::Any;
use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use mlua::ffi;

use crate::raw::Stack;

/// Where the arguments of a function begin that goes through [`call`].
pub(crate) const FIRST: c_int = 2;

/// Where [`attempt`] keeps the address of its own frame.
const SLOT: c_int = 1;

/// Why a function does not return.
pub(crate) enum Failed {
    /// The error that Lua raised lies on top of the stack.
    Raised,
    /// A sentence, to be raised with the caller's place.
    Told(Cow<'static, str>),
}

impl From<String> for Failed {
    fn from(sentence: String) -> Self {
        Failed::Told(sentence.into())
    }
}

impl From<&'static str> for Failed {
    fn from(sentence: &'static str) -> Self {
        Failed::Told(sentence.into())
    }
}

/// How many results lie on top, or why there are none.
pub(crate) type Answer<T = c_int> = Result<T, Failed>;

/// What [`protected`] runs: a closure that lies in a frame below.
#[derive(Clone, Copy)]
struct Closure {
    data: *mut c_void,
    run: unsafe fn(*mut c_void, Stack) -> c_int,
}

/// Lua, as code may use it that owns something: in protected calls.
pub(crate) struct Protected {
    pub(crate) stack: Stack,
    /// The index of [`protected`].
    function: c_int,
    /// Lies in the frame of [`attempt`]; Lua has its address.
    slot: *mut Closure,
}

/// What is to be raised: it lies on top of the stack.
pub(crate) enum Error {
    /// As it is.
    Raised,
    /// A sentence, with the caller's place.
    Told,
}

impl Error {
    /// *Raises* it.
    pub(crate) fn raise(&self, stack: Stack) -> c_int {
        match self {
            Error::Raised => stack.raise_top(),
            Error::Told => stack.raise_top_placed(),
        }
    }
}

/// Runs `work` in a function that Lua called, and leaves as it says. Its arguments begin at [`FIRST`] from then on. `function` is
/// the index of [`protected`]. *Raises*; the caller's frame owns nothing.
pub(crate) fn call<F>(stack: Stack, function: c_int, work: F) -> c_int
where
    F: FnOnce(&Protected) -> Answer,
{
    match attempt(stack, function, work) {
        Ok(count) => count,
        Err(error) => error.raise(stack),
    }
}

/// As [`call`], and leaves it to its caller to raise.
///
/// # Errors
/// What is on top.
pub(crate) fn attempt<F>(stack: Stack, function: c_int, work: F) -> Result<c_int, Error>
where
    F: FnOnce(&Protected) -> Answer,
{
    const { assert!(!std::mem::needs_drop::<F>(), "a Lua error would skip what the closure owns") }
    let mut slot = Closure { data: null_mut(), run: run::<fn(Stack) -> c_int> };
    // Here, for LuaJIT may want memory for an address that it sees first.
    stack.push_pointer(&raw mut slot);
    stack.insert(SLOT);
    owning(&Protected { stack, function, slot: &raw mut slot }, work)
}

/// The part of [`attempt`] that owns something, and raises nothing. Apart, so that it owns nothing any more when the error is
/// raised.
#[inline(never)]
fn owning(lua: &Protected, work: impl FnOnce(&Protected) -> Answer) -> Result<c_int, Error> {
    let answer = catch_unwind(AssertUnwindSafe(|| work(lua))).unwrap_or_else(|panic| Err(told(panic).into()));
    answer.map_err(|failed| match failed {
        Failed::Raised => Error::Raised,
        Failed::Told(sentence) => match lua.push_text(&sentence) {
            Ok(_) => Error::Told,
            Err(_) => Error::Raised,
        },
    })
}

/// Runs `work` in a finalizer, where nobody hears of an error: a panic ends here, after its hook has told of it. It raises nothing.
pub(crate) fn finalize(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        // It may be another image's, with a destructor there.
        std::mem::forget(panic);
    }
}

fn told(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    format!("DSS panicked, which is a fault of DSS: {text}")
}

impl Protected {
    /// Runs `work` protected, on a stack of its own; returns how many results it left on this one's top. It may raise, so it
    /// owns nothing, and it does not panic.
    ///
    /// # Errors
    /// [`Failed::Raised`]
    pub(crate) fn run<F: FnMut(Stack) -> c_int>(&self, mut work: F) -> Answer {
        let stack = self.stack;
        let closure = Closure { data: (&raw mut work).cast(), run: run::<F> };
        // SAFETY: `attempt` waits below this, and nobody else looks at it meanwhile.
        unsafe { self.slot.write(closure) };
        let below = stack.top();
        stack.push_value(self.function);
        stack.push_value(SLOT);
        if stack.protected_call(1, ffi::LUA_MULTRET, 0) {
            Ok(stack.top() - below)
        } else {
            Err(Failed::Raised)
        }
    }

    /// Pushes a text.
    ///
    /// # Errors
    /// [`Failed::Raised`]
    pub(crate) fn push_text(&self, text: &str) -> Answer {
        self.run(|stack| {
            stack.push_bytes(text.as_bytes());
            1
        })
    }
}

/// Calls a closure that lies at `data`.
///
/// # Safety
/// It does, and nobody else calls it.
unsafe fn run<F: FnMut(Stack) -> c_int>(data: *mut c_void, stack: Stack) -> c_int {
    // SAFETY: as the caller promises.
    let work = unsafe { &mut *data.cast::<F>() };
    work(stack)
}

/// The function that a protected call calls.
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let slot: *mut Closure = stack.pointer_at(1);
    stack.remove(1);
    // SAFETY: `run` gives the address of what lies in the frame of `attempt`, below this one.
    let Closure { data, run } = unsafe { *slot };
    // SAFETY: it wrote that there just before, of a closure that lies below this frame too.
    unsafe { run(data, stack) }
}

/// Pushes [`protected`]; where there is no memory for it, the error.
///
/// # Errors
/// What is on top. Raises nothing.
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
pub(crate) fn push(stack: Stack) -> Result<(), Error> {
    // A function without upvalues is a bare pointer in these Luas.
    stack.push_function(protected, 0);
    Ok(())
}

/// Pushes [`protected`]; where there is no memory for it, the error.
///
/// # Errors
/// What is on top. Raises nothing.
#[cfg(any(feature = "lua51", feature = "luajit"))]
pub(crate) fn push(stack: Stack) -> Result<(), Error> {
    static PROTECTED: u8 = 13;

    unsafe extern "C-unwind" fn make(lua: *mut ffi::lua_State) -> c_int {
        // SAFETY: Lua called with it.
        let stack = unsafe { Stack::new(lua) };
        stack.push_function(protected, 0);
        stack.set_own(&PROTECTED);
        0
    }

    let mut here = 0_u8;
    // LuaJIT has seen an address of this thread's stack then.
    if !stack.protected_c_call(make, &raw mut here) {
        return Err(Error::Raised);
    }
    stack.push_own(&PROTECTED);
    Ok(())
}
