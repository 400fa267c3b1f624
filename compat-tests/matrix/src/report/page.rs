//! The report as one HTML page without other files or scripts: a grid, and an entry for each cell.
//!
//! Each cell of the grid is a link into its entry. A browser opens a `<details>` element when a link leads into it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Report, modules, sign, words};
use crate::results::{Found, Outcome, Ran};

const STYLE: &str = include_str!("page.css");

pub(super) fn document(report: &Report) -> String {
    let title = "DarkSideSync: the compatibility matrix";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "The compatibility matrix" }
                (summary(report))
                (differences(report))
                (platforms(report))
                (grid(report))
                (entries(report))
            }
        }
    };
    page.into_string()
}

fn summary(report: &Report) -> Markup {
    let counts = report.counts();
    html! {
        p.summary.bad[!report.is_well()] { (report.summary()) "." }
        p.legend {
            span.works { "✓" } " works (" (counts.works) ")"
            span.refused { "–" } " is refused, as declared (" (counts.refused) ")"
            span.failed { "✗" } " is not as declared (" (counts.failed) ")"
        }
        p.note {
            "Down: libraries, each of a revision, the release of the crate that it is compiled against, a compiler, and debug or "
            "release. Across: modules, each of a release or the working tree, for a Lua. Choose a cell to see what ran in it."
        }
    }
}

fn differences(report: &Report) -> Markup {
    html! {
        @if !report.differences.is_empty() {
            section.changed {
                h2 { "What is published has changed" }
                ul { @for difference in &report.differences { li { (difference.to_string()) } } }
            }
        }
    }
}

fn platforms(report: &Report) -> Markup {
    html! {
        @if !report.platforms.is_empty() {
            ul { @for platform in report.platforms() { li { (platform) } } }
        }
    }
}

/// The CSS class that colours a cell.
fn class(outcome: &Outcome) -> &'static str {
    match (&outcome.found, outcome.is_as_declared()) {
        (_, false) => "failed",
        (Found::Refused { .. }, true) => "refused",
        _ => "works",
    }
}

fn grid(report: &Report) -> Markup {
    let modules = modules(&report.columns);
    html! {
        div.scroll tabindex="0" role="region" aria-label="the grid" {
            table {
                thead {
                    tr {
                        th rowspan="2" scope="col" { "library" }
                        @for (module, luas) in &modules {
                            th.module colspan=(luas.len()) scope="colgroup" { (module) }
                        }
                    }
                    tr {
                        @for (_, luas) in &modules {
                            @for (index, lua) in luas.iter().enumerate() {
                                th.first[index == 0] scope="col" { (lua.trim_start_matches("lua").replace("5", "5.").trim_end_matches('.')) }
                            }
                        }
                    }
                }
                tbody {
                    @for (row, cells) in report.rows.iter().zip(&report.grid) {
                        tr {
                            th scope="row" { (row) }
                            @for (outcome, column) in cells.iter().zip(&report.columns) {
                                @match outcome {
                                    None => td {},
                                    Some(outcome) => td class=(class(outcome)) {
                                        a href={ "#" (id(outcome)) } title={ (row) " in " (column) } { (sign(Some(outcome))) }
                                    },
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The `id` of an entry in the page.
fn id(outcome: &Outcome) -> String {
    format!("{} in {}", outcome.row, outcome.column).replace(' ', "-")
}

fn entries(report: &Report) -> Markup {
    html! {
        section.entries {
            h2 { "The cells" }
            @for (row, cells) in report.rows.iter().zip(&report.grid) {
                h3 { (row) }
                @for outcome in cells.iter().flatten() { (entry(outcome)) }
            }
        }
    }
}

fn entry(outcome: &Outcome) -> Markup {
    let declared = format!("{:?}", outcome.expected).to_lowercase();
    html! {
        details.entry.bad[!outcome.is_as_declared()] open[!outcome.is_as_declared()] {
            summary {
                span class=(class(outcome)) { (sign(Some(outcome))) } " "
                b { (outcome.column) }
                span.figure { (outcome.ran.len()) " runs, " (seconds(outcome.milliseconds)) }
            }
            div.body id=(id(outcome)) {
                p { "Declared: " (declared) ". Found: " (words(outcome)) }
                table.runs { @for ran in &outcome.ran { (run(ran)) } }
                @for scenario in &outcome.left_out { p.note { "Left out: " (scenario) } }
                p { a href="#" { "back to the grid" } }
            }
        }
    }
}

fn run(ran: &Ran) -> Markup {
    let (class, sign) = if ran.report.is_some() { ("failed", "✗") } else { ("works", "✓") };
    html! {
        tr {
            td class=(class) { (sign) }
            td {
                (ran.name)
                @if let Some(report) = &ran.report { pre { (report) } }
            }
            td.figure { (seconds(ran.milliseconds)) }
        }
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}
