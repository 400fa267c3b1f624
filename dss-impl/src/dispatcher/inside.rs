//! Calls that Lua made: while one is under way, its thread is the one that Lua runs on, and no other thread can be in that state. So
//! what that thread does within such a call takes the desk as its owner, whichever way it came: a deliver of a library's function, an
//! unregister, a reply.

use super::{Desk, Dispatcher};
use crate::biased::Guard;
use crate::library::{Caller, Library};
use crate::sync::{Ordering, thread_id, thread_token};

/// A call that Lua made, in a frame that no Lua error skips.
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
    /// Notes that the running thread is the Lua thread. Called wherever Lua enters. [lua-thread]
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
        // Release: a thread that sees this sees which thread it is.
        self.inside.store(self.inside.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    #[inline]
    fn end_inside(&self) {
        self.inside.store(self.inside.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }

    /// Whether the running thread is the Lua thread, and stands in a call that Lua made: no other thread can be in this state then.
    #[inline]
    fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Acquire) > 0 && self.lua_thread_id.load(Ordering::Relaxed) == thread_id()
    }

    /// Runs `work`, in which what is done with this dispatcher is done on the Lua thread. [lua-thread]
    ///
    /// # Safety
    /// On the Lua thread, inside a call that Lua made, in the state that this dispatcher serves.
    pub unsafe fn within_lua<R>(&self, work: impl FnOnce() -> R) -> R {
        self.enter_lua();
        let _inside = Inside::begin(self);
        work()
    }

    /// Locks the desk, as its owner where that is so.
    pub(super) fn lock_desk(&self) -> Guard<'_, Desk> {
        if self.is_inside() {
            // SAFETY: this thread stands in a call that Lua made in this state, and Lua makes one at a time.
            unsafe { self.desk.lock_as_owner() }
        } else {
            self.desk.lock()
        }
    }

    /// Locks the desk, in what began inside a call that Lua made.
    pub(super) fn lock_desk_as(&self, caller: Caller) -> Guard<'_, Desk> {
        match caller {
            // SAFETY: as above: only the thread that is inside is `Caller::Lua`, and what it began it ends.
            Caller::Lua => unsafe { self.desk.lock_as_owner() },
            Caller::Thread(_) => self.desk.lock(),
        }
    }

    /// How the running thread calls into a library.
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

    /// Records the end of one. Under the desk lock, and before the library's slot is freed: the dispatcher may be another state's then.
    #[inline]
    pub(super) fn note_left(&self, desk: &mut Desk, slot: u32, caller: Caller) {
        desk.libraries[slot as usize].leave(caller);
        if caller == Caller::Lua {
            self.end_inside();
        }
    }
}
