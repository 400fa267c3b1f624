//! A userdata in Lua that holds a reference to a value in Rust, and releases it when Lua collects the userdata.

use std::ffi::c_int;
use std::ptr::null;
use std::sync::Arc;

use mlua::ffi;

use crate::protected;
use crate::raw::Stack;

/// The userdata's content: an `Arc` reference of its own. NULL before it is stored, and after the userdata was collected. When a
/// state closes, Lua may run finalizers that call what refers to this after it was finalized.
pub(crate) struct Kept<T>(*const T);

impl<T> Kept<T> {
    /// Another reference.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: the address comes from an `Arc`, and this holds a reference.
        unsafe { Arc::increment_strong_count(self.0) };
        // SAFETY: the reference that was just added.
        Some(unsafe { Arc::from_raw(self.0) })
    }

    pub(crate) fn pointer(&self) -> *const T {
        self.0
    }
}

/// Pushes a userdata that holds a reference. *Raises* if out of memory; it then holds none.
pub(crate) fn push<T>(stack: Stack, shared: &Arc<T>) {
    let kept = stack.new_userdata(Kept::<T>(null()));
    stack.new_table(0);
    stack.push_function(collected::<T>, 0);
    stack.set_field(-2, c"__gc");
    stack.push_boolean(false);
    stack.set_field(-2, c"__metatable");
    stack.set_metatable(-2);
    // SAFETY: Lua allocated it, and it is on the stack. Nothing raises from here on.
    unsafe { (*kept).0 = Arc::into_raw(Arc::clone(shared)) };
}

/// The finalizer.
unsafe extern "C-unwind" fn collected<T>(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let kept: *mut Kept<T> = stack.pointer_at(1);
    // SAFETY: Lua finalizes what `push` made.
    let shared = std::mem::replace(unsafe { &mut (*kept).0 }, null());
    if !shared.is_null() {
        // SAFETY: the reference that `push` stored, which was just taken out.
        let shared = unsafe { Arc::from_raw(shared) };
        protected::finalize(|| drop(shared));
    }
    0
}
