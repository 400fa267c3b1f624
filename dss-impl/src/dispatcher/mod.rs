//! The dispatcher: the core of one Lua state.
//!
//! A dispatcher is never freed. It is in the process-wide table (`states`) and serves one state after another. So an outdated
//! handle is harmless, and the states need no common lock: any number that a library passes refers to valid memory, and the
//! generation tells whether it still has the same meaning.
//!
//! | phase    | deliver, register   | Lua's functions | leaves to                                                   |
//! |----------|---------------------|-----------------|-------------------------------------------------------------|
//! | Closed   | invalid             | refused         | Open, by `open`                                             |
//! | Open     | accepted            | served          | Stopping, by `close`                                        |
//! | Stopping | refused as stopping | refused         | Closed, when every library has been told and unregistered   |

mod admit;
mod call;
mod channels;
mod close;
mod counted;
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
use crate::callbacks::{CallbackId, Callbacks, NoCallback, Reference};
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
use crate::spares::Spares;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Ordering};

use pace::{Busy, Pacer};
use pending::{Pending, PendingSlot, PendingStage};

pub use call::Calling;
pub use register::{RegisterError, UnregisterError};
pub use reply::{PendingId, ReplyEnd, Replying};
pub use take::{DecodeEnd, Decoded, Dispatching, Taken, TakenFrom};
pub use wake::Waited;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open,
    Stopping,
}

/// What producers need to know about a library: whether its deliveries are admitted, and their counts.
struct Admission {
    generation: u32,
    open: bool,
    refused: u64,
    /// Whether it counts in [`Intake::registered`] even if it holds nothing.
    keeps_alive: bool,
    /// How many things it holds open. It counts in [`Intake::registered`] while there are any.
    holds: usize,
    adapter: &'static dyn Adapter,
    /// The adapter's number.
    revision: u32,
    /// The producers that are ending evicted items, in the library's code; see [`thread_id`](crate::sync::thread_id).
    evicting: Vec<u64>,
    /// Items that entered the queue and that a thread waits for, minus those that a producer took out again.
    awaited: usize,
    channels: Channels,
}

/// How the Lua thread sleeps. The thread that wakes it takes this, and leaves `No`.
#[derive(Default)]
enum Sleeping {
    #[default]
    No,
    /// It listens to [`Dispatcher::arrived`].
    InBell,
    /// It waits on this pair, and on the program's own descriptors.
    #[cfg(not(loom))]
    #[cfg_attr(not(unix), allow(dead_code))] // only Unix's pairs are waited on
    On(Shared<Pair>),
}

/// What producers use.
struct Intake {
    phase: Phase,
    admissions: Vec<Admission>,
    items: Queue<Item>,
    /// The number of the last item that arrived.
    sequence: u64,
    credit: Credit,
    /// How the Lua thread sleeps, if it does.
    sleeping: Sleeping,
    /// How many registered libraries keep `run` going.
    registered: usize,
    /// The last answer to the program's question whether something keeps it going; None if it has not asked.
    told_alive: Option<bool>,
}

/// What the Lua thread uses. A thread that unregisters a library uses it too.
struct Desk {
    phase: Phase,
    items: Queue<Item>,
    libraries: Vec<Library>,
    pending: Vec<PendingSlot>,
    /// Slots without a delivery. Its capacity suffices for all slots.
    vacant: Vec<u32>,
    sequence: u64,
    /// Threads that sleep until calls into a library have ended.
    awaiting: usize,
    /// Whether a notifier is set: a poll without one need not look at the credit.
    notifying: bool,
    /// The notifier that Lua clears when it looks.
    clears: Option<SharedNotifier>,
    /// What the Lua thread sleeps on if it also waits for the program's descriptors.
    #[cfg(not(loom))]
    waker: Option<Shared<Pair>>,
    /// How long the program has had no pause from notifications; see [`pace`].
    busy: Busy,
}

