//! The column for Windows: the module, libraries, host and demo are built for Windows, and the scenarios and the demo run there, or
//! on Linux under Wine.

use std::time::Instant;

use compat_tests::scenarios::{self, Scenario};
use compat_tests::windows::{self, LUA, Windows};

use crate::parallel;
use crate::results::{Outcome, Ran, milliseconds};
use crate::rows::Revision;

/// Builds everything for Windows, and runs the scenarios of each revision, then all others, and the demo, `jobs` at a time.
///
/// # Errors
/// Something cannot be fetched or built: what, and the error of the tool.
pub(crate) fn run(jobs: usize) -> Result<Vec<Outcome>, String> {
    let windows = windows::prepare(&|text| eprintln!("{text}"))?;
    let mut all = scenarios::all();
    all.retain(|scenario| scenario.is_written_for(LUA));
    let mut outcomes = Vec::new();
    for revision in Revision::ALL {
        let (its, rest): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|scenario| scenario.is_about(revision.library()));
        outcomes.push(row(&windows, format!("{revision} tree release"), &its, jobs));
        all = rest;
    }
    outcomes.push(row(&windows, "the module and the sample libraries".to_owned(), &all, jobs));
    outcomes.push(program("the demo", || windows.run_demo()));
    outcomes.push(program("the rockspec's command", || windows.run_rockspec()));
    Ok(outcomes)
}

/// Runs something that is a row of its own.
fn program(name: &str, run: impl FnOnce() -> Result<(), String>) -> Outcome {
    let begun = Instant::now();
    let report = run().err();
    eprintln!("{name}: {}", if report.is_none() { "passed" } else { "failed" });
    let ran = vec![Ran { name: name.to_owned(), report, milliseconds: milliseconds(begun) }];
    Outcome::elsewhere(name.to_owned(), column(), ran, Vec::new(), begun)
}

/// The name of the only column.
fn column() -> String {
    format!("windows {LUA}")
}

/// Runs scenarios, except those that are left out on Windows.
fn row(windows: &Windows, name: String, scenarios: &[Scenario], jobs: usize) -> Outcome {
    let begun = Instant::now();
    let (mut run, mut left_out) = (Vec::new(), Vec::new());
    for scenario in scenarios {
        match windows::leaves_out(scenario) {
            None => run.push(scenario),
            Some(reason) => left_out.push(format!("{}: {}: {reason}", scenario.group, scenario.name)),
        }
    }
    let ran = parallel::map(&run, jobs, |_, scenario| Ran::of(scenario, |it| windows.run(it)));
    let passed = ran.iter().filter(|it| it.report.is_none()).count();
    eprintln!("{name}: {passed} of {} scenarios passed, {} left out", ran.len(), left_out.len());
    Outcome::elsewhere(name, column(), ran, left_out, begun)
}
