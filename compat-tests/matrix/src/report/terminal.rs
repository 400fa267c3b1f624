//! The report for a terminal.

use std::fmt::Write as _;

use super::{Report, modules, sign, words};
use crate::results::Outcome;

pub(super) fn document(report: &Report) -> String {
    let width = report.rows.iter().map(|row| row.chars().count()).max().unwrap_or(0);
    let mut text = format!("{:width$}", "");
    for (module, luas) in modules(&report.columns) {
        // Each Lua takes four columns of text.
        let room = luas.len() * 4;
        let _ = write!(text, "  {module:<room$}");
    }
    text.push('\n');
    let _ = write!(text, "{:width$}", "library");
    for (_, luas) in modules(&report.columns) {
        text.push_str("  ");
        for lua in luas {
            let short = lua.trim_start_matches("lua");
            let _ = write!(text, "{short:<4}");
        }
    }
    text.push('\n');
    for (row, cells) in report.rows.iter().zip(&report.grid) {
        let _ = write!(text, "{row:width$}");
        let mut cells = cells.iter();
        for (_, luas) in modules(&report.columns) {
            text.push_str("  ");
            for cell in cells.by_ref().take(luas.len()) {
                let _ = write!(text, "{:<4}", sign(cell.as_ref()));
            }
        }
        let end = text.trim_end().len();
        text.truncate(end);
        text.push('\n');
    }
    text.push('\n');
    for difference in &report.differences {
        let _ = writeln!(text, "changed: {difference}");
    }
    for outcome in report.outcomes().filter(|outcome| !outcome.is_as_declared()) {
        let _ = writeln!(text, "{} in {}: {}", outcome.row, outcome.column, words(outcome));
        for ran in failed(outcome) {
            let _ = writeln!(text, "{ran}");
        }
    }
    for scenario in report.left_out() {
        let _ = writeln!(text, "left out: {scenario}");
    }
    for platform in report.platforms() {
        let _ = writeln!(text, "{platform}");
    }
    let _ = writeln!(text, "✓ works   – refused, as declared   ✗ not as declared\n{}", report.summary());
    text
}

/// The reports of the runs that failed.
fn failed(outcome: &Outcome) -> impl Iterator<Item = String> {
    outcome
        .ran
        .iter()
        .filter_map(|ran| Some(format!("  {}: {}", ran.name, ran.report.as_ref()?.replace('\n', "\n    "))))
}
