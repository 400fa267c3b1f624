//! Counts the callbacks that were announced and those that arrived in Lua, and finds what is missing.

use std::collections::BTreeMap;
use std::iter::zip;

use crate::system::HAS_LUAEXIT;

/// A library.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) revision: &'static str,
    /// The start of the times of its callbacks.
    pub(crate) since: &'static str,
}

/// The libraries, grouped by revision. luaexit is not there on every system.
pub(crate) const LIBRARIES: [Library; 7] = [
    Library { name: "timer", revision: "c1v0", since: "due time" },
    Library { name: "luaexit", revision: "v1", since: "kill()" },
    Library { name: "fswatch", revision: "v1", since: "write()" },
    Library { name: "httpd", revision: "v1", since: "request" },
    Library { name: "fswatch", revision: "v2", since: "write()" },
    Library { name: "httpd", revision: "v2", since: "request" },
    Library { name: "sqlite", revision: "v2", since: "deliver" },
];
pub(crate) const TIMER: usize = 0;
pub(crate) const LUAEXIT: usize = 1;
/// The libraries for v1 and for v2.
pub(crate) const FSWATCH: [usize; 2] = [2, 4];
pub(crate) const HTTPD: [usize; 2] = [3, 5];
pub(crate) const SQLITE: usize = 6;

/// What becomes of a delivery. All are delivered; this says what comes after that. DSS counts each kind.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    /// No answer is expected.
    Delivered,
    /// Lua answers.
    Replied,
    /// The client disconnects or the library is stopped before Lua answers.
    Cancelled,
    /// Lua answers after the deadline.
    Late,
}

/// The row of one library in the table.
#[derive(Default)]
pub(crate) struct Row {
    /// The number of callbacks that ran in Lua.
    pub(crate) callbacks: u64,
    /// The number of callbacks that were announced, for each [`Fate`].
    announced: [u64; 4],
    /// The time that each callback took to arrive, in seconds.
    pub(crate) times: Vec<f64>,
    /// DSS's own counts from just before the stop: deliveries, replies, cancelled, late.
    pub(crate) counts: [u64; 4],
    /// The 50th and the 99th percentile of the waiting times that DSS recorded, in seconds. Only v2 has these.
    pub(crate) waited: [Option<f64>; 2],
}

/// How often a callback was announced, and how often it arrived.
#[derive(Default)]
struct Calls {
    announced: u64,
    arrived: u64,
}

/// All counts of the demo.
#[derive(Default)]
pub(crate) struct Tally {
    /// For each library, in the order of [`LIBRARIES`].
    pub(crate) rows: [Row; LIBRARIES.len()],
    /// For each library and each name of a callback, such as "GET /sum".
    calls: BTreeMap<(usize, String), Calls>,
    /// The time of the last signal that this process sent, on Lua's clock.
    pub(crate) signalled: Option<f64>,
    /// What went wrong in Lua, one sentence each.
    pub(crate) errors: Vec<String>,
}

impl Tally {
    /// The libraries that this system has, each with its row.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = (&'static Library, &Row)> {
        let all = zip(&LIBRARIES, &self.rows).enumerate();
        all.filter(|(library, _)| HAS_LUAEXIT || *library != LUAEXIT).map(|(_, it)| it)
    }

    /// Announces that `count` callbacks of this name should arrive.
    pub(crate) fn announce(&mut self, library: usize, what: &str, fate: Fate, count: u64) {
        self.calls.entry((library, what.to_owned())).or_default().announced += count;
        self.rows[library].announced[fate as usize] += count;
    }

    /// Counts a line of the script's output. Returns `None` if it is invalid.
    pub(crate) fn hear(&mut self, line: &str) -> Option<()> {
        let library = |name, revision| {
            LIBRARIES.iter().position(|library| library.name == name && library.revision == revision)
        };
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["callback", name, revision, seconds, what] => {
                let library = library(name, revision)?;
                self.calls.entry((library, what.to_owned())).or_default().arrived += 1;
                let row = &mut self.rows[library];
                row.callbacks += 1;
                // A signal's time is the moment at which it arrived.
                let sent = if library == LUAEXIT { self.signalled } else { Some(0.0) };
                // The comparison of the two clocks has an error, so a short time may seem negative.
                let time =
                    seconds.parse().ok().zip(sent).map(|(time, sent): (f64, f64)| (time - sent).max(0.0));
                row.times.extend(time);
            }
            ["announce", name, revision, fate, what, count] => {
                let fate = match fate {
                    "delivered" => Fate::Delivered,
                    "replied" => Fate::Replied,
                    "cancelled" => Fate::Cancelled,
                    _ => return None,
                };
                self.announce(library(name, revision)?, what, fate, count.parse().ok()?);
            }
            ["counts", name, revision, ref counts @ .., p50, p99] => {
                let row = &mut self.rows[library(name, revision)?];
                let counts: Option<Vec<u64>> = counts.iter().map(|count| count.parse().ok()).collect();
                row.counts = counts?.try_into().ok()?;
                row.waited = [p50.parse().ok(), p99.parse().ok()];
            }
            ["error", message] => self.errors.push(format!("A callback raised an error: {message}")),
            _ => return None,
        }
        Some(())
    }

    /// The number of callbacks of this name that arrived.
    pub(crate) fn count(&self, library: usize, what: &str) -> u64 {
        self.calls.get(&(library, what.to_owned())).map_or(0, |calls| calls.arrived)
    }

    /// Whether all callbacks of this name that were announced have arrived.
    pub(crate) fn has(&self, library: usize, what: &str) -> bool {
        self.calls.get(&(library, what.to_owned())).is_some_and(|calls| calls.arrived >= calls.announced)
    }

    /// Whether all callbacks that were announced have arrived.
    pub(crate) fn has_all(&self) -> bool {
        self.calls.values().all(|calls| calls.arrived >= calls.announced)
    }

    /// The differences between what was announced, what arrived, and what DSS counts: a sentence each.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for ((library, what), Calls { announced, arrived }) in &self.calls {
            // The ticks of the periodic timer are not announced, and some systems report a change of a file more than once.
            let may_be_more = *announced == 0 || FSWATCH.contains(library);
            if arrived < announced || arrived > announced && !may_be_more {
                let Library { name, revision, .. } = LIBRARIES[*library];
                failures.push(format!(
                    "{name} {revision}: {announced} of {what:?} announced, {arrived} arrived."
                ));
            }
        }
        for (library, (Library { name, revision, .. }, row)) in zip(&LIBRARIES, &self.rows).enumerate() {
            let Row { callbacks, announced, counts, .. } = row;
            // A periodic timer that is cancelled after it fired has a delivery but no callback.
            if library != TIMER && counts[0] != *callbacks {
                let delivered = counts[0];
                failures.push(format!(
                    "{name} {revision}: DSS counts {delivered} deliveries, and Lua {callbacks}."
                ));
            }
            if counts[1..] != announced[1..] {
                let (counts, announced) = (&counts[1..], &announced[1..]);
                failures.push(format!(
                    "{name} {revision}: DSS counts {counts:?} replied, cancelled and late; announced were {announced:?}."
                ));
            }
        }
        failures
    }
}
