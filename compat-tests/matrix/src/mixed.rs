//! The libraries of all rows in one Lua state, at the same time.

use std::time::{Duration, Instant};

use compat_tests::run::limited;

use crate::cell::{Cell, offers, script};
use crate::results::{Found, Ran, milliseconds};
use crate::rows::Row;

/// Loads one library of each row whose revision the module offers. Each delivers items, makes a request and gets its answer.
pub(crate) fn run(cell: &Cell, rows: &[Row]) -> (Found, Vec<Ran>) {
    let begun = Instant::now();
    let lua = cell.column.lua;
    let libraries: Vec<_> = rows
        .iter()
        .filter(|row| offers(&cell.column.source, row.revision))
        .map(|row| format!("{}\t{row}\t{}\n", row.revision.library(), row.file_among_others(lua).display()))
        .collect();
    let mut command = script(&cell.environment(), "mixed.lua");
    command.arg(libraries.concat());
    let ended = limited(&mut command, Duration::from_secs(300));
    let report = (!ended.succeeded()).then(|| ended.report());
    let name = format!("{} libraries in one state", libraries.len());
    let found = match &report {
        None => Found::Works,
        Some(report) => Found::Failed { report: format!("{name}: {report}") },
    };
    (found, vec![Ran { name, report, milliseconds: milliseconds(begun) }])
}
