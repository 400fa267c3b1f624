//! A library in a module that is older than its revision. The module must refuse it before any of its code runs, with a
//! sentence that names both sides.

use std::process::Command;
use std::time::{Duration, Instant};

use compat_tests::artefacts::dss;
use compat_tests::run::limited;

use crate::cell::{Cell, script};
use crate::results::{Found, Ran, milliseconds};
use crate::rows::Row;

/// Tries to load the library in the module's Lua, and runs `dss check` on it, as the deployer would.
pub(crate) fn run(cell: &Cell, row: &Row) -> (Found, Vec<Ran>) {
    let mut ran = Vec::new();
    let mut sentences = Vec::new();
    let mut attempt = |name: &str, begun: Instant, result: Result<String, String>| {
        let report = match result {
            Ok(sentence) => {
                sentences.push(sentence);
                None
            }
            Err(report) => Some(report),
        };
        ran.push(Ran { name: name.to_owned(), report, milliseconds: milliseconds(begun) });
    };
    let begun = Instant::now();
    attempt("Lua finds no way into it, and the state goes on", begun, in_lua(cell, row));
    let begun = Instant::now();
    attempt("`dss check` says why", begun, checked(cell, row));
    let failed: Vec<_> = ran.iter().filter_map(|it| it.report.clone()).collect();
    let found = if failed.is_empty() {
        Found::Refused { sentence: sentences.pop().expect("both gave one") }
    } else {
        Found::Failed { report: failed.join("\n") }
    };
    (found, ran)
}

fn in_lua(cell: &Cell, row: &Row) -> Result<String, String> {
    let mut environment = cell.environment();
    environment.folders.push(row.folder_for(cell.column.lua));
    let mut command = script(&environment, "refused.lua");
    command.arg(row.revision.library()).arg(row.file(cell.column.lua));
    let ended = limited(&mut command, Duration::from_secs(60));
    if ended.succeeded() { Ok(ended.stdout.trim().to_owned()) } else { Err(ended.report()) }
}

fn checked(cell: &Cell, row: &Row) -> Result<String, String> {
    let mut command = Command::new(dss());
    command
        .arg("check")
        .arg("--module")
        .arg(cell.column.module())
        .arg(row.file(cell.column.lua))
        .arg("--json");
    let ended = limited(&mut command, Duration::from_secs(60));
    if ended.status.and_then(|status| status.code()) != Some(1) {
        return Err(format!("`dss check` ended otherwise than by 1: {}", ended.report()));
    }
    let said: serde_json::Value = serde_json::from_str(&ended.stdout).map_err(|error| error.to_string())?;
    let sentence = said["libraries"][0]["note"].as_str().unwrap_or_default().to_owned();
    let module = crate::rows::source_name(&cell.column.source);
    // The word `revision` is included because the name of the library contains the name of the revision.
    let revision = format!("revision {}", row.revision.name());
    for wanted in [row.revision.library(), &revision, &module] {
        if !sentence.contains(wanted) {
            return Err(format!("the refusal does not name {wanted}: {sentence}"));
        }
    }
    Ok(sentence)
}
