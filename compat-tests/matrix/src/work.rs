//! Building what the cells need, and running several cells at a time.

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

/// A progress bar on a terminal, hidden elsewhere.
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

/// Prints a line, above the bar if there is one.
fn tell(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        eprintln!("{text}");
    } else {
        bar.println(text);
    }
}

/// Reports one finished step: advances the bar, or prints a line.
fn step(bar: &ProgressBar, what: &str, done: &impl std::fmt::Display) {
    bar.inc(1);
    if bar.is_hidden() {
        eprintln!("{what} {done}");
    }
}

/// The libraries that have to be built: each row once, or once for each Lua if its libraries differ.
fn wanted(cells: &[Cell]) -> Vec<(Row, Lua)> {
    let mut wanted: Vec<(Row, Lua)> = Vec::new();
    for cell in cells {
        for row in cell.libraries.rows() {
            let folder = row.folder_for(cell.column.lua);
            if !wanted.iter().any(|(known, lua)| known.folder_for(*lua) == folder) {
                wanted.push((row.clone(), cell.column.lua));
            }
        }
    }
    wanted
}

/// Builds everything that `cells` need, as soon as no other matrix is building. A cell whose build fails keeps the reason in
/// `broken`.
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
        crate::prepare_extra_libraries(column.lua);
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
            failed.insert(row.folder_for(lua), error);
        }
        step(&bar, "built", &row);
    }
    bar.finish_and_clear();
    for cell in cells {
        let mut folders = vec![cell.column.folder()];
        // A mixed cell needs all of its libraries, or its name would be wrong.
        folders.extend(cell.libraries.rows().iter().map(|row| row.folder_for(cell.column.lua)));
        let why = folders.iter().find_map(|folder| failed.get(folder));
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
                // If another process rebuilt something meanwhile, it is unknown what this outcome belongs to.
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
