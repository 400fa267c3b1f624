//! `fswatch` delivers changes of files and folders to Lua as they happen.
//!
//! ```lua
//! local darksidesync = require "darksidesync"
//! local fswatch = darksidesync.load "fswatch"
//!
//! local watcher = fswatch.watch("src", function(event)
//!     print(event.kind, event.path)
//! end)
//! darksidesync.run()
//! ```
//!
//! * `fswatch.watch(path, callback [, options])` returns a watcher, or raises an error. For each change it calls `callback` with an event:
//!   its `kind`, its absolute `path`, and the `watched` path as it was given. It watches a folder with everything
//!   in it, or with `{recursive = false}` only the folder's own entries. Keep the watcher: it is closed when it is collected.
//!   A watcher that its own callback refers to is not collected.
//! * `watcher:path()` returns the watched path. `watcher:close()` ends the watcher; a second call does nothing. Events that were queued by
//!   then do not arrive. `run()` goes on while a watcher is open.
//! * `fswatch.limit(events)` sets how many events of all watchers together may be queued in this Lua state. The default is 4,096.
//!
//! The kinds are `"create"`, `"modify"` (the contents or the attributes), `"remove"`, `"rename"` (once with the old path
//! and once with the new), `"other"`, `"error"`, with a `message`, and `"lost"`: events were lost, so look at everything
//! again. Either the system lost them, or Lua takes too few of them; then `count` says how many. Reading is
//! not reported, so a callback may read.
//!
//! While Lua is busy, a later event of the same kind and path replaces the earlier one: a file that is written
//! a thousand times causes one `"modify"`. With `{coalesce = false}` each event is delivered.

mod event;
mod watch;

use std::path::PathBuf;

use dss_abi_v2::{Callback, Error, FromValue, Library, Limits, Policy, Result, library, object};

use watch::Watch;

library! {
    name: "fswatch",
    version: env!("CARGO_PKG_VERSION"),
    requires: "^2.1",
    functions: { watch, limit },
    objects: [Watcher],
    limits: LIMITS,
    keep_alive: false,
}

const LIMITS: Limits = Limits::new().items(4096).policy(Policy::Latest);

#[derive(FromValue)]
struct Options {
    recursive: Option<bool>,
    coalesce: Option<bool>,
}

/// `fswatch.watch(path, callback [, options])`.
fn watch(library: &Library, path: PathBuf, callback: Callback, options: Option<Options>) -> Result<Watcher> {
    let Options { recursive, coalesce } = options.unwrap_or(Options { recursive: None, coalesce: None });
    let opened = Watch::open(*library, path, callback, recursive.unwrap_or(true), coalesce.unwrap_or(true));
    opened.map(Watcher).map_err(Error::new)
}

/// `fswatch.limit(events)`.
fn limit(library: &Library, events: u32) -> Result<()> {
    if events == 0 {
        return Err(Error::new("fswatch.limit: the limit must be at least 1"));
    }
    Ok(library.limit(LIMITS.items(events as usize))?)
}

/// A watch in Lua. The watch is closed when this is collected, or when its state closes.
struct Watcher(std::sync::Arc<Watch>);

object! {
    Watcher as "watcher",
    methods: { path },
    to_string: Watcher::text,
    close: Watcher::close,
}

impl Watcher {
    fn path(&self, _: &Library) -> PathBuf {
        self.0.path().to_owned()
    }

    fn text(&self) -> String {
        format!("fswatch of {}{}", self.0.path().display(), if self.0.is_open() { "" } else { " (closed)" })
    }

    fn close(&self, _: &Library) {
        self.0.close();
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
