//! Calls that Lua made. While one is running, its thread is the thread that Lua runs on, and no other thread can be in that state. So
//! everything that this thread does during the call takes the desk as its owner: a deliver from a library's function, an unregister,
//! a reply.

use super::{Desk, Dispatcher};
use crate::biased::Guard;
use crate::library::{Caller, Library};
use crate::sync::{Ordering, thread_id, thread_token};

/// A call that Lua made. It lives in a stack frame that no Lua error skips.
pub(super) struct Inside<'a>(&'a Dispatcher);

impl<'a> Inside<'a> {
    pub(super) fn begin(dispatcher: &'a Dispatcher) -> Self {
        dispatcher.begin_inside();
        Inside(dispatcher)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.end_inside();
    }
}

impl Dispatcher {
    /// Notes that the current thread is the Lua thread. Called wherever Lua enters. [lua-thread]
    #[inline]
    pub fn enter_lua(&self) {
        let token = thread_token();
        if self.lua_thread.load(Ordering::Relaxed) != token {
            self.lua_thread.store(token, Ordering::Relaxed);
            self.lua_thread_id.store(thread_id(), Ordering::Relaxed);
        }
    }

    /// Begins a call that Lua made, after [`Self::enter_lua`].
    #[inline]
    fn begin_inside(&self) {
        // Release: a thread that sees this also sees which thread it is.
        self.inside.store(self.inside.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    #[inline]
    fn end_inside(&self) {
        self.inside.store(self.inside.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }

    /// Whether the current thread is the Lua thread and is inside a call that Lua made. Then no other thread can be in this state.
    #[inline]
    fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Acquire) > 0 && self.lua_thread_id.load(Ordering::Relaxed) == thread_id()
    }

    /// Runs `work` as a call that Lua made. [lua-thread]
    ///
    /// # Safety
    /// Must be called on the Lua thread, inside a call that Lua made, in the state that this dispatcher serves.
    pub unsafe fn within_lua<R>(&self, work: impl FnOnce() -> R) -> R {
        self.enter_lua();
        let _inside = Inside::begin(self);
        work()
    }

    /// Locks the desk, as its owner if this thread is inside.
    pub(super) fn lock_desk(&self) -> Guard<'_, Desk> {
        if self.is_inside() {
            // SAFETY: this thread is inside a call that Lua made in this state, and Lua makes one at a time.
            unsafe { self.desk.lock_as_owner() }
        } else {
            self.desk.lock()
        }
    }

    /// Locks the desk for `caller`, the result of an earlier [`Self::caller`].
    pub(super) fn lock_desk_as(&self, caller: Caller) -> Guard<'_, Desk> {
        match caller {
            // SAFETY: as above: only the thread that is inside is `Caller::Lua`, and it ends what it began.
            Caller::Lua => unsafe { self.desk.lock_as_owner() },
            Caller::Thread(_) => self.desk.lock(),
        }
    }

    /// How the current thread calls into a library.
    pub(super) fn caller(&self) -> Caller {
        if self.is_inside() { Caller::Lua } else { Caller::Thread(thread_id()) }
    }

    /// Records the beginning of a call into a library's code.
    #[inline]
    pub(super) fn note_entered(&self, library: &mut Library, caller: Caller) {
        library.enter(caller);
        if caller == Caller::Lua {
            self.begin_inside();
        }
    }

    /// Records the end of a call. Under the desk lock, and before the library's slot is freed: after that, another state may use the dispatcher.
    #[inline]
    pub(super) fn note_left(&self, library: &mut Library, caller: Caller) {
        library.leave(caller);
        if caller == Caller::Lua {
            self.end_inside();
        }
    }
}
