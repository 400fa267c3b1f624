//! The dispatcher: the core of one Lua state.
//!
//! A dispatcher is never freed: it lives in the process-wide table (`states`) and serves one state after another.
//! That is what makes a stale handle harmless without a lock that states would share: whatever number a library comes
//! with, it names memory that is there, and the generation says whether it means what it meant.
//!
//! | phase    | deliver, register   | Lua's functions | leaves to                                                  |
//! |----------|---------------------|-----------------|------------------------------------------------------------|
//! | Closed   | invalid             | refused         | Open, by `open`                                            |
//! | Open     | taken               | served          | Stopping, by `close`                                       |
//! | Stopping | refused as stopping | refused         | Closed, when every library was told and is unregistered    |

mod admit;
mod call;
mod channels;
mod close;
mod deliver;
mod end;
mod inside;
mod keep;
mod outstanding;
mod pace;
mod pending;
mod register;
mod reply;
mod room;
mod take;
mod wake;

use std::ffi::c_void;
use std::sync::atomic::AtomicU32;

use crate::bell::Bell;
use crate::biased::{Biased, Guard};
use crate::callbacks::{CallbackId, Callbacks, Reference};
use crate::channel::Channels;
use crate::clock::Stamp;
use crate::delegated::Delegated;
use crate::entrance::Entrance;
use crate::handle::Handle;
use crate::item::Item;
use crate::library::{Caller, Library, Phase as LibraryPhase};
#[cfg(not(loom))]
use crate::memory::Shared;
use crate::notifier::{Credit, SharedNotifier};
use crate::outcome::Outcome;
#[cfg(not(loom))]
use crate::pair::Pair;
use crate::port::Adapter;
use crate::queue::Queue;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Ordering};

use pace::{Busy, Pacer};
use pending::{Pending, PendingSlot, PendingStage};

pub use call::Calling;
pub use register::{RegisterError, UnregisterError};
pub use reply::{PendingId, ReplyEnd, Replying};
pub use take::{DecodeEnd, Decoded, Dispatching, Taken};
pub use wake::Waited;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open,
    Stopping,
}

/// What producers need of a library: whether its deliveries are admitted, and their counts.
struct Admission {
    generation: u32,
    open: bool,
    refused: u64,
    /// Whether it counts among [`Intake::registered`], whatever it holds.
    keeps_alive: bool,
    /// What it holds open: it counts for as long.
    holds: usize,
    adapter: &'static dyn Adapter,
    /// The adapter's number.
    revision: u32,
    /// The producers that end what made room for theirs, in the library's code; see [`thread_id`](crate::sync::thread_id).
    evicting: Vec<u64>,
    /// Items that somebody waits for and that entered the queue, less those that a producer took out again.
    awaited: usize,
    channels: Channels,
}

/// How the Lua thread sleeps. Whoever wakes it takes this, and leaves `No`.
#[derive(Default)]
enum Sleeping {
    #[default]
    No,
    /// It hears [`Dispatcher::arrived`].
    InBell,
    /// It waits on this, and on descriptors of the program's.
    #[cfg(not(loom))]
    On(Shared<Pair>),
}

/// Where producers meet.
struct Intake {
    phase: Phase,
    admissions: Vec<Admission>,
    items: Queue<Item>,
    /// The number of the item that came last.
    sequence: u64,
    credit: Credit,
    /// How the Lua thread sleeps, if it does.
    sleeping: Sleeping,
    /// Libraries that are registered and keep `run` going.
    registered: usize,
    /// Whether the program was told that something keeps it going, if it asked.
    told_alive: Option<bool>,
}

