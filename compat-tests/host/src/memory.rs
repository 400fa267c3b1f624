//! An allocator that fails on demand, for what happens in a Lua state that runs out of memory.
//!
//! It stands around the allocator that the state came with, and counts requests for more memory. The state's own C functions
//! below arm it; they allocate nothing themselves.

use crate::lua::{self, State};
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;

/// Since 5.2 Lua asks twice: once more after it has collected garbage.
const ASKED: u64 = if cfg!(any(feature = "lua51", feature = "luajit")) { 1 } else { 2 };

/// What stands around a state's own allocator. Touched by the thread alone that runs the state.
pub(crate) struct Failing {
    own: lua::Alloc,
    own_data: *mut c_void,
    armed: Cell<bool>,
    /// The requests that fail, by number.
    first: Cell<u64>,
    last: Cell<u64>,
    count: Cell<u64>,
}

impl Failing {
    /// Puts one around the allocator of a state, to be taken away again before the state is closed.
    ///
    /// # Safety
    /// The state is open, and idle.
    pub(crate) unsafe fn install(l: *mut State) -> Box<Self> {
        let mut own_data = null_mut();
        // SAFETY: the caller's promise; neither call raises.
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

    /// Gives the state its own allocator back.
    ///
    /// # Safety
    /// The state is the one that it was put into, is open, and idle.
    pub(crate) unsafe fn remove(&self, l: *mut State) {
        // SAFETY: what one allocator gave is the other's, too.
        unsafe { lua::setallocf(l, self.own, self.own_data) }
    }
}

/// The allocator itself.
unsafe extern "C-unwind" fn allocate(
    data: *mut c_void,
    block: *mut c_void,
    old: usize,
    new: usize,
) -> *mut c_void {
    // SAFETY: `install` gave it, and what it points to outlives its use.
    let failing = unsafe { &*data.cast::<Failing>() };
    // Where there is no block, the old size may say what kind of thing is to be made.
    if failing.armed.get() && new > 0 && (block.is_null() || new > old) {
        let count = failing.count.get() + 1;
        failing.count.set(count);
        if (failing.first.get()..=failing.last.get()).contains(&count) {
            return null_mut();
        }
    }
    // SAFETY: as Lua called.
    unsafe { (failing.own)(failing.own_data, block, old, new) }
}

/// The failing allocator of a state, or NULL. Raises nothing.
unsafe fn of(l: *mut State) -> *const Failing {
    let mut data = null_mut();
    // SAFETY: the caller's promise of a valid state is passed on.
    let function = unsafe { lua::getallocf(l, &mut data) };
    if std::ptr::fn_addr_eq(function, allocate as lua::Alloc) { data.cast() } else { null_mut() }
}

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[(c"fail", fail), (c"asked", asked)];

/// `host.fail(n [, forever]) -> boolean`: the n-th request for memory from now on is refused, and with `forever` all after it.
/// False if this state was not made by `host.newstate { failing = true }`.
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

/// `host.asked() -> number`: ends what `host.fail` began, and says how many requests there were since.
unsafe extern "C-unwind" fn asked(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let count = of(l).as_ref().map_or(0, |failing| {
            failing.armed.set(false);
            failing.count.get()
        });
        lua::pushnumber(l, count as f64);
        1
    }
}
