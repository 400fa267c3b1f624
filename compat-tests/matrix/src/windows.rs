//! The matrix's column for Windows: module, libraries and host built for it, their scenarios run under Wine.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use compat_tests::scenarios::{self, Scenario};
use compat_tests::windows::{self, LUA, Windows};

use crate::cell::milliseconds;
use crate::results::{Expected, Found, Outcome, Ran};
use crate::rows::Revision;

/// Builds what is needed, and runs the scenarios of each revision, `jobs` at a time.
///
/// # Errors
/// Something cannot be fetched or built: what, and what was said.
pub(crate) fn run(jobs: usize) -> Result<Vec<Outcome>, String> {
    let windows = windows::prepare(&|text| eprintln!("{text}"))?;
    for scenario in scenarios::all() {
        if let Some(reason) = scenario.unix_alone() {
            eprintln!("not on Windows, {reason}: {}: {}", scenario.group, scenario.name);
        }
    }
    let scenarios = Windows::scenarios();
    let mut outcomes = Vec::new();
    for revision in Revision::ALL {
        let mine: Vec<_> = scenarios.iter().filter(|scenario| scenario.is_of(revision.library())).collect();
        let begun = Instant::now();
        let ran = run_each(&windows, &mine, jobs);
        let failed: Vec<_> = ran.iter().filter(|it| it.report.is_some()).map(|it| it.name.as_str()).collect();
        let found = if ran.is_empty() {
            Found::Failed { report: "no scenario is for this cell".to_owned() }
        } else if failed.is_empty() {
            Found::Works
        } else {
            Found::Failed {
                report: format!("{} of {} failed: {}", failed.len(), ran.len(), failed.join("; ")),
            }
        };
        eprintln!("{revision}: {} of {} scenarios passed", ran.len() - failed.len(), ran.len());
        outcomes.push(Outcome {
            row: format!("{revision} tree release"),
            column: format!("windows {LUA}"),
            digest: String::new(),
            expected: Expected::Works,
            found,
            ran,
            milliseconds: milliseconds(begun),
        });
    }
    Ok(outcomes)
}

/// Runs scenarios, `jobs` at a time; what came of each, in their order.
fn run_each(windows: &Windows, scenarios: &[&Scenario], jobs: usize) -> Vec<Ran> {
    let next = AtomicUsize::new(0);
    let ran: Vec<Mutex<Option<Ran>>> = scenarios.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some((scenario, ran)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    scenarios.get(index).zip(ran.get(index))
                } {
                    let begun = Instant::now();
                    let report = windows.run(scenario).err();
                    let name = format!("{}: {}", scenario.group, scenario.name);
                    let done = Ran { name, report, milliseconds: milliseconds(begun) };
                    *ran.lock().expect("nobody panics with it") = Some(done);
                }
            });
        }
    });
    let taken = |one: Mutex<Option<Ran>>| one.into_inner().expect("nobody panicked with it");
    ran.into_iter().map(|one| taken(one).expect("each was run")).collect()
}
