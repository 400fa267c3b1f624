//! What a userdata in Lua keeps for the module: a share of something in Rust, let go of when Lua collects it.

use std::ffi::c_int;
use std::ptr::null;
use std::sync::Arc;

use mlua::ffi;

use crate::protected;
use crate::raw::Stack;

/// The userdata's content: a share of its own; NULL before it has one, and once it was collected. Lua calls finalizers in a
/// state that closes while other finalizers may still call what refers to this.
pub(crate) struct Kept<T>(*const T);

impl<T> Kept<T> {
    /// Another share.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: it is the address of what an `Arc` has, and this has a share of it.
        unsafe { Arc::increment_strong_count(self.0) };
        // SAFETY: that share.
        Some(unsafe { Arc::from_raw(self.0) })
    }

    pub(crate) fn pointer(&self) -> *const T {
        self.0
    }
}

/// Pushes a userdata that keeps a share. *Raises* for want of memory; then it has none.
pub(crate) fn push<T>(stack: Stack, shared: &Arc<T>) {
    let kept = stack.new_userdata(Kept::<T>(null()));
    stack.new_table(0);
    stack.push_function(collected::<T>, 0);
    stack.set_field(-2, c"__gc");
    stack.push_boolean(false);
    stack.set_field(-2, c"__metatable");
    stack.set_metatable(-2);
    // SAFETY: Lua made room for it, and it is on the stack. Nothing raises from here on.
    unsafe { (*kept).0 = Arc::into_raw(Arc::clone(shared)) };
}

/// The finalizer.
unsafe extern "C-unwind" fn collected<T>(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua called with it.
    let stack = unsafe { Stack::new(lua) };
    let kept: *mut Kept<T> = stack.pointer_at(1);
    // SAFETY: Lua finalizes what `push` made.
    let shared = std::mem::replace(unsafe { &mut (*kept).0 }, null());
    if !shared.is_null() {
        // SAFETY: the share that `push` gave it, taken out of it just now.
        let shared = unsafe { Arc::from_raw(shared) };
        protected::finalize(|| drop(shared));
    }
    0
}
