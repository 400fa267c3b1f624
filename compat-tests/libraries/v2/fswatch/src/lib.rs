//! `fswatch`: what happens to files and folders, delivered to Lua as it happens.
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
//! * `fswatch.watch(path, callback [, options])` gives a watcher, or raises an error. It calls `callback` with an event: its
//!   `kind`, the absolute `path` that it happened to, and what is `watched`, as it was given. It watches a folder with all
//!   that is in it, or with `{recursive = false}` its own entries alone. Keep the watcher: one that is collected is closed.
//!   One that its own callback refers to is not collected.
//! * `watcher:path()` is what is watched. `watcher:close()` ends it, and does nothing once more; what was queued by then
//!   does not come any more. `run()` goes on while a watcher is open.
//! * `fswatch.limit(events)` says how many events may be queued in this Lua state, of all watchers together: 4,096, unless
//!   said otherwise.
//!
//! The kinds are `"create"`, `"modify"` (the contents or the attributes), `"remove"`, `"rename"` (once with the old path
//! and once with the new), `"other"`, `"error"`, with a `message`, and `"lost"`: events were lost, so look at all of it
//! again. That is the system's doing, or that of a Lua that takes too few of them; then `count` says how many. Reading is
//! not reported, so that a callback may.
//!
//! While Lua is busy, a later event of the same kind and path takes the place of the earlier one: a file that is written
//! a thousand times is one `"modify"`. With `{coalesce = false}` each is delivered.

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
        return Err(Error::new("fswatch.limit: there has to be room for one event at least"));
    }
    Ok(library.limit(LIMITS.items(events as usize))?)
}

/// What Lua has of a watch. Collected, or left behind by a state that closes, it closes it.
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
