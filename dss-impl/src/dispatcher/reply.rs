//! The reply: what Lua answers to a delivery that a thread waits for.

use std::marker::PhantomData;

use super::{Dispatcher, PendingStage};
use crate::boundary;
use crate::handle::Handle;
use crate::library::Caller;
use crate::outcome::Outcome;
use crate::payload::Payload;
use crate::port::{Adapter, Stage};

/// The name of a delivery that waits for its reply, as Lua's userdata holds it. It has a generation, like a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingId {
    pub(super) index: u32,
    pub(super) generation: u64,
    pub(super) epoch: u64,
}

/// A reply that has begun. It must be passed to [`Dispatcher::replied`]. Plain data, like `Taken`.
#[derive(Clone, Copy)]
pub struct Replying {
    /// The library that it belongs to.
    pub handle: Handle,
    /// What it carries.
    pub payload: Payload,
    /// How to reply to it.
    pub adapter: &'static dyn Adapter,
    id: PendingId,
    /// Not `Send`: it stays on the thread that began it, which is the Lua thread and the desk's owner.
    bound: PhantomData<*const ()>,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyEnd {
    /// The library took it.
    Replied,
    /// The reply function was collected without being called, and the library was told.
    Collected,
    /// The library raised a Lua error, or failed in its own way.
    Failed,
    /// No reply is possible any more, and the library was told that the delivery is cancelled.
    Cancelled,
}

/// A reply that is cancelled when this is dropped, even if an exception leaves the library's code.
struct Cancelled<'a>(&'a Dispatcher, Replying);

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.0.replied(&self.1, ReplyEnd::Cancelled);
    }
}

impl Dispatcher {
    /// Whether the state of that id is still served here. A callback may have closed it, and the dispatcher may serve another state by now.
    /// [any-thread]
    #[must_use]
    pub fn serves_state_of(&self, id: PendingId) -> bool {
        self.serves(id.epoch)
    }

    /// Begins the reply to the delivery that `id` names. None if it has already ended, or its state has closed. [lua-thread]
    ///
    /// # Safety
    /// Must be called on the Lua thread of the id's state, inside a call that Lua made.
    pub unsafe fn begin_reply(&self, id: PendingId) -> Option<Replying> {
        // If Lua collects a reply after its state closed, the dispatcher may already serve another state, on another thread.
        if !self.serves(id.epoch) {
            return None;
        }
        self.enter_lua();
        // SAFETY: the state is served, and this is its Lua thread.
        let mut desk = unsafe { self.desk.lock_as_owner() };
        let pending = desk.find_pending(id).filter(|pending| pending.stage == PendingStage::Waiting)?;
        pending.stage = PendingStage::Replying;
        let (slot, payload) = (pending.slot, pending.payload);
        let library = &mut desk.libraries[slot as usize];
        self.note_entered(library, Caller::Lua);
        let (adapter, generation) = (library.adapter(), library.generation);
        Some(Replying { handle: self.handle(slot, generation), payload, adapter, id, bound: PhantomData })
    }

    /// Cancels the delivery that `id` names, if it waits for its reply and no reply is possible any more. [lua-thread]
    ///
    /// # Safety
    /// As [`Self::begin_reply`].
    pub unsafe fn cancel_reply(&self, id: PendingId) {
        // SAFETY: as the caller promises.
        let Some(replying) = (unsafe { self.begin_reply(id) }) else { return };
        let cancelled = Cancelled(self, replying);
        boundary::discard(replying.adapter, replying.handle, &replying.payload, Stage::Waiting);
        drop(cancelled);
    }

    /// Ends the reply, and releases the waiting thread. [lua-thread]
    pub fn replied(&self, replying: &Replying, end: ReplyEnd) {
        let mut desk = self.lock_desk_as(Caller::Lua);
        let slot = replying.handle.slot;
        let pending = desk.remove(replying.id);
        let counts = &mut desk.libraries[slot as usize].counts;
        let (count, outcome) = match end {
            ReplyEnd::Replied => (&mut counts.replied, Outcome::Replied),
            ReplyEnd::Collected => (&mut counts.failed, Outcome::Collected),
            ReplyEnd::Failed => (&mut counts.failed, Outcome::Failed),
            ReplyEnd::Cancelled => (&mut counts.cancelled, Outcome::Cancelled),
        };
        *count += 1;
        self.leave_ended(desk, slot, pending, outcome);
    }
}
