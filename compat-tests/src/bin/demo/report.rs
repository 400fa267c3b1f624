//! What the user reads: progress, the invitation, the table and the sentences below it.

use std::path::Path;

use crate::outside::{FILES, SLOW};
use crate::script::Script;
use crate::system::HAS_LUAEXIT;
use crate::tally::{HTTPD, LUAEXIT, Library, Row, SQLITE, TIMER, Tally};

/// Printed instead of a time that is not known.
const NO_TIME: &str = "-";

/// The number of callbacks of each library so far.
pub(crate) fn progress(seconds: u64, tally: &Tally) -> String {
    let counts = tally
        .libraries()
        .map(|(Library { name, revision, .. }, row)| format!("{name} {revision} {}", row.callbacks));
    format!("{seconds:>3} s: {}", counts.collect::<Vec<_>>().join(", "))
}

/// Instructions for the user while the demo serves.
pub(crate) fn invitation(script: &Script, folder: &Path) -> String {
    let [url, url2] = script.ports.map(|port| format!("http://127.0.0.1:{port}"));
    format!(
        "Serving on {url} until Ctrl-C. In another terminal:\n\n\
        \x20   curl {url}/\n\
        \x20   curl \"{url}/fibonacci?n=50\"\n\
        \x20   curl -d \"1 2 3\" {url}/sum\n\
        \x20   curl \"{url}/later?n=7\"   # a second later, by a timer\n\
        \x20   curl \"{url}/sql?n=50\"    # by a query that calls Lua\n\
        \x20   curl {url}/metrics       # DSS's counts, as OpenMetrics\n\
        \x20   curl {url}/never         # until Ctrl-C here cancels it\n\n\
        The same pages, but by v2, are on {url2}, and\n\n\
        \x20   curl {url2}/slow         # too slow for its deadline\n\n\
        {}",
        also(script, folder)
    )
}

/// What the user can do beside requests.
fn also(script: &Script, folder: &Path) -> String {
    if HAS_LUAEXIT {
        format!(
            "Both revisions of fswatch see the file, and luaexit the signal:\n\n\
            \x20   touch {}/file\n\
            \x20   kill -TERM {}\n",
            folder.display(),
            script.pid
        )
    } else {
        format!(
            "Both revisions of fswatch see the file:\n\n\x20   echo text > \"{}\\file\"\n",
            folder.display()
        )
    }
}

/// The table, and what its columns mean.
pub(crate) fn summary(tally: &Tally) -> String {
    let mut text = format!(
        "\n{:7}  {:8}  {:>10}  {:>7}  {:>9}  {:>4}  {:>9}  {:>9}  {}\n",
        "library", "revision", "deliveries", "replies", "cancelled", "late", "p50", "p99", "since"
    );
    for (library, row) in tally.libraries() {
        let Library { name, revision, since } = library;
        let [delivered, replied, cancelled, late] = row.counts;
        let [p50, p99] = percentiles(library, row);
        text += &format!(
            "{name:7}  {revision:8}  {delivered:>10}  {replied:>7}  {cancelled:>9}  {late:>4}  {p50:>9}  {p99:>9}  {since}\n"
        );
    }
    text + "\n\
         The counts are DSS's own, from just before the libraries were stopped. Cancelled\n\
         is what was taken back, or still waited for a reply then. Late is what had no\n\
         answer at its deadline, which v2 alone has. The times of the demo's own events\n\
         (a dash if it made none) run to the callback in Lua and begin outside of DSS, so\n\
         they include the system and the library's own thread; DSS alone is measured by\n\
         `cargo bench -p compat-tests`. All but timer's and sqlite's compare the clocks\n\
         of two processes, which adds some microseconds. sqlite's are from the histogram\n\
         that DSS keeps for v2, in steps that double.\n"
}

/// What happened, after everything arrived.
pub(crate) fn story(tally: &Tally) -> String {
    let slow = tally.count(HTTPD[1], SLOW);
    let answered: u64 = HTTPD.iter().map(|httpd| tally.rows[*httpd].counts[1]).sum();
    let ending = if HAS_LUAEXIT {
        let signals = tally.count(LUAEXIT, "SIGTERM");
        format!("{signals} times SIGTERM was sent, and SIGINT once, which ended it.")
    } else {
        "A request ended it.".to_owned()
    };
    format!(
        "{} timers fired. {ending}\n\
         {FILES} files were made, written, read from Lua by v1 and by v2, and removed.\n\
         {answered} HTTP requests got the answer that Lua computed, and the one in flight at\n\
         the stop was told that the server is shutting down. {slow} that Lua was too slow for\n\
         got a 503 at their deadline, while the same server answered the others; one\n\
         whose client left was cancelled. SQLite inserted {} rows and answered {}\n\
         queries, and called a function in Lua {} times. Every callback arrived.\n",
        tally.rows[TIMER].callbacks,
        tally.count(SQLITE, "insert"),
        tally.count(SQLITE, "select"),
        tally.count(SQLITE, "fibonacci")
    )
}

/// The 50th and the 99th percentile of a library's times. DSS itself measures those that begin with a delivery.
fn percentiles(library: &Library, row: &Row) -> [String; 2] {
    if library.since == "deliver" {
        return row.waited.map(|time| time.map_or(NO_TIME.to_owned(), |time| format!("≤{}", human(time))));
    }
    let mut sorted = row.times.clone();
    sorted.sort_by(f64::total_cmp);
    [50, 99].map(|percent| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).map_or(NO_TIME.to_owned(), |time| human(*time))
    })
}

/// Formats a time in a suitable unit.
fn human(seconds: f64) -> String {
    match seconds {
        under if under < 1e-3 => format!("{:.0} µs", under * 1e6),
        under if under < 1.0 => format!("{:.2} ms", under * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}