/// The core of one Lua state.
pub struct Dispatcher {
    index: u32,
    /// Whether the table has given it to a state; see `states`.
    claimed: AtomicBool,
    /// Identifies the state that is being served: odd while one is open, even otherwise. No odd number is used twice.
    epoch: AtomicU64,
    /// The token of the thread that last entered through Lua.
    lua_thread: AtomicU64,
    /// The same thread's [`thread_id`](crate::sync::thread_id).
    lua_thread_id: AtomicU64,
    /// How many calls that Lua made are running. While there are any, that thread is the one that Lua runs on. Only that thread writes it.
    /// Not modelled: the threads of a model take turns.
    inside: std::sync::atomic::AtomicUsize,
    /// The process in which it was made; see [`fork`](crate::fork).
    process: AtomicU32,
    /// A library has registered, or a notifier was set, since the state was opened.
    used: std::sync::atomic::AtomicBool,
    /// How many items are in the intake, readable without its lock.
    behind: AtomicUsize,
    /// How many items are at the desk, readable without its lock.
    ahead: AtomicUsize,
    /// How many items asked for a stamp, approximately.
    stamps: AtomicUsize,
    desk: Biased<Desk>,
    intake: Entrance<Intake>,
    /// Rings when something arrived for the sleeping Lua thread. Used with `intake`.
    arrived: Bell,
    /// Sends notifications after a pause.
    pacer: Pacer,
    /// Rings `arrived`.
    waking: Delegated<()>,
    /// Rings when a library has room again. Used with `intake`.
    room: Bell,
    /// Notified when a call into a library ends. Used with `desk`.
    ended: Condvar,
    pub(crate) callbacks: Callbacks,
    /// The memory of deliveries that have ended.
    pub(crate) spares: Spares,
}

