//! Opening and closing channels: see [`channel`](crate::channel).

use super::{Called, Dispatcher};
use crate::capacity::{Consumed, Limits};
use crate::channel::{ChannelId, MOST_CHANNELS};
use crate::delivery::DeliverError;
use crate::handle::Handle;
use crate::item::Item;
use crate::memory::{Shared, TryRoom, try_str};
use crate::outcome::Outcome;
use crate::queue::Removed;

impl Dispatcher {
    /// Opens a channel of a library of that revision. [any-thread]
    ///
    /// # Errors
    /// [`DeliverError::InvalidHandle`]; [`DeliverError::Full`] if the library already has [`MOST_CHANNELS`]; [`DeliverError::OutOfMemory`].
    pub fn open_channel(
        &self,
        handle: Handle,
        revision: u32,
        name: &str,
        limits: Limits,
    ) -> Result<ChannelId, DeliverError> {
        let name = Shared::try_new(try_str(name)?)?;
        let mut guard = self.lock_desk();
        let library = guard.registered(handle).ok_or(DeliverError::InvalidHandle)?;
        let mut intake = self.intake.lock();
        let admission = intake.admission_of(handle, revision).ok_or(DeliverError::InvalidHandle)?;
        let channels = &mut admission.channels;
        let at = channels.vacant().unwrap_or(channels.len());
        if at >= MOST_CHANNELS {
            return Err(DeliverError::Full);
        }
        if at == library.others.len() {
            if library.others.try_room(1).is_err() {
                return Err(DeliverError::OutOfMemory);
            }
            library.others.push(Consumed::try_new()?);
        }
        if at == channels.len() && !channels.reserve() {
            return Err(DeliverError::OutOfMemory);
        }
        Ok(channels.open(at, name, limits, library.others[at].clone()))
    }

    /// Closes a channel of a library, and cancels on this thread what is queued in it. [any-thread]
    ///
    /// # Errors
    /// The handle is invalid, or the library has no such channel. The first channel cannot be closed.
    pub fn close_channel(&self, handle: Handle, channel: ChannelId) -> Result<(), DeliverError> {
        let slot = handle.slot;
        let caller = self.caller();
        let mut removed = Removed::new();
        let mut desk = self.lock_desk_as(caller);
        let library = desk.registered(handle).ok_or(DeliverError::InvalidHandle)?;
        let adapter = library.adapter();
        let mut intake = self.intake.lock();
        let admission = intake.admission(handle).ok_or(DeliverError::InvalidHandle)?;
        if !admission.channels.close(channel) {
            return Err(DeliverError::InvalidChannel);
        }
        let own = |item: &Item| u32::from(item.slot) == slot && item.channel == channel.index;
        self.take_queued(&mut desk, &mut intake, slot, &mut removed, own);
        let closed = intake.admission(handle).and_then(|admission| admission.channels.take(channel));
        if let Some(closed) = &closed {
            desk.libraries[slot as usize].counts.add(closed);
        }
        drop(intake);
        desk.libraries[slot as usize].counts.cancelled += removed.len() as u64;
        self.note_entered(&mut desk.libraries[slot as usize], caller);
        drop(desk);
        let _called = Called { dispatcher: self, slot, caller };
        drop(closed);
        // A producer that waits for room in the channel checks again, and finds that it is closed.
        self.room.ring();
        self.cancel_outstanding(handle, adapter, caller, 0, &mut removed, Outcome::Cancelled);
        Ok(())
    }
}
