//! Waking: the notifier, and the sleep in `wait`.

use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use crate::notifier::Notifier;

/// Why a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Something is queued.
    Queued,
    /// Nothing is queued: the time is over, or somebody woke the thread.
    Nothing,
}

impl Dispatcher {
    /// Changes the notifier; starts with a notification if items wait. [lua-thread]
    pub fn set_notifier(&self, notifier: Option<Arc<dyn Notifier>>) {
        self.enter_lua();
        let mut desk = self.desk.lock();
        let mut intake = self.intake.lock();
        desk.notifying = notifier.is_some();
        let old = intake.credit.change(notifier);
        let queued = desk.items.len() + intake.items.len();
        let due = intake.credit.claim(queued);
        drop(intake);
        drop(desk);
        drop(old);
        if let Some(due) = due {
            // A send that fails leaves nothing outstanding, and the next deliver tries again.
            self.send(due);
        }
    }

    /// Sleeps until something is queued, or `limit` is over, or the last library unregistered. Returns at once where
    /// something is. [lua-thread] [blocks]
    pub fn wait(&self, limit: Duration) -> Waited {
        self.enter_lua();
        if self.desk.lock().items.len() > 0 {
            return Waited::Queued;
        }
        let mut intake = self.intake.lock();
        if intake.items.len() == 0 && !limit.is_zero() {
            // Set and given up in one step: a deliver comes before it, and was seen, or after it, and wakes this.
            intake.sleeping = true;
            intake = self.arrived.wait_for(intake, limit);
            intake.sleeping = false;
        }
        if intake.items.len() > 0 { Waited::Queued } else { Waited::Nothing }
    }
}
