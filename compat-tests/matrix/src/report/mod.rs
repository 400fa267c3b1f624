//! The report of a run: its outcomes as a grid, in formats for people and for programs.

mod junit;
mod markdown;
mod page;
mod terminal;

use std::fs;
use std::io;
use std::path::Path;

use compat_tests::freeze::Difference;

use crate::results::{Found, Outcome, Platform};

/// The outcomes of a run, as a grid.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rows: Vec<String>,
    pub(crate) columns: Vec<String>,
    /// Row by row. `None` for a cell that was not selected.
    pub(crate) grid: Vec<Vec<Option<Outcome>>>,
    /// Published files that have changed.
    pub(crate) differences: Vec<Difference>,
    /// The platforms other than this machine that were built for.
    pub(crate) platforms: Vec<Platform>,
}

/// The number of cells with each outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) works: usize,
    pub(crate) refused: usize,
    pub(crate) failed: usize,
}

impl Report {
    /// Makes the grid. Rows and columns are in the order of the outcomes.
    pub(crate) fn new(outcomes: Vec<Outcome>, differences: Vec<Difference>) -> Report {
        let mut rows: Vec<String> = Vec::new();
        let mut columns: Vec<String> = Vec::new();
        for Outcome { row, column, .. } in &outcomes {
            if !rows.contains(row) {
                rows.push(row.clone());
            }
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        let position = |names: &[String], name: &str| names.iter().position(|known| known == name);
        let mut grid = vec![vec![None; columns.len()]; rows.len()];
        for outcome in outcomes {
            let row = position(&rows, &outcome.row).expect("it was taken from a cell");
            let column = position(&columns, &outcome.column).expect("it was taken from a cell");
            grid[row][column] = Some(outcome);
        }
        Report { rows, columns, grid, differences, platforms: Vec::new() }
    }

    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.grid.iter().flatten().flatten()
    }

    /// Whether every cell is as declared and nothing published has changed.
    pub(crate) fn is_well(&self) -> bool {
        self.differences.is_empty() && self.outcomes().all(Outcome::is_as_declared)
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for outcome in self.outcomes() {
            match (&outcome.found, outcome.is_as_declared()) {
                (Found::Works, true) => counts.works += 1,
                (Found::Refused { .. }, true) => counts.refused += 1,
                _ => counts.failed += 1,
            }
        }
        counts
    }

    /// The counts in one line.
    pub(crate) fn summary(&self) -> String {
        let Counts { works, refused, failed } = self.counts();
        let runs: usize = self.outcomes().map(|outcome| outcome.ran.len()).sum();
        let published = match self.differences.len() {
            0 => "what is published is unchanged".to_owned(),
            1 => "1 published file has changed".to_owned(),
            some => format!("{some} published files have changed"),
        };
        let left_out: usize = self.outcomes().map(|outcome| outcome.left_out.len()).sum();
        let left_out = if left_out == 0 { String::new() } else { format!(", {left_out} left out") };
        format!(
            "{works} work, {refused} are refused as declared, {failed} not as declared; {runs} runs{left_out}; {published}"
        )
    }

    /// Each platform in one line: its scenarios, and how long they took.
    pub(crate) fn platforms(&self) -> impl Iterator<Item = String> {
        self.platforms.iter().map(|platform| {
            let Platform { name, building, run } = platform;
            let building = building / 1000;
            let Some((how, running)) = run else {
                return format!("{name}: only compiled, not linked or run; that took {building} s");
            };
            let before = format!("{name} ");
            let its = || self.outcomes().filter(|outcome| outcome.column.starts_with(&before));
            let ran: Vec<_> = its().flat_map(|outcome| &outcome.ran).collect();
            let passed = ran.iter().filter(|ran| ran.report.is_none()).count();
            let left_out: usize = its().map(|outcome| outcome.left_out.len()).sum();
            let running = running / 1000;
            format!(
                "{name}: {passed} of {} passed, {left_out} left out; ran {how} in {running} s, fetched and built in {building} s",
                ran.len()
            )
        })
    }

    /// The scenarios that were left out, once each, with the reason.
    pub(crate) fn left_out(&self) -> Vec<&str> {
        let mut all: Vec<_> =
            self.outcomes().flat_map(|outcome| &outcome.left_out).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Writes the report in all formats into `folder`.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("matrix.md"), markdown::document(self))?;
        fs::write(folder.join("junit.xml"), junit::document(self).map_err(io::Error::other)?)?;
        fs::write(folder.join("index.html"), page::document(self))
    }

    /// The report for a terminal.
    pub(crate) fn text(&self) -> String {
        terminal::document(self)
    }
}

/// The sign of a cell in the grid.
pub(crate) fn sign(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        None => " ",
        Some(outcome) if !outcome.is_as_declared() => "✗",
        Some(Outcome { found: Found::Refused { .. }, .. }) => "–",
        Some(_) => "✓",
    }
}

/// An outcome in words, one line or more.
pub(crate) fn words(outcome: &Outcome) -> String {
    match &outcome.found {
        Found::Works if outcome.is_as_declared() => "works".to_owned(),
        Found::Works => "works, and was declared to be refused".to_owned(),
        Found::Refused { sentence } if outcome.is_as_declared() => format!("refused: {sentence}"),
        Found::Refused { sentence } => format!("refused, and was declared to work: {sentence}"),
        Found::Failed { report } => report.clone(),
    }
}

/// Groups columns by module: the name of each module, and its Luas.
pub(crate) fn modules(columns: &[String]) -> Vec<(&str, Vec<&str>)> {
    let mut modules: Vec<(&str, Vec<&str>)> = Vec::new();
    for column in columns {
        let (module, lua) = column.rsplit_once(' ').expect("a module and a Lua");
        match modules.last_mut() {
            Some((last, luas)) if *last == module => luas.push(lua),
            _ => modules.push((module, vec![lua])),
        }
    }
    modules
}
