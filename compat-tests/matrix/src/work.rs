//! Building what the cells want, and running the cells, several at a time.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use compat_tests::luas::Lua;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cell::{Cell, Guests};
use crate::columns::Column;
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
        let rows = match &cell.guests {
            Guests::One(row) => std::slice::from_ref(row),
            Guests::All(rows) => rows,
        };
        for row in rows {
            let place = row.place(cell.column.lua);
            if !wanted.iter().any(|(known, lua)| known.place(*lua) == place) {
                wanted.push((row.clone(), cell.column.lua));
            }
        }
    }
    wanted
}

/// Builds all that `cells` want; a cell that wants what cannot be built is told why.
pub(crate) fn build(cells: &mut [Cell]) {
    let libraries = wanted(cells);
    let mut columns: Vec<Column> = Vec::new();
    for cell in cells.iter() {
        if !columns.contains(&cell.column) {
            columns.push(cell.column.clone());
        }
    }
    let bar = progress(libraries.len() + columns.len(), "building");
    let mut failed: HashMap<String, String> = HashMap::new();
    for column in columns {
        bar.set_message(format!("module {column}"));
        crate::company(column.lua);
        if let Err(error) = column.build() {
            tell(&bar, &format!("the module {column} cannot be built: {error}"));
            failed.insert(column.folder().display().to_string(), error);
        }
        step(&bar, "built", &column);
    }
    for (row, lua) in libraries {
        bar.set_message(format!("library {row}"));
        if let Err(error) = row.build(lua) {
            tell(&bar, &format!("the library {row} cannot be built: {error}"));
            failed.insert(row.place(lua).display().to_string(), error);
        }
        step(&bar, "built", &row);
    }
    bar.finish_and_clear();
    for cell in cells {
        let mut places = vec![cell.column.folder()];
        match &mut cell.guests {
            Guests::One(row) => places.push(row.place(cell.column.lua)),
            // Those that are not there fail in cells of their own.
            Guests::All(rows) => {
                rows.retain(|row| !failed.contains_key(&row.place(cell.column.lua).display().to_string()))
            }
        }
        let why = places.iter().find_map(|place| failed.get(&place.display().to_string()));
        cell.broken = why.map(|why| format!("it cannot be built: {why}"));
    }
}

/// Runs the cells, `jobs` at a time, and returns their outcomes in the cells' order.
pub(crate) fn run(cells: &[Cell], jobs: usize, fresh: bool) -> Vec<Outcome> {
    let bar = progress(cells.len(), "running");
    let next = AtomicUsize::new(0);
    let reused = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<Outcome>>> = cells.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(index) else { return };
                    bar.set_message(cell.to_string());
                    let kept = if fresh { None } else { results::kept(cell) };
                    let outcome = match kept {
                        Some(outcome) => {
                            reused.fetch_add(1, Ordering::Relaxed);
                            outcome
                        }
                        None => {
                            let outcome = cell.run();
                            results::keep(cell, &outcome);
                            outcome
                        }
                    };
                    if !outcome.is_as_declared() {
                        tell(&bar, &format!("not as declared: {cell}"));
                    }
                    *outcomes[index].lock().expect("nobody panics with it") = Some(outcome);
                    let said = format!("{} of {}:", index + 1, cells.len());
                    step(&bar, &said, cell);
                }
            });
        }
    });
    bar.finish_and_clear();
    let reused = reused.into_inner();
    if reused > 0 {
        eprintln!("{reused} of {} cells were as they had been, and were not run again", cells.len());
    }
    let taken = |one: Mutex<Option<Outcome>>| one.into_inner().expect("nobody panicked with it");
    outcomes.into_iter().map(|one| taken(one).expect("each was run")).collect()
}
