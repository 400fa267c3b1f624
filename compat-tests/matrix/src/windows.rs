//! The column for Windows: the module, libraries and host are built for Windows, and their scenarios run under Wine.

use std::time::Instant;

use compat_tests::scenarios::{self, Scenario};
use compat_tests::windows::{self, LUA};

use crate::parallel;
use crate::results::{Outcome, Ran};
use crate::rows::Revision;

/// Builds everything for Windows, and runs the scenarios of each revision, `jobs` at a time.
///
/// # Errors
/// Something cannot be fetched or built: what, and the error of the tool.
pub(crate) fn run(jobs: usize) -> Result<Vec<Outcome>, String> {
    let windows = windows::prepare(&|text| eprintln!("{text}"))?;
    let scenarios = scenarios::all();
    let mut outcomes = Vec::new();
    for revision in Revision::ALL {
        let about_it = |scenario: &&Scenario| scenario.is_about(revision.library());
        let mut mine: Vec<_> = scenarios.iter().filter(about_it).collect();
        let left_out: Vec<_> = mine
            .iter()
            .filter_map(|it| Some(format!("{}: {}: {}", it.group, it.name, it.not_on_windows()?)))
            .collect();
        mine.retain(|scenario| scenario.is_for_windows());
        let begun = Instant::now();
        let ran = parallel::map(&mine, jobs, |_, scenario| Ran::of(scenario, |it| windows.run(it)));
        let passed = ran.iter().filter(|it| it.report.is_none()).count();
        eprintln!("{revision}: {passed} of {} scenarios passed, {} left out", ran.len(), left_out.len());
        let (row, column) = (format!("{revision} tree release"), format!("windows {LUA}"));
        outcomes.push(Outcome::elsewhere(row, column, ran, left_out, begun));
    }
    Ok(outcomes)
}
