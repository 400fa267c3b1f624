//! Building what the cells want, and running the cells, several at a time.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use compat_tests::build_lock::BuildLock;
use compat_tests::luas::Lua;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cell::Cell;
use crate::columns::Column;
use crate::parallel;
use crate::results::{self, Outcome};
use crate::rows::Row;

/// A bar on a terminal; lines where there is none.
fn progress(length: usize, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix:>9} [{bar:30}] {pos}/{len} {elapsed} {wide_msg}");
    let bar = ProgressBar::new(length as u64).with_prefix(what.to_owned());
    bar.set_style(style.expect("a template without faults").progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Says something, above the bar where there is one.
fn tell(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        eprintln!("{text}");
    } else {
        bar.println(text);
    }
}

/// One more is done: the bar moves, or a line says it.
fn step(bar: &ProgressBar, what: &str, done: &impl std::fmt::Display) {
    bar.inc(1);
    if bar.is_hidden() {
        eprintln!("{what} {done}");
    }
}

/// The libraries that have to be built: each row, for each Lua where they differ.
fn wanted(cells: &[Cell]) -> Vec<(Row, Lua)> {
    let mut wanted: Vec<(Row, Lua)> = Vec::new();
    for cell in cells {
        for row in cell.libraries.rows() {
            let place = row.place(cell.column.lua);
            if !wanted.iter().any(|(known, lua)| known.place(*lua) == place) {
                wanted.push((row.clone(), cell.column.lua));
            }
        }
    }
    wanted
}

/// Builds all that `cells` want, as soon as no other matrix builds; a cell that wants what cannot be built is told why.
pub(crate) fn build(cells: &mut [Cell]) {
    let _lock = BuildLock::acquire(&crate::folder());
    let libraries = wanted(cells);
    let mut columns: Vec<Column> = Vec::new();
    for cell in cells.iter() {
        if !columns.contains(&cell.column) {
            columns.push(cell.column.clone());
        }
    }
    let bar = progress(libraries.len() + columns.len(), "building");
    let mut failed: HashMap<PathBuf, String> = HashMap::new();
    for column in columns {
        bar.set_message(format!("module {column}"));
        crate::prepare_company(column.lua);
        if let Err(error) = column.build() {
            tell(&bar, &format!("the module {column} cannot be built: {error}"));
            failed.insert(column.folder(), error);
        }
        step(&bar, "built", &column);
    }
    for (row, lua) in libraries {
        bar.set_message(format!("library {row}"));
        if let Err(error) = row.build(lua) {
            tell(&bar, &format!("the library {row} cannot be built: {error}"));
            failed.insert(row.place(lua), error);
        }
        step(&bar, "built", &row);
    }
    bar.finish_and_clear();
    for cell in cells {
        let mut places = vec![cell.column.folder()];
        // All of them, or a mixed cell is not what its name says.
        places.extend(cell.libraries.rows().iter().map(|row| row.place(cell.column.lua)));
        let why = places.iter().find_map(|place| failed.get(place));
        cell.broken = why.map(|why| format!("it cannot be built: {why}"));
    }
}

/// Runs the cells, `jobs` at a time, and returns their outcomes in the cells' order.
pub(crate) fn run(cells: &[Cell], jobs: usize, fresh: bool) -> Vec<Outcome> {
    let bar = progress(cells.len(), "running");
    let reused = AtomicUsize::new(0);
    let outcomes = parallel::map(cells, jobs, |index, cell| {
        bar.set_message(cell.to_string());
        let digest = cell.digest();
        let kept = if fresh { None } else { results::kept(cell, &digest) };
        let outcome = match kept {
            Some(outcome) => {
                reused.fetch_add(1, Ordering::Relaxed);
                outcome
            }
            None => {
                let outcome = cell.run(digest.clone());
                // Where another process built meanwhile, nobody can say of what this is the outcome.
                if cell.digest() == digest {
                    results::keep(cell, &outcome);
                }
                outcome
            }
        };
        if !outcome.is_as_declared() {
            tell(&bar, &format!("not as declared: {cell}"));
        }
        step(&bar, &format!("{} of {}:", index + 1, cells.len()), cell);
        outcome
    });
    bar.finish_and_clear();
    let reused = reused.into_inner();
    if reused > 0 {
        eprintln!("{reused} of {} cells were as they had been, and were not run again", cells.len());
    }
    outcomes
}