/// What the Lua thread works at. A thread that unregisters a library uses it too.
struct Desk {
    phase: Phase,
    items: Queue<Item>,
    libraries: Vec<Library>,
    pending: Vec<PendingSlot>,
    /// Slots without a delivery, in memory for all of them.
    vacant: Vec<u32>,
    sequence: u64,
    /// Threads that sleep until calls into a library have ended.
    awaiting: usize,
    /// Whether a notifier is set: a poll without one need not look at the credit.
    notifying: bool,
    /// The notifier that Lua's looks clear.
    clears: Option<SharedNotifier>,
    /// What the Lua thread sleeps on that has descriptors of its own to wait on.
    #[cfg(not(loom))]
    waker: Option<Shared<Pair>>,
    /// Since when the program has had no pause from what is announced; see [`pace`].
    busy: Busy,
}

/// The core of one Lua state.
pub struct Dispatcher {
    index: u32,
    /// Whether the table gave it to a state; see `states`.
    claimed: AtomicBool,
    /// The state that is being served: even while none is, odd while one is open, never the same odd number twice.
    epoch: AtomicU64,
    /// The token of the thread that last entered through Lua.
    lua_thread: AtomicU64,
    /// The same thread's [`thread_id`](crate::sync::thread_id).
    lua_thread_id: AtomicU64,
    /// Calls that Lua made and that are under way: while there are any, that thread is the one that Lua runs on. Written by it alone.
    /// Not modelled: the threads of a model take turns.
    inside: std::sync::atomic::AtomicUsize,
    /// The process in which it was made; see [`fork`](crate::fork).
    process: AtomicU32,
    /// A library has registered, or a notifier was set, since the state was opened.
    used: std::sync::atomic::AtomicBool,
    /// How many items lie at the intake, to be read without its lock.
    behind: AtomicUsize,
    /// How many items lie at the desk, likewise.
    ahead: AtomicUsize,
    /// How many items were to be stamped; no more than roughly.
    stamps: AtomicUsize,
    desk: Biased<Desk>,
    intake: Entrance<Intake>,
    /// Something came for the sleeping Lua thread. With `intake`.
    arrived: Bell,
    /// Sends what is announced after a pause.
    pacer: Pacer,
    /// The ringing of `arrived`.
    waking: Delegated<()>,
    /// Some library has room again. With `intake`.
    room: Bell,
    /// A call into a library ended. With `desk`.
    ended: Condvar,
    pub(crate) callbacks: Callbacks,
}

impl Dispatcher {
    /// A dispatcher that serves no state yet, at `index` of the table.
    #[must_use]
    pub fn new(index: u32) -> Self {
        Dispatcher {
            index,
            claimed: AtomicBool::new(false),
            epoch: AtomicU64::new(0),
            lua_thread: AtomicU64::new(0),
            lua_thread_id: AtomicU64::new(0),
            inside: std::sync::atomic::AtomicUsize::new(0),
            process: AtomicU32::new(crate::fork::generation()),
            used: std::sync::atomic::AtomicBool::new(false),
            behind: AtomicUsize::new(0),
            ahead: AtomicUsize::new(0),
            stamps: AtomicUsize::new(0),
            desk: Biased::new(Desk {
                phase: Phase::Closed,
                items: Queue::new(),
                libraries: Vec::new(),
                pending: Vec::new(),
                vacant: Vec::new(),
                sequence: 0,
                awaiting: 0,
                notifying: false,
                clears: None,
                #[cfg(not(loom))]
                waker: None,
                busy: Busy::default(),
            }),
            intake: Entrance::new(Intake {
                phase: Phase::Closed,
                admissions: Vec::new(),
                items: Queue::new(),
                sequence: 0,
                credit: Credit::default(),
                sleeping: Sleeping::No,
                registered: 0,
                told_alive: None,
            }),
            arrived: Bell::new(),
            pacer: Pacer::new(),
            waking: Delegated::new(()),
            room: Bell::new(),
            ended: Condvar::new(),
            callbacks: Callbacks::new(),
        }
    }

