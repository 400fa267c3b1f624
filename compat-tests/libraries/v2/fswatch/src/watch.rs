//! A watch, and how it delivers to Lua.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use dss_abi_v2::{Callback, DeliverError, Hold, Library};
use dss_watch_engine::Watcher;

use crate::event::{Event, events};

/// The pause before Lua is told again that events were lost.
const PAUSE: Duration = Duration::from_millis(20);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The parts of a watch that exist until it is closed.
struct Open {
    watcher: Watcher,
    /// Keeps `run()` going.
    hold: Hold,
}

/// A watch.
pub(crate) struct Watch {
    library: Library,
    id: u64,
    path: PathBuf,
    callback: Callback,
    coalesce: bool,
    open: Mutex<Option<Open>>,
    /// Locked during each delivery. Nothing is delivered after this is true.
    closed: Mutex<bool>,
    /// The number of refused events that Lua has not been told of.
    lost: AtomicU64,
}

impl Watch {
    /// Watches `path`, and delivers to `callback`.
    ///
    /// # Errors
    /// A sentence for Lua.
    pub(crate) fn open(
        library: Library,
        path: PathBuf,
        callback: Callback,
        recursive: bool,
        coalesce: bool,
    ) -> Result<Arc<Watch>, String> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed);
        let (open, closed, lost) = (Mutex::new(None), Mutex::new(false), AtomicU64::new(0));
        let watch = Arc::new(Watch { library, id, path, callback, coalesce, open, closed, lost });
        let hold = library.hold().map_err(|error| error.to_string())?;
        let told: Weak<Watch> = Arc::downgrade(&watch);
        let watcher = dss_watch_engine::watch(&watch.path, recursive, move |event| {
            if let Some(watch) = told.upgrade() {
                watch.tell(event);
            }
        })?;
        *lock(&watch.open) = Some(Open { watcher, hold });
        Ok(watch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.open).is_some()
    }

    /// Closes the watch, and cancels the events that Lua has not taken. A second call does nothing. [lua-thread]
    pub(crate) fn close(&self) {
        // This is a separate statement because on some systems the drop waits for the watcher's thread, which may want a lock.
        let Some(Open { watcher, hold }) = lock(&self.open).take() else { return };
        drop(watcher);
        // On other systems the thread may be about to deliver.
        *lock(&self.closed) = true;
        self.library.cancel_all(&self.callback);
        drop(hold);
    }

    /// Closes the watch after Lua has dropped it, or its library was unregistered. [any-thread]
    ///
    /// DSS may drop an object on the thread that ends the last call into the library. That may be the watcher's own thread, during
    /// a delivery, which must not wait for itself.
    pub(crate) fn abandon(&self) {
        let Some(open) = lock(&self.open).take() else { return };
        match self.closed.try_lock() {
            Ok(mut closed) => {
                *closed = true;
                drop(closed);
                drop(open);
            }
            // If no thread can be started, it is closed on this one.
            Err(_) => drop(thread::Builder::new().name("fswatch end".to_owned()).spawn(move || drop(open))),
        }
    }

    /// Delivers, unless the watch is closed.
    fn hand_over(&self, key: Vec<u8>, event: Event) -> Result<(), DeliverError> {
        let closed = lock(&self.closed);
        if *closed {
            return Ok(());
        }
        self.library.deliver_keyed(&self.callback, key, event).map(drop).map_err(|refused| refused.reason)
    }

    /// Delivers an event, on the watcher's thread.
    fn tell(self: Arc<Self>, event: Result<dss_watch_engine::Event, String>) {
        match event {
            Ok(event) => events(&event, &self.path).into_iter().for_each(|event| self.deliver(event)),
            Err(sentence) => {
                let message = Some(sentence);
                self.deliver(Event { message, ..Event::new("error", &self.path, &self.path) });
            }
        }
    }

    fn deliver(self: &Arc<Self>, event: Event) {
        let key = if self.coalesce { event.key(self.id) } else { Vec::new() };
        // If it is refused for another reason, the state is closing, and there is nobody to tell.
        if self.hand_over(key, event) == Err(DeliverError::Full)
            && self.lost.fetch_add(1, Ordering::Relaxed) == 0
        {
            let watch = Arc::downgrade(self);
            // If no thread can be started, reset the count, so that the next refused event tries again.
            if thread::Builder::new().name("fswatch lost".to_owned()).spawn(|| own_up(watch)).is_err() {
                self.lost.store(0, Ordering::Relaxed);
            }
        }
    }
}

/// Tells Lua how many events were lost, as soon as there is room, until Lua knows of all of them.
fn own_up(watch: Weak<Watch>) {
    loop {
        thread::sleep(PAUSE);
        let Some(watch) = watch.upgrade().filter(|watch| watch.is_open()) else { return };
        let lost = watch.lost.load(Ordering::Relaxed);
        let event = Event { count: Some(lost), ..Event::new("lost", &watch.path, &watch.path) };
        match watch.hand_over(Vec::new(), event) {
            // Events lost after `lost` was read are reported next, by this loop: the thread that lost them saw a count above 0.
            Ok(_) if watch.lost.fetch_sub(lost, Ordering::Relaxed) == lost => return,
            Ok(_) => {}
            Err(DeliverError::Full) => {}
            Err(_) => return,
        }
    }
}
