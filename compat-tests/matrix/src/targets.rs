//! The columns of other platforms: a module, libraries and a host are built for each, and their scenarios run natively or emulated.
//! For some, the module is only compiled.

use std::time::Instant;

use compat_tests::luas::Lua;
use compat_tests::scenarios::{self, Scenario};
use compat_tests::targets::{self, ALL, Built, COMPILED, Compiled, LUAS, Target};

use crate::parallel;
use crate::results::{Outcome, Platform, Ran, milliseconds};
use crate::rows::Revision;

/// A platform that the command line names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// Its scenarios are run.
    Run(&'static Target),
    /// It is compiled for only.
    Compile(&'static Compiled),
}

/// The platforms that the command line names: one, or `all`.
///
/// # Errors
/// There is no such platform: which ones there are.
pub(crate) fn named(name: &str) -> Result<Vec<Wanted>, String> {
    if name == "all" {
        let run = ALL.iter().map(Wanted::Run);
        return Ok(run.chain(COMPILED.iter().map(Wanted::Compile)).collect());
    }
    let run = Target::named(name).map(Wanted::Run);
    let wanted = run.or_else(|| Compiled::named(name).map(Wanted::Compile));
    wanted.map(|wanted| vec![wanted]).ok_or_else(|| {
        let known = ALL.iter().map(|it| it.name).chain(COMPILED.iter().map(|it| it.name));
        let known = known.collect::<Vec<_>>().join(", ");
        format!("there is no target {name}: choose one of {known}, or all")
    })
}

impl Wanted {
    /// Does what is done for the platform, with `jobs` scenarios at a time.
    ///
    /// # Errors
    /// Something cannot be fetched, or what is to be run cannot be built: what, and the error of the tool.
    pub(crate) fn run(self, jobs: usize) -> Result<(Vec<Outcome>, Platform), String> {
        match self {
            Wanted::Run(target) => run(target, jobs),
            Wanted::Compile(platform) => Ok(compile(platform)),
        }
    }
}

/// Compiles for `platform`.
fn compile(platform: &Compiled) -> (Vec<Outcome>, Platform) {
    let begun = Instant::now();
    let report = platform.check(&|text| eprintln!("{text}")).err();
    let milliseconds = milliseconds(begun);
    let ran = vec![Ran { name: "it compiles".to_owned(), report, milliseconds }];
    let (row, column) = ("compiles only".to_owned(), format!("{} {}", platform.name, Lua("lua54")));
    let outcome = Outcome::elsewhere(row, column, ran, Vec::new(), begun);
    let platform = Platform { name: platform.name.to_owned(), building: milliseconds, run: None };
    (vec![outcome], platform)
}

/// Builds everything for `target`, and runs the scenarios of each revision in each Lua, `jobs` at a time.
///
/// # Errors
/// Something cannot be fetched or built: what, and the error of the tool.
fn run(target: &'static Target, jobs: usize) -> Result<(Vec<Outcome>, Platform), String> {
    let begun = Instant::now();
    let built = targets::prepare(target, &|text| eprintln!("{text}"))?;
    let building = milliseconds(begun);
    let begun = Instant::now();
    let scenarios = scenarios::all();
    let mut outcomes = Vec::new();
    for lua in LUAS {
        for revision in Revision::ALL {
            let outcome = column(target, &built, lua, revision, &scenarios, jobs);
            let passed = outcome.ran.iter().filter(|it| it.report.is_none()).count();
            let left_out = outcome.left_out.len();
            eprintln!(
                "{revision} on {}, {lua}: {passed} of {} passed, {left_out} left out",
                target.name,
                outcome.ran.len()
            );
            outcomes.push(outcome);
        }
    }
    let run = Some((target.how(), milliseconds(begun)));
    let platform = Platform { name: target.name.to_owned(), building, run };
    Ok((outcomes, platform))
}

/// Runs the scenarios of a revision in one Lua.
fn column(
    target: &Target,
    built: &Built,
    lua: Lua,
    revision: Revision,
    scenarios: &[Scenario],
    jobs: usize,
) -> Outcome {
    let begun = Instant::now();
    let about_it =
        |scenario: &&Scenario| scenario.is_about(revision.library()) && scenario.is_written_for(lua);
    let (mut run, mut left_out) = (Vec::new(), Vec::new());
    for scenario in scenarios.iter().filter(about_it) {
        match target.leaves_out(scenario) {
            None => run.push(scenario),
            Some(reason) => left_out.push(format!("{}: {}: {reason}", scenario.group, scenario.name)),
        }
    }
    let mut ran = parallel::map(&run, jobs, |_, scenario| Ran::of(scenario, |it| built.run(lua, it)));
    // The layouts are the same for every Lua.
    if lua == LUAS[0] && matches!(revision, Revision::V1 | Revision::V2) {
        let begun = Instant::now();
        ran.push(Ran {
            name: "its layouts are those on file".to_owned(),
            report: built.check_layouts(revision.name()).err(),
            milliseconds: milliseconds(begun),
        });
    }
    let (row, column) = (format!("{revision} tree release"), format!("{} {lua}", target.name));
    Outcome::elsewhere(row, column, ran, left_out, begun)
}