    /// Takes this dispatcher for a new state; false where it is another's, or was made before a fork: a thread of the parent may have
    /// held its locks. [any-thread]
    pub fn claim(&self) -> bool {
        !self.is_of_another_process()
            && self.claimed.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Begins to serve a state; returns its epoch. Only after [`Self::claim`]. [lua-thread]
    pub fn open(&self) -> u64 {
        let mut desk = self.desk.lock();
        let mut intake = self.intake.lock();
        desk.phase = Phase::Open;
        intake.phase = Phase::Open;
        intake.items.prepare();
        self.used.store(false, Ordering::Relaxed);
        let epoch = self.epoch.load(Ordering::Relaxed) | 1;
        self.epoch.store(epoch, Ordering::Release);
        self.enter_lua();
        epoch
    }

    /// Whether the state of `epoch` is still served here, and in this process. [any-thread]
    #[inline]
    #[must_use]
    pub fn serves(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch && !self.is_of_another_process()
    }

    /// Whether it was made before this process was forked: nothing of it may be used here, its locks least of all. [any-thread]
    #[inline]
    #[must_use]
    pub fn is_of_another_process(&self) -> bool {
        self.process.load(Ordering::Relaxed) != crate::fork::generation()
    }

    /// Whether the state of `epoch` was served in another process, and nothing has come of it there: no library, and no notifier. It may be
    /// served anew in this one. [any-thread]
    #[must_use]
    pub fn left_unused(&self, epoch: u64) -> bool {
        self.is_of_another_process()
            && self.epoch.load(Ordering::Acquire) == epoch
            && !self.used.load(Ordering::Relaxed)
    }

    /// Items in the queue. [any-thread] On another thread than Lua's, items that are just being moved may be missed.
    #[inline]
    #[must_use]
    pub fn queue_size(&self) -> usize {
        self.ahead.load(Ordering::Relaxed) + self.behind.load(Ordering::Relaxed)
    }

    /// The stamp of an item that is about to be delivered. [any-thread]
    #[inline]
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        // Two threads may count as one: which items stand for others does not matter, only that some do.
        let count = self.stamps.load(Ordering::Relaxed).wrapping_add(1);
        self.stamps.store(count, Ordering::Relaxed);
        Stamp::take(count, self.queue_size())
    }

    /// Libraries that are registered and keep `run` going. [any-thread]
    #[must_use]
    pub fn registered(&self) -> usize {
        self.intake.lock().registered
    }

    /// Deliveries whose reply Lua has. [any-thread]
    #[must_use]
    pub fn pending(&self) -> usize {
        let desk = self.lock_desk();
        desk.pending.len() - desk.vacant.len()
    }

    /// Takes a slot for a Lua function, which the module keeps there from now on. None if there are more than can be told apart.
    /// [lua-thread]
    #[must_use]
    pub fn new_callback(&'static self) -> Option<Reference> {
        self.insert_callback().map(|id| Reference::adopt(id, &self.callbacks))
    }

    /// The same, for a caller that keeps the number and gives each reference back itself. [lua-thread]
    #[must_use]
    pub fn insert_callback(&self) -> Option<CallbackId> {
        self.callbacks.insert(self.index)
    }

    /// Another reference to a callback of this state; none if it is dead, or another state's. [any-thread]
    #[inline]
    #[must_use]
    pub fn retain(&'static self, id: CallbackId) -> Option<Reference> {
        self.retain_callback(id).then(|| Reference::adopt(id, &self.callbacks))
    }

    /// The same, for a caller that keeps the number and gives each reference back itself; false if there is no such callback. [any-thread]
    #[inline]
    #[must_use]
    pub fn retain_callback(&self, id: CallbackId) -> bool {
        id.dispatcher == self.index && self.callbacks.retain(id)
    }

    /// Another reference to the callback in a slot; none if nobody refers to it any more. [lua-thread]
    #[must_use]
    pub fn retain_slot(&'static self, slot: u32) -> Option<Reference> {
        let id = self.callbacks.retain_slot(self.index, slot)?;
        Some(Reference::adopt(id, &self.callbacks))
    }

    /// Gives a reference back. [any-thread]
    #[inline]
    pub fn release_callback(&self, id: CallbackId) {
        self.callbacks.release(id);
    }

