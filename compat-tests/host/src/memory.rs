//! An allocator that fails on demand, to test what happens in a Lua state that runs out of memory.
//!
//! It wraps the state's own allocator and counts requests for more memory. The C functions below configure it. They allocate
//! nothing themselves.

use crate::lua::{self, State};
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;

/// Since 5.2 Lua tries each allocation twice: the second time after collecting garbage.
const ASKED: u64 = if cfg!(any(feature = "lua51", feature = "luajit")) { 1 } else { 2 };

/// The wrapper around a state's allocator. Only the thread that runs the state touches it.
pub(crate) struct Failing {
    own: lua::Alloc,
    own_data: *mut c_void,
    armed: Cell<bool>,
    /// The numbers of the requests that fail.
    first: Cell<u64>,
    last: Cell<u64>,
    count: Cell<u64>,
}

impl Failing {
    /// Wraps the allocator of a state. The wrapper must be removed before the state is closed.
    ///
    /// # Safety
    /// The state is open, and idle.
    pub(crate) unsafe fn install(l: *mut State) -> Box<Self> {
        let mut own_data = null_mut();
        // SAFETY: the caller guarantees it; neither call raises.
        unsafe {
            let own = lua::getallocf(l, &mut own_data);
            let failing = Box::new(Self {
                own,
                own_data,
                armed: Cell::new(false),
                first: Cell::new(0),
                last: Cell::new(0),
                count: Cell::new(0),
            });
            lua::setallocf(l, allocate, (&raw const *failing).cast_mut().cast());
            failing
        }
    }

    /// Whether it fails requests while the state closes. LuaJIT frees all memory at once if it finds its own allocator.
    pub(crate) fn stays(&self) -> bool {
        self.armed.get() && cfg!(not(feature = "luajit"))
    }

    /// Restores the state's own allocator.
    ///
    /// # Safety
    /// The state is the one that was passed to `install`, is open, and is idle.
    pub(crate) unsafe fn remove(&self, l: *mut State) {
        // SAFETY: both allocators return the same blocks, because this one only forwards.
        unsafe { lua::setallocf(l, self.own, self.own_data) }
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if self.armed.get() {
            ASKED_AT_CLOSE.set(self.count.get());
        }
    }
}

thread_local! {
    /// What the last state that closed while `host.fail` was in effect had asked for.
    static ASKED_AT_CLOSE: Cell<u64> = const { Cell::new(0) };
}

/// The allocator function.
unsafe extern "C-unwind" fn allocate(
    data: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
) -> *mut c_void {
    // SAFETY: `install` passed this pointer, and its target outlives the wrapper.
    let failing = unsafe { &*data.cast::<Failing>() };
    // Without a block, Lua may pass the kind of the new object as the old size.
    if failing.armed.get() && new > 0 && (block.is_null() || new > old) {
        let count = failing.count.get() + 1;
        failing.count.set(count);
        if (failing.first.get()..=failing.last.get()).contains(&count) {
            return null_mut();
        }
    }
    // SAFETY: the arguments are those that Lua passed.
    unsafe { (failing.own)(failing.own_data, block, old, new) }
}

/// The failing allocator of a state, or NULL. Never raises.
unsafe fn of(l: *mut State) -> *const Failing {
    let mut data = null_mut();
    // SAFETY: the caller guarantees a valid state.
    let function = unsafe { lua::getallocf(l, &mut data) };
    if std::ptr::fn_addr_eq(function, allocate as lua::Alloc) { data.cast() } else { null_mut() }
}

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[(c"fail", fail), (c"asked", asked)];

/// `host.fail(n [, forever]) -> boolean`: the n-th request for memory from now on fails, and with `forever` all later ones too.
/// Returns false if this state was not made by `host.newstate { failing = true }`.
unsafe extern "C-unwind" fn fail(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let first = lua::checknumber(l, 1) as u64;
        let forever = lua::toboolean(l, 2) != 0;
        let failing = of(l).as_ref();
        if let Some(failing) = failing {
            failing.first.set(first);
            failing.last.set(if forever { u64::MAX } else { first + ASKED - 1 });
            failing.count.set(0);
            failing.armed.set(true);
        }
        lua::pushboolean(l, failing.is_some().into());
        1
    }
}

/// `host.asked() -> number`: undoes `host.fail`, and returns the number of requests since then. In a state whose allocator does not fail:
/// the number of the state that closed last while `host.fail` was in effect in it, to its very end.
unsafe extern "C-unwind" fn asked(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let count = of(l).as_ref().map_or_else(
            || ASKED_AT_CLOSE.get(),
            |failing| {
                failing.armed.set(false);
                failing.count.get()
            },
        );
        lua::pushnumber(l, count as f64);
        1
    }
}
