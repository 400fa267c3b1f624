//! The report as Markdown.

use std::fmt::Write as _;

use super::{Report, sign, words};

pub(super) fn document(report: &Report) -> String {
    let mut text = format!("# The compatibility matrix\n\n{}\n\n| library |", report.summary());
    for column in &report.columns {
        let _ = write!(text, " {column} |");
    }
    text.push_str("\n|---|");
    text.push_str(&":-:|".repeat(report.columns.len()));
    text.push('\n');
    for (row, cells) in report.rows.iter().zip(&report.grid) {
        let _ = write!(text, "| {row} |");
        for cell in cells {
            let _ = write!(text, " {} |", sign(cell.as_ref()));
        }
        text.push('\n');
    }
    text.push_str("\n✓ works, – is refused as declared, ✗ is not as declared\n");
    if !report.platforms.is_empty() {
        text.push_str("\n## Platforms\n\n");
        for platform in report.platforms() {
            let _ = writeln!(text, "- {platform}");
        }
    }
    if !report.left_out().is_empty() {
        text.push_str("\n## Left out\n\n");
        for scenario in report.left_out() {
            let _ = writeln!(text, "- {scenario}");
        }
    }
    if !report.differences.is_empty() {
        text.push_str("\n## What is published has changed\n\n");
        for difference in &report.differences {
            let _ = writeln!(text, "- {difference}");
        }
    }
    let mut refusals: Vec<String> = Vec::new();
    for outcome in report.outcomes().filter(|outcome| outcome.is_as_declared()) {
        let words = words(outcome);
        if words != "works" && !refusals.contains(&words) {
            refusals.push(words);
        }
    }
    if !refusals.is_empty() {
        text.push_str("\n## Refusals\n\n");
        for words in refusals {
            let _ = writeln!(text, "- {words}");
        }
    }
    if report.counts().failed > 0 {
        text.push_str("\n## Not as declared\n");
        for outcome in report.outcomes().filter(|outcome| !outcome.is_as_declared()) {
            let _ =
                write!(text, "\n### {} in {}\n\n```text\n{}\n", outcome.row, outcome.column, words(outcome));
            for ran in &outcome.ran {
                if let Some(report) = &ran.report {
                    let _ = writeln!(text, "{}: {report}", ran.name);
                }
            }
            text.push_str("```\n");
        }
    }
    text
}