    /// Whether `id` names a callback of this state that lives. [any-thread]
    #[must_use]
    pub fn has_callback(&self, id: CallbackId) -> bool {
        id.dispatcher == self.index && self.callbacks.is_live(id)
    }

    /// The key in Lua's registry of the function in a slot: an address that is nothing else's for as long as the process lasts. NULL if there
    /// is no such slot. [any-thread]
    #[inline]
    #[must_use]
    pub fn callback_key(&self, slot: u32) -> *const c_void {
        self.callbacks.key(slot)
    }

    /// The registry key of a callback's function; NULL, which is no function's, if the callback is dead, or another state's. [any-thread]
    #[inline]
    #[must_use]
    pub fn key_of(&self, id: CallbackId) -> *const c_void {
        if self.has_callback(id) { self.callbacks.key(id.slot) } else { std::ptr::null() }
    }

    /// Whether there are functions that nobody refers to any more. [lua-thread]
    #[inline]
    #[must_use]
    pub fn has_released_callbacks(&self) -> bool {
        self.callbacks.has_released()
    }

    /// The slot of one of these, for the module to forget the function; it is vacant from then on. [lua-thread]
    #[must_use]
    pub fn next_released_callback(&self) -> Option<u32> {
        self.callbacks.next_released()
    }

    fn handle(&self, slot: u32, generation: u32) -> Handle {
        Handle { dispatcher: self.index, slot, generation }
    }

    /// Ends a call that `caller` recorded in `slot`, wakes the threads that wait for that, and lets go of the library if this call
    /// was the last to hold it.
    #[inline(never)]
    fn leave(&self, mut desk: Guard<'_, Desk>, slot: u32, caller: Caller) {
        self.note_left(&mut desk, slot, caller);
        self.free_if_left(desk, slot);
    }

    /// After a call ended, or the library left: wakes the threads that wait for that, and lets go of the library if nothing holds
    /// it any more.
    fn free_if_left(&self, mut desk: Guard<'_, Desk>, slot: u32) {
        let freed = desk.libraries[slot as usize].free_if_left();
        let awaited = desk.awaiting > 0;
        if freed.is_some() {
            self.retire_if_done(&mut desk);
        }
        drop(desk);
        if awaited {
            self.desk.notify_all(&self.ended);
        }
        if let Some(registration) = freed {
            crate::boundary::release(registration.adapter, registration.context);
        }
    }

    /// Ends a call of the Lua thread's, and the delivery that it was for. A library that is told of that is told inside the
    /// call: once this was its last one, none of its code may run.
    fn leave_ended(&self, desk: Guard<'_, Desk>, slot: u32, pending: Option<Pending>, outcome: Outcome) {
        match pending {
            Some(Pending { waiter, .. }) if waiter.completes() => {
                drop(desk);
                // The call ends also if an exception of the library's leaves it.
                let _called = Called { dispatcher: self, slot, caller: Caller::Lua };
                waiter.release(outcome);
            }
            pending => {
                self.leave(desk, slot, Caller::Lua);
                if let Some(pending) = pending {
                    pending.waiter.release(outcome);
                }
            }
        }
    }
}

/// A call into a library's code that `note_entered` noted. When this is dropped the call has ended, also if the code was left by an exception.
struct Called<'a> {
    dispatcher: &'a Dispatcher,
    slot: u32,
    caller: Caller,
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        let desk = self.dispatcher.lock_desk_as(self.caller);
        self.dispatcher.leave(desk, self.slot, self.caller);
    }
}

impl Desk {
    /// The record that `handle` names, if its generation is the present one.
    fn library(&mut self, handle: Handle) -> Option<&mut Library> {
        self.libraries.get_mut(handle.slot as usize).filter(|library| library.generation == handle.generation)
    }

    /// The same, of a library that is registered.
    fn registered(&mut self, handle: Handle) -> Option<&mut Library> {
        self.library(handle).filter(|library| library.phase == LibraryPhase::Registered)
    }
}
