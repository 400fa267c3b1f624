//! Rust code that owns values, inside a function that Lua calls.
//!
//! A Lua error leaves by a jump (in LuaJIT by an exception that is not Rust's), and skips the destructors on its way. So a
//! function of the module that owns strings, lists or `Arc` references has three layers:
//!
//! | layer                              | owns                            | leaves by                          |
//! |------------------------------------|---------------------------------|------------------------------------|
//! | [`call`], in the function itself   | nothing                         | its results, or a Lua error        |
//! | the work that is passed to it      | anything                        | an [`Answer`]; a panic ends in `call` |
//! | a closure passed to [`Protected::run`] | nothing; borrows from the work | a count; a Lua error ends in `run` |
//!
//! Panics are caught around the work only. A closure must not panic: that would unwind Lua's own frames. Closures push and
//! read values, and compute nothing.

use std::any::Any;
use std::borrow::Cow;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

use dss_impl::memory::OutOfMemory;
use mlua::ffi;

use crate::errors::NO_MEMORY;
use crate::raw::Stack;

/// The index of the first argument in a function that goes through [`call`].
pub(crate) const FIRST: c_int = 2;

/// The index at which [`attempt`] keeps the address of its slot.
const SLOT: c_int = 1;

/// Why a function does not return.
pub(crate) enum Failed {
    /// Lua raised an error, which is on top of the stack.
    Raised,
    /// An error message. It is raised with the caller's position.
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

impl From<OutOfMemory> for Failed {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Failed::Told(NO_MEMORY.into())
    }
}

/// The number of results on top of the stack, or why there are none.
pub(crate) type Answer<T = c_int> = Result<T, Failed>;

/// What [`protected`] runs: a closure in a frame below.
#[derive(Clone, Copy)]
struct Closure {
    data: *mut c_void,
    run: unsafe fn(*mut c_void, Stack) -> c_int,
}

/// Lua, for code that owns values: it is called only in protected calls.
pub(crate) struct Protected {
    pub(crate) stack: Stack,
    /// The index of [`protected`].
    function: c_int,
    /// Points into the frame of [`attempt`]. Lua has this address.
    slot: *mut Closure,
}

/// An error to raise, which is on top of the stack.
pub(crate) enum Error {
    /// Raised unchanged.
    Raised,
    /// A message, raised with the caller's position.
    Told,
}

impl Error {
    /// *Raises* the error.
    pub(crate) fn raise(&self, stack: Stack) -> c_int {
        match self {
            Error::Raised => stack.raise_top(),
            Error::Told => stack.raise_top_placed(),
        }
    }
}

/// Runs `work` in a function that Lua called, and returns its results or raises its error. In `work`, the arguments begin at
/// [`FIRST`]. `function` is the index of [`protected`]. *Raises*; the caller's frame must own nothing.
pub(crate) fn call<F>(stack: Stack, function: c_int, work: F) -> c_int
where
    F: FnOnce(&Protected) -> Answer,
{
    match attempt(stack, function, work) {
        Ok(count) => count,
        Err(error) => error.raise(stack),
    }
}

/// Like [`call`], but leaves it to the caller to raise the error.
///
/// # Errors
/// The error on top of the stack.
pub(crate) fn attempt<F>(stack: Stack, function: c_int, work: F) -> Result<c_int, Error>
where
    F: FnOnce(&Protected) -> Answer,
{
    const { assert!(!std::mem::needs_drop::<F>(), "a Lua error would skip what the closure owns") }
    let mut slot = Closure { data: null_mut(), run: run::<fn(Stack) -> c_int> };
    // Pushed here, because LuaJIT may allocate when it first sees an address.
    stack.push_pointer(&raw mut slot);
    stack.insert(SLOT);
    owning(&Protected { stack, function, slot: &raw mut slot }, work)
}

/// The part of [`attempt`] that owns values. Raises nothing. It is a separate function, so that nothing is owned any more when
/// the error is raised.
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

/// Runs `work` in a finalizer, where no one receives an error. A panic ends here, after the panic hook has reported it. Raises nothing.
pub(crate) fn finalize(work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        // The panic may come from another image, which has its destructor.
        std::mem::forget(panic);
    }
}

fn told(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    format!("DSS panicked, which is a bug in DSS: {text}")
}

impl Protected {
    /// Runs `work` protected, on a stack of its own. Returns how many results it left on top of this stack. `work` may raise, so it
    /// must own nothing. It must not panic.
    ///
    /// # Errors
    /// [`Failed::Raised`]
    pub(crate) fn run<F: FnMut(Stack) -> c_int>(&self, mut work: F) -> Answer {
        let stack = self.stack;
        let closure = Closure { data: (&raw mut work).cast(), run: run::<F> };
        // SAFETY: `attempt` waits in a frame below, and nothing else uses the slot meanwhile.
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

    /// Pushes a string.
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

/// Calls the closure at `data`.
///
/// # Safety
/// `data` points to an `F` that nothing else is calling.
unsafe fn run<F: FnMut(Stack) -> c_int>(data: *mut c_void, stack: Stack) -> c_int {
    // SAFETY: as the caller promises.
    let work = unsafe { &mut *data.cast::<F>() };
    work(stack)
}

/// The function that a protected call calls.
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let slot: *mut Closure = stack.pointer_at(1);
    stack.remove(1);
    // SAFETY: `run` passes the address of the slot in the frame of `attempt`, below this one.
    let Closure { data, run } = unsafe { *slot };
    // SAFETY: `run` has just written it, for a closure that is in a frame below this one, too.
    unsafe { run(data, stack) }
}

/// Pushes [`protected`], or the error if there is no memory for it.
///
/// # Errors
/// The error on top of the stack. Raises nothing.
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
pub(crate) fn push(stack: Stack) -> Result<(), Error> {
    // A function without upvalues is a bare pointer in these Luas.
    stack.push_function(protected, 0);
    Ok(())
}

/// Pushes [`protected`], or the error if there is no memory for it.
///
/// # Errors
/// The error on top of the stack. Raises nothing.
#[cfg(any(feature = "lua51", feature = "luajit"))]
pub(crate) fn push(stack: Stack) -> Result<(), Error> {
    static PROTECTED: u8 = 13;

    unsafe extern "C-unwind" fn make(lua: *mut ffi::lua_State) -> c_int {
        // SAFETY: Lua passed this state.
        let stack = unsafe { Stack::new(lua) };
        stack.push_function(protected, 0);
        stack.set_own(&PROTECTED);
        0
    }

    let mut here = 0_u8;
    // After this call, LuaJIT has seen an address of this thread's stack.
    if !stack.protected_c_call(make, &raw mut here) {
        return Err(Error::Raised);
    }
    stack.push_own(&PROTECTED);
    Ok(())
}
