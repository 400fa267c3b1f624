//! What came of each cell, and where it is kept.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cell::Cell;

/// What is declared of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Expected {
    /// All scenarios pass.
    Works,
    /// The library is refused with a sentence that names both sides, and none of its code runs.
    Refused,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    Works,
    Refused { sentence: String },
    Failed { report: String },
}

/// One scenario's run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) name: String,
    /// What it printed, where it failed.
    pub(crate) report: Option<String>,
    pub(crate) milliseconds: u64,
}

/// A cell's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) row: String,
    pub(crate) column: String,
    /// What it depends on.
    pub(crate) digest: String,
    pub(crate) expected: Expected,
    pub(crate) found: Found,
    pub(crate) ran: Vec<Ran>,
    pub(crate) milliseconds: u64,
}

impl Outcome {
    /// Whether what came is what was declared.
    pub(crate) fn is_as_declared(&self) -> bool {
        matches!(
            (&self.found, self.expected),
            (Found::Works, Expected::Works) | (Found::Refused { .. }, Expected::Refused)
        )
    }
}

fn file(cell: &Cell) -> PathBuf {
    crate::folder().join("results").join(format!("{}.json", cell.slug()))
}

/// The result that is kept of a cell, if it is of the same files and was as declared.
pub(crate) fn kept(cell: &Cell) -> Option<Outcome> {
    let text = fs::read(file(cell)).ok()?;
    let outcome: Outcome = serde_json::from_slice(&text).ok()?;
    (outcome.is_as_declared() && outcome.digest == cell.digest()).then_some(outcome)
}

/// Keeps a result.
///
/// # Panics
/// The target folder cannot be written to.
pub(crate) fn keep(cell: &Cell, outcome: &Outcome) {
    let file = file(cell);
    fs::create_dir_all(file.parent().expect("it lies in a folder"))
        .expect("the target folder can be written to");
    let text = serde_json::to_vec(outcome).expect("it is made of texts and numbers");
    let partial = file.with_extension("part");
    fs::write(&partial, text).expect("the target folder can be written to");
    fs::rename(&partial, &file).expect("the target folder can be written to");
}
