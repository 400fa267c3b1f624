//! What `libraries()` counts, as OpenMetrics text: <https://prometheus.io/docs/specs/om/open_metrics_spec/>, version 1.0.

use std::collections::HashSet;
use std::fmt::{self, Write};

use crate::histogram::Histogram;
use crate::library::LibraryInfo;
use crate::memory::{OutOfMemory, TryRoom};

/// The content type of this text when it is served over HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A family of metrics with one figure for each library; None if the library has no such figure.
struct Family {
    name: &'static str,
    /// The unit, or nothing. The format requires it as the last part of the name.
    unit: &'static str,
    help: &'static str,
    kind: Kind,
    figure: fn(&LibraryInfo) -> Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
}

const fn gauge(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    figure: fn(&LibraryInfo) -> Option<u64>,
) -> Family {
    Family { name, unit, help, kind: Kind::Gauge, figure }
}

const fn counter(name: &'static str, help: &'static str, figure: fn(&LibraryInfo) -> Option<u64>) -> Family {
    Family { name, unit: "", help, kind: Kind::Counter, figure }
}

const FAMILIES: [Family; 13] = [
    gauge("darksidesync_queued", "", "Items in the queue.", |it| Some(it.queued as u64)),
    gauge("darksidesync_queued_bytes", "bytes", "Bytes in the queue, of libraries with a bound.", |it| {
        it.limits.as_ref().map(|_| it.bytes as u64)
    }),
    gauge(
        "darksidesync_queued_highwater",
        "",
        "The most items that were queued at once, of libraries with a bound.",
        |it| it.limits.as_ref().map(|_| it.high_water as u64),
    ),
    gauge(
        "darksidesync_waiting",
        "",
        "Deliveries that a thread or a request waits for, including queued ones.",
        |it| Some(it.waiting as u64),
    ),
    gauge("darksidesync_keeps_alive", "", "Whether the library keeps run() going: 1 or 0.", |it| {
        Some(u64::from(it.keeps_alive))
    }),
    counter("darksidesync_delivered", "Deliveries that were decoded.", |it| Some(it.delivered)),
    counter("darksidesync_replied", "Replies and answers that the library got.", |it| Some(it.replied)),
    counter("darksidesync_failed", "Deliveries whose decode failed, or that got no answer.", |it| {
        Some(it.failed)
    }),
    counter("darksidesync_refused", "Deliveries that were refused.", |it| Some(it.refused)),
    counter("darksidesync_dropped", "Deliveries that made room for later ones.", |it| Some(it.dropped)),
    counter(
        "darksidesync_coalesced",
        "Deliveries that were replaced by a later one with the same key.",
        |it| Some(it.coalesced),
    ),
    counter("darksidesync_timed_out", "Requests and waits for room that timed out.", |it| Some(it.timed_out)),
    counter("darksidesync_cancelled", "Deliveries that were cancelled.", |it| Some(it.cancelled)),
];

/// The name of the family for how long deliveries wait.
const WAIT: &str = "darksidesync_wait_seconds";

/// A text that grows as long as there is memory for it.
struct Text(String);

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        self.0.try_room(more.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(more);
        Ok(())
    }
}

/// The libraries' figures as OpenMetrics text, which ends with `# EOF`.
///
/// # Errors
/// There is no memory for it.
pub fn text(libraries: &[LibraryInfo]) -> Result<String, OutOfMemory> {
    let mut out = Text(String::new());
    // Nothing else fails.
    write_all(&mut out, libraries).map_err(|_| OutOfMemory)?;
    Ok(out.0)
}

fn write_all(out: &mut Text, libraries: &[LibraryInfo]) -> fmt::Result {
    let labels = labels(libraries);
    let labelled = || libraries.iter().zip(&labels);
    for family in &FAMILIES {
        let Family { name, unit, help, kind, figure } = family;
        let (kind, suffix) = match kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
        };
        head(out, name, kind, unit, help)?;
        for (library, labels) in labelled() {
            if let Some(figure) = figure(library) {
                writeln!(out, "{name}{suffix}{{{labels}}} {figure}")?;
            }
        }
    }
    head(out, WAIT, "histogram", "seconds", "From deliver to decode, where the revision notes it.")?;
    for (library, labels) in labelled() {
        if let Some(waits) = &library.waits {
            histogram(out, labels, waits)?;
        }
    }
    out.write_str("# EOF\n")
}

fn head(out: &mut Text, name: &str, kind: &str, unit: &str, help: &str) -> fmt::Result {
    writeln!(out, "# TYPE {name} {kind}")?;
    if !unit.is_empty() {
        writeln!(out, "# UNIT {name} {unit}")?;
    }
    writeln!(out, "# HELP {name} {help}")
}

fn histogram(out: &mut Text, labels: &str, waits: &Histogram) -> fmt::Result {
    let mut count = 0;
    for (at, counted) in waits.counts().iter().enumerate() {
        count += counted;
        let upper = Histogram::upper(at).map_or_else(|| "+Inf".to_owned(), |upper| canonical(seconds(upper)));
        writeln!(out, "{WAIT}_bucket{{{labels},le=\"{upper}\"}} {count}")?;
    }
    writeln!(out, "{WAIT}_count{{{labels}}} {count}")?;
    writeln!(out, "{WAIT}_sum{{{labels}}} {}", canonical(seconds(waits.sum())))
}

/// The labels of each library. No two are the same, because that would report one metric twice. Libraries with the same name are
/// numbered, and so are those without a name.
fn labels(libraries: &[LibraryInfo]) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut label = |library: &LibraryInfo| {
        let name = library.name.as_deref().unwrap_or("unnamed");
        let mut shown = name.to_owned();
        let mut number = 1;
        while !taken.insert((shown.clone(), library.revision)) {
            number += 1;
            shown = format!("{name}#{number}");
        }
        format!("library=\"{}\",revision=\"{}\"", escape(&shown), escape(library.revision))
    };
    libraries.iter().map(&mut label).collect()
}

/// Escapes the three characters that are special in a label's value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// A number in the canonical form of the format, so that equal numbers have equal text: the shortest text that reads back as the same
/// number, with a point or with an exponent of at least two digits.
fn canonical(number: f64) -> String {
    if number != 0.0 && (number.abs() < 1e-4 || number.abs() >= 1e16) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{number:?}")
}
