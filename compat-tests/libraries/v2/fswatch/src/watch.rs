//! One watch, and its way to Lua.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use dss_abi_v2::{Callback, DeliverError, Hold, Library};
use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::event::{Event, events};

/// How long to wait before Lua is told again that something was lost.
const PAUSE: Duration = Duration::from_millis(20);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What there is of a watch until it is closed.
struct Open {
    watcher: RecommendedWatcher,
    /// `run()` goes on for as long.
    hold: Hold,
}

/// One watch.
pub(crate) struct Watch {
    library: Library,
    id: u64,
    path: PathBuf,
    callback: Callback,
    coalesce: bool,
    open: Mutex<Option<Open>>,
    /// Held over each delivery: none is made once this says that the watch is closed.
    closed: Mutex<bool>,
    /// How many events were refused, and Lua was not told of.
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
        let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        let opened = notify::recommended_watcher(move |event| {
            if let Some(watch) = told.upgrade() {
                watch.tell(event);
            }
        })
        .and_then(|mut watcher| watcher.watch(&watch.path, mode).map(|()| watcher));
        let watcher = opened.map_err(|error| watch.refusal(&error))?;
        *lock(&watch.open) = Some(Open { watcher, hold });
        Ok(watch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.open).is_some()
    }

    /// Ends it, and takes back what Lua has not taken; the second time it does nothing. [lua-thread]
    pub(crate) fn close(&self) {
        // A statement of its own: on some systems the drop waits for the watcher's thread, which may want a lock.
        let Some(Open { watcher, hold }) = lock(&self.open).take() else { return };
        drop(watcher);
        // On others its thread may be about to deliver.
        *lock(&self.closed) = true;
        self.library.cancel_all(&self.callback);
        drop(hold);
    }

    /// Ends it where Lua has dropped it, or its library has left. [any-thread]
    ///
    /// DSS may drop an object on the thread that ends the last call into the library, and that may be the watcher's own, which
    /// is delivering then: it is not made to wait for itself.
    pub(crate) fn abandon(&self) {
        let Some(open) = lock(&self.open).take() else { return };
        match self.closed.try_lock() {
            Ok(mut closed) => {
                *closed = true;
                drop(closed);
                drop(open);
            }
            // Without a thread to be had it ends on this one.
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

    /// Delivers what happened, on the watcher's thread.
    fn tell(self: Arc<Self>, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) => events(&event, &self.path).into_iter().for_each(|event| self.deliver(event)),
            Err(error) => {
                let message = Some(self.refusal(&error));
                self.deliver(Event { message, ..Event::new("error", &self.path, &self.path) });
            }
        }
    }

    fn deliver(self: &Arc<Self>, event: Event) {
        let key = if self.coalesce { event.key(self.id) } else { Vec::new() };
        // Where it is refused for another reason the state is going, and nobody is left to tell.
        if self.hand_over(key, event) == Err(DeliverError::Full)
            && self.lost.fetch_add(1, Ordering::Relaxed) == 0
        {
            let watch = Arc::downgrade(self);
            // Without a thread to be had, the next event that is refused finds none lost, and tries again.
            if thread::Builder::new().name("fswatch lost".to_owned()).spawn(|| own_up(watch)).is_err() {
                self.lost.store(0, Ordering::Relaxed);
            }
        }
    }

    /// What went wrong, and what to do about it.
    fn refusal(&self, error: &notify::Error) -> String {
        let path = self.path.display();
        match &error.kind {
            ErrorKind::PathNotFound => {
                format!("fswatch cannot watch {path}: there is no such file or folder; create it first")
            }
            ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
                format!("fswatch cannot watch {path}: there is no such file or folder; create it first")
            }
            ErrorKind::MaxFilesWatch => format!(
                "fswatch cannot watch all of {path}: the system watches as many files as it may; watch a smaller part, or \
                 raise the limit (on Linux, fs.inotify.max_user_watches)"
            ),
            _ => format!("fswatch cannot watch {path}: {error}"),
        }
    }
}

/// Tells Lua how many events were lost, as soon as there is room, until none is that Lua was not told of.
fn own_up(watch: Weak<Watch>) {
    loop {
        thread::sleep(PAUSE);
        let Some(watch) = watch.upgrade().filter(|watch| watch.is_open()) else { return };
        let lost = watch.lost.load(Ordering::Relaxed);
        let event = Event { count: Some(lost), ..Event::new("lost", &watch.path, &watch.path) };
        match watch.hand_over(Vec::new(), event) {
            // What is lost after `lost` was read is told of next: whoever lost it saw that this thread is at it.
            Ok(_) if watch.lost.fetch_sub(lost, Ordering::Relaxed) == lost => return,
            Ok(_) => {}
            Err(DeliverError::Full) => {}
            Err(_) => return,
        }
    }
}