impl Dispatcher {
    /// Makes a dispatcher that serves no state yet, at `index` of the table.
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
            spares: Spares::new(),
        }
    }

    /// Takes this dispatcher for a new state. False if another state uses it, or if it was made before a fork: a thread of the parent
    /// may have held its locks. [any-thread]
    pub fn claim(&self) -> bool {
        !self.is_of_another_process()
            && self.claimed.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Begins to serve a state; returns its epoch. Must be called after [`Self::claim`]. [lua-thread]
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

    /// Whether it was made before this process was forked. Then nothing of it may be used here, above all not its locks. [any-thread]
    #[inline]
    #[must_use]
    pub fn is_of_another_process(&self) -> bool {
        self.process.load(Ordering::Relaxed) != crate::fork::generation()
    }

    /// Whether the state of `epoch` was served in another process and not used there: no library was registered, and no notifier was
    /// set. This process may serve it again. [any-thread]
    #[must_use]
    pub fn left_unused(&self, epoch: u64) -> bool {
        self.is_of_another_process()
            && self.epoch.load(Ordering::Acquire) == epoch
            && !self.used.load(Ordering::Relaxed)
    }

    /// How many items are queued. [any-thread] On a thread other than the Lua thread, it may miss items that are just being moved.
    #[inline]
    #[must_use]
    pub fn queue_size(&self) -> usize {
        self.ahead.load(Ordering::Relaxed) + self.behind.load(Ordering::Relaxed)
    }

    /// The stamp of an item that is about to be delivered. [any-thread]
    #[inline]
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        // Two threads may count as one. It does not matter which items are stamped, only that some are.
        let count = self.stamps.load(Ordering::Relaxed).wrapping_add(1);
        self.stamps.store(count, Ordering::Relaxed);
        Stamp::take(count, self.queue_size())
    }

    /// How many registered libraries keep `run` going. [any-thread]
    #[must_use]
    pub fn registered(&self) -> usize {
        self.intake.lock().registered
    }

    /// How many deliveries left the queue and have not ended, of those that a thread waits for. [any-thread]
    #[must_use]
    pub fn pending(&self) -> usize {
        let desk = self.lock_desk();
        desk.pending.len() - desk.vacant.len()
    }

    /// Reserves a slot for a Lua function, which the module then stores there. [lua-thread]
    ///
    /// # Errors
    /// [`NoCallback`]
    pub fn new_callback(&'static self) -> Result<Reference, NoCallback> {
        self.insert_callback().map(|id| Reference::adopt(id, &self.callbacks))
    }

    /// As [`Self::new_callback`], for a caller that keeps the number and gives each reference back itself. [lua-thread]
    ///
    /// # Errors
    /// [`NoCallback`]
    pub fn insert_callback(&self) -> Result<CallbackId, NoCallback> {
        self.callbacks.insert(self.index)
    }

    /// Another reference to a callback of this state; None if the callback no longer exists or is another state's. [any-thread]
    #[inline]
    #[must_use]
    pub fn retain(&'static self, id: CallbackId) -> Option<Reference> {
        self.retain_callback(id).then(|| Reference::adopt(id, &self.callbacks))
    }

    /// As [`Self::retain`], for a caller that keeps the number and gives each reference back itself; false if there is no such callback.
    /// [any-thread]
    #[inline]
    #[must_use]
    pub fn retain_callback(&self, id: CallbackId) -> bool {
        id.dispatcher == self.index && self.callbacks.retain(id)
    }

    /// Another reference to the callback in a slot; None if there are no references to it any more. [lua-thread]
    #[must_use]
    pub fn retain_slot(&'static self, slot: u32) -> Option<Reference> {
        let id = self.callbacks.retain_slot(self.index, slot)?;
        Some(Reference::adopt(id, &self.callbacks))
    }

    /// Gives back a reference to a callback of this state. [any-thread]
    #[inline]
    pub fn release_callback(&self, id: CallbackId) {
        debug_assert_eq!(id.dispatcher, self.index, "a callback of another state was to be released here");
        self.callbacks.release(id);
    }

    /// Whether `id` names an existing callback of this state. [any-thread]
    #[must_use]
    pub fn has_callback(&self, id: CallbackId) -> bool {
        id.dispatcher == self.index && self.callbacks.is_live(id)
    }

    /// The key in Lua's registry of the function in a slot. It is an address that nothing else has while the process lasts. NULL if there
    /// is no such slot. [any-thread]
    #[inline]
    #[must_use]
    pub fn callback_key(&self, slot: u32) -> *const c_void {
        self.callbacks.key(slot)
    }

    /// The registry key of a callback's function. NULL, which is no function's key, if the callback no longer exists or is another state's.
    /// [any-thread]
    #[inline]
    #[must_use]
    pub fn key_of(&self, id: CallbackId) -> *const c_void {
        if id.dispatcher == self.index { self.callbacks.key_of(id) } else { std::ptr::null() }
    }

    /// Whether there are functions that have no references any more. [lua-thread]
    #[inline]
    #[must_use]
    pub fn has_released_callbacks(&self) -> bool {
        self.callbacks.has_released()
    }

    /// The slot of such a function, which the module must now remove. The slot is vacant from here on. [lua-thread]
    #[must_use]
    pub fn next_released_callback(&self) -> Option<u32> {
        self.callbacks.next_released()
    }

    fn handle(&self, slot: u32, generation: u32) -> Handle {
        Handle { dispatcher: self.index, slot, generation }
    }

    /// Ends a call that `caller` recorded in `slot`, wakes the threads that wait for that, and releases the library if this was the
    /// last call that held it.
    #[inline(never)]
    fn leave(&self, mut desk: Guard<'_, Desk>, slot: u32, caller: Caller) {
        self.note_left(&mut desk.libraries[slot as usize], caller);
        self.free_if_left(desk, slot);
    }

    /// Called after a call ended or the library left. Wakes the threads that wait for that, and releases the library if nothing holds it
    /// any more.
    fn free_if_left(&self, mut desk: Guard<'_, Desk>, slot: u32) {
        let freed = desk.libraries[slot as usize].free_if_left();
        let awaited = desk.awaiting > 0;
        if let Some(registration) = &freed {
            desk.pass_counts(slot as usize, registration);
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

    /// Ends a call of the Lua thread, and the delivery it was for. If the library is told how the delivery ended, it is told inside the
    /// call: after its last call, none of its code may run.
    fn leave_ended(&self, desk: Guard<'_, Desk>, slot: u32, pending: Option<Pending>, outcome: Outcome) {
        match pending {
            Some(Pending { waiter, .. }) if waiter.completes() => {
                drop(desk);
                // This ends the call even if an exception leaves the library's code.
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

/// A call into a library's code that `note_entered` recorded. Dropping this ends the call, even if an exception leaves the code.
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
    /// The record that `handle` names, if its generation is current.
    fn library(&mut self, handle: Handle) -> Option<&mut Library> {
        self.libraries.get_mut(handle.slot as usize).filter(|library| library.generation == handle.generation)
    }

    /// As [`Self::library`], if the library is registered.
    fn registered(&mut self, handle: Handle) -> Option<&mut Library> {
        self.library(handle).filter(|library| library.phase == LibraryPhase::Registered)
    }
}
