//! `httpd` is an HTTP server whose requests are answered by Lua.
//!
//! ```lua
//! local darksidesync = require "darksidesync"
//! local httpd = darksidesync.load "httpd"
//!
//! local server = httpd.serve {
//!     port = 8080,
//!     handler = function(request)
//!         return 200, "hello from " .. request.path
//!     end,
//! }
//! darksidesync.run()
//! ```
//!
//! `httpd.serve(options)` returns a server, or raises an error. The options:
//!
//! * `handler`: the function that answers;
//! * `port`: by default 0, for any free port; and `host`, by default 127.0.0.1;
//! * `start` and `finish`: within how many seconds Lua must start a request, by default 5, and must have answered it, by
//!   default 30;
//! * `max`: how many requests may wait for Lua, by default 1,000;
//! * `max_body`: how long a body may be, in bytes, by default 1 MiB;
//! * `log`: a function that gets a sentence for each request that the handler failed to answer.
//!
//! The handler gets a request, `{method =, path =, query =, headers =, body =}`. Names of headers are in lower case, and
//! the path is as it was sent. It returns `status [, headers] [, body]`; or only the body, with the status 200; or one table
//! `{status =, headers =, body =}`. A header is a string, or a list of strings. To answer later it calls
//! `darksidesync.defer()`.
//!
//! A client gets a 503 if Lua is too slow, has too much to do or closes; a 500 without details if the handler fails;
//! and a 413 if its body is too long. The server goes on after each.
//!
//! `server:port()` returns the port. `server:stats()` counts the requests: those that are `waiting` for Lua, and those that were
//! `answered`, `refused` with a 503, or `failed` with a 500. `server:close()` accepts no more connections; requests that wait for Lua
//! are still answered. The server serves until then, or until its state closes, even if Lua does not keep it. `run()`
//! goes on while it serves.

mod ask;
mod message;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dss_abi_v2::{Callback, Deadline, Error, FromValue, Hold, IntoValue, Library, Result, library, object};
use dss_http_engine::Parts;

use ask::{Counts, Handler};
use message::Asked;

library! {
    name: "httpd",
    version: env!("CARGO_PKG_VERSION"),
    requires: "^2.1",
    functions: { serve },
    objects: [Server],
    keep_alive: false,
    close: closing,
}

#[derive(FromValue)]
struct Options {
    handler: Callback,
    log: Option<Callback>,
    host: Option<String>,
    port: Option<u16>,
    start: Option<Duration>,
    finish: Option<Duration>,
    max: Option<u32>,
    max_body: Option<u32>,
}

type Shared = Arc<dss_http_engine::Server>;

/// A running server.
struct Serving {
    library: Library,
    server: Shared,
    /// Keeps `run()` going.
    _hold: Hold,
}

/// The running servers of all states.
static SERVING: Mutex<Vec<Serving>> = Mutex::new(Vec::new());

fn serving() -> MutexGuard<'static, Vec<Serving>> {
    SERVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `httpd.serve(options)`.
fn serve(library: &Library, options: Options) -> Result<Server> {
    let library = *library;
    let hold = library.hold()?;
    let host = options.host.unwrap_or_else(|| "127.0.0.1".to_owned());
    let port = options.port.unwrap_or(0);
    let handler = Arc::new(Handler {
        library,
        handler: options.handler,
        log: options.log,
        deadline: Deadline::within(options.finish.unwrap_or(Duration::from_secs(30)))
            .start_within(options.start.unwrap_or(Duration::from_secs(5))),
        max: options.max.unwrap_or(1000),
        counts: Counts::default(),
    });
    let answering = Arc::clone(&handler);
    let largest_body = options.max_body.unwrap_or(1 << 20) as usize;
    let answer = move |parts: Parts, body| Arc::clone(&answering).answer(Asked::new(&parts, body));
    // Holds the lock, so that a server that ends immediately finds its entry.
    let mut serving = serving();
    let server = dss_http_engine::Server::start(&host, port, largest_body, 1, answer, ended);
    let server = server.map_err(|error| {
        Error::new(format!(
            "httpd cannot serve on {host}, port {port} ({error}): choose another, or 0 for any port that is free"
        ))
    })?;
    let server = Arc::new(server);
    serving.push(Serving { library, server: Arc::clone(&server), _hold: hold });
    Ok(Server { server, handler })
}

/// Removes the servers that have ended. Called on the thread of the one that ends.
fn ended() {
    serving().retain(|serving| !serving.server.has_ended());
}

/// Ends all servers of a closing state. By now the requests that waited for Lua are being answered with a 503.
fn closing(library: &Library) {
    let mut serving = serving();
    let all = std::mem::take(&mut *serving);
    let (mine, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|serving| serving.library == *library);
    *serving = others;
    drop(serving);
    mine.iter().for_each(|serving| serving.server.end());
    mine.iter().for_each(|serving| serving.server.wait());
}

/// A server in Lua.
struct Server {
    server: Shared,
    handler: Arc<Handler>,
}

object! {
    Server as "server",
    methods: { port, stats },
    to_string: Server::text,
    close: Server::close,
}

#[derive(IntoValue)]
struct Stats {
    waiting: u64,
    answered: u64,
    refused: u64,
    failed: u64,
}

impl Server {
    fn port(&self, _: &Library) -> u16 {
        self.server.port()
    }

    fn stats(&self, _: &Library) -> Stats {
        let [waiting, answered, refused, failed] = self.handler.counts.now();
        Stats { waiting, answered, refused, failed }
    }

    fn text(&self) -> String {
        format!(
            "httpd on port {}{}",
            self.server.port(),
            if self.server.is_open() { "" } else { " (closed)" }
        )
    }

    fn close(&self, _: &Library) {
        self.server.close();
    }
}
