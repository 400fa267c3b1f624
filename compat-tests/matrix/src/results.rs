//! The outcome of each cell, and the files that keep it.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use compat_tests::scenarios::Scenario;
use serde::{Deserialize, Serialize};

use crate::cell::Cell;

/// The declared outcome of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Expected {
    /// All scenarios pass.
    Works,
    /// The library is refused with a sentence that names both sides. None of its code runs.
    Refused,
}

/// The actual outcome of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    Works,
    Refused { sentence: String },
    Failed { report: String },
}

/// One run of a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub(crate) name: String,
    /// What it printed, if it failed.
    pub(crate) report: Option<String>,
    pub(crate) milliseconds: u64,
}

impl Ran {
    /// Runs a scenario with `run`.
    pub(crate) fn of(scenario: &Scenario, run: impl FnOnce(&Scenario) -> Result<(), String>) -> Ran {
        let begun = Instant::now();
        let report = run(scenario).err();
        let name = format!("{}: {}", scenario.group, scenario.name);
        Ran { name, report, milliseconds: milliseconds(begun) }
    }
}

impl Found {
    /// The outcome of a cell in which all scenarios should pass.
    pub(crate) fn of(ran: &[Ran]) -> Found {
        let failed: Vec<_> = ran.iter().filter(|it| it.report.is_some()).map(|it| it.name.as_str()).collect();
        if ran.is_empty() {
            Found::Failed { report: "no scenario is for this cell".to_owned() }
        } else if failed.is_empty() {
            Found::Works
        } else {
            Found::Failed {
                report: format!("{} of {} failed: {}", failed.len(), ran.len(), failed.join("; ")),
            }
        }
    }
}

/// The time since an instant.
pub(crate) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The result of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) row: String,
    pub(crate) column: String,
    /// The checksum of everything that it depends on.
    pub(crate) digest: String,
    pub(crate) expected: Expected,
    pub(crate) found: Found,
    pub(crate) ran: Vec<Ran>,
    /// The scenarios that were not run because the platform cannot run them, each with the reason.
    #[serde(default)]
    pub(crate) left_out: Vec<String>,
    pub(crate) milliseconds: u64,
}

/// A platform that was built for, and how long that took.
#[derive(Clone, Debug)]
pub(crate) struct Platform {
    /// Its name, with which the names of its columns begin.
    pub(crate) name: String,
    /// How long fetching and building took, in milliseconds.
    pub(crate) building: u64,
    /// How its scenarios ran here, `natively` or `emulated`, and how long that took, in milliseconds. None if it was compiled for
    /// only.
    pub(crate) run: Option<(&'static str, u64)>,
}

impl Outcome {
    /// The result for another platform than this one. Nothing of it is kept, so it has no checksum.
    pub(crate) fn elsewhere(
        row: String,
        column: String,
        ran: Vec<Ran>,
        left_out: Vec<String>,
        begun: Instant,
    ) -> Outcome {
        let (found, milliseconds) = (Found::of(&ran), milliseconds(begun));
        let (digest, expected) = (String::new(), Expected::Works);
        Outcome { row, column, digest, expected, found, ran, left_out, milliseconds }
    }

    /// Whether the actual outcome is the declared one.
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

/// The kept result of a cell, if its digest is the same and it was as declared.
pub(crate) fn kept(cell: &Cell, digest: &str) -> Option<Outcome> {
    let text = fs::read(file(cell)).ok()?;
    let outcome: Outcome = serde_json::from_slice(&text).ok()?;
    (outcome.is_as_declared() && outcome.digest == digest).then_some(outcome)
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
