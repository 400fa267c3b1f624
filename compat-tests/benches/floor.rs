//! Measures the cost of DSS compared with the floor, a minimal C module; of v2 compared with v1, and c2v0
//! with v2; of calling a function of v2 compared with a C function; of awaiting compared with a callback; and
//! of an item's way to its callback through `run`, UDP, and the descriptor in three loops, compared with `wait`;
//! of a state beside another one that uses DSS, compared with one that computes; and of items that pile up.
//! `cargo bench -p compat-tests` prints the tables of the book.
//!
//! Both sides of a table run alternately in one process. The ratio of a row is the median of the ratios of
//! all rounds, followed by the smallest and the largest. `cargo bench -p compat-tests -- --check` fails if a
//! ratio is above its limit.

use std::collections::BTreeMap;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, workspace};
use compat_tests::luas::ALL;
use compat_tests::run::limited;

const ROUNDS: usize = 25;
const ITEMS: usize = 100_000;

/// A table: the two sides, the script that measures them, and the rows with the limit of each ratio.
struct Table {
    sides: [&'static str; 2],
    script: &'static str,
    rows: &'static [(&'static str, Option<f64>)],
}

const TABLES: [Table; 9] = [
    Table {
        sides: ["floor", "darksidesync"],
        script: "floor.lua",
        rows: &[
            ("deliver, 1 thread", Some(2.5)),
            ("deliver, 4 threads", Some(1.5)),
            ("poll", Some(1.15)),
            ("poll, floor protected", None),
            ("dispatch", Some(1.4)),
            ("reply, 1 waiting thread", Some(1.1)),
            ("reply, 4 waiting threads", Some(1.2)),
        ],
    },
    Table {
        sides: ["v1", "v2"],
        script: "revisions.lua",
        rows: &[
            ("deliver, two integers", None),
            ("dispatch, two integers", None),
            ("deliver to callback", Some(1.6)),
        ],
    },
    Table {
        sides: ["v2", "c2v0"],
        script: "c2v0.lua",
        rows: &[
            ("deliver, two integers", Some(1.1)),
            ("dispatch, two integers", None),
            ("request and answer", Some(1.1)),
            ("call, an integer", Some(1.1)),
        ],
    },
    Table {
        sides: ["C", "v2"],
        script: "calls.lua",
        rows: &[
            ("call, no argument", None),
            ("call, an integer", None),
            ("call, two integers and a string", None),
        ],
    },
    Table {
        sides: ["callback", "await"],
        script: "await.lua",
        rows: &[("a call and its answer", Some(1.3))],
    },
    Table {
        sides: ["wait", "descriptor"],
        script: "latency.lua",
        rows: &[
            ("luv", Some(1.5)),
            ("luv, p99", None),
            ("cqueues", Some(1.5)),
            ("cqueues, p99", None),
            ("luaposix", Some(1.5)),
            ("luaposix, p99", None),
            ("run", Some(1.5)),
            ("run, p99", None),
            ("UDP", None),
            ("UDP, p99", None),
        ],
    },
    Table {
        sides: ["computes", "DSS"],
        script: "neighbour.lua",
        rows: &[("deliver to callback, beside another state", Some(1.03)), ("two states on two cores", None)],
    },
    Table {
        sides: ["1000", "many"],
        script: "growth.lua",
        rows: &[("10^4 queued", None), ("10^5 queued", None), ("10^6 queued", None), ("10^7 queued", None)],
    },
    Table {
        sides: ["computes", "scrapes"],
        script: "scrape.lua",
        rows: &[("slowest deliver of 20,000", None)],
    },
];

fn main() {
    // Cargo passes `--bench`. A name selects a Lua; the default is Lua 5.4.
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let named = named.unwrap_or_else(|| "lua54".to_owned());
    let lua = ALL.into_iter().find(|lua| lua.0 == named);
    let lua = lua.unwrap_or_else(|| panic!("no Lua is called {named}: choose one of {ALL:?}"));
    let artefacts = Artefacts::as_released(lua);
    println!("{}, {ROUNDS} rounds of {ITEMS} items; nanoseconds an item, medians.", lua.title());
    let mut over = Vec::new();
    for table in &TABLES {
        over.extend(print(table, &measure(table, &artefacts)));
    }
    if std::env::args().any(|argument| argument == "--check") && !over.is_empty() {
        eprintln!("more than at most: {}", over.join(", "));
        std::process::exit(1);
    }
}

/// Nanoseconds per item, by row and side, with one number for each round.
type Measured = BTreeMap<(String, String), Vec<f64>>;

/// Prints a table. Returns the rows whose ratio is above its limit.
fn print(table: &Table, measured: &Measured) -> Vec<&'static str> {
    let mut over = Vec::new();
    let [base, other] = table.sides;
    let title = if other == "darksidesync" { "DSS" } else { other };
    println!("\n| | {base} | {title} | ratio | least..largest | at most |");
    println!("|---|---|---|---|---|---|");
    for (row, bound) in table.rows {
        let of = |side: &str| measured.get(&((*row).to_owned(), side.to_owned()));
        // A loop that this machine does not have for this Lua.
        let (Some(base), Some(other)) = (of(base), of(other)) else {
            println!("| {row} | not there | | | | |");
            continue;
        };
        let mut ratios: Vec<f64> = base.iter().zip(other).map(|(base, other)| other / base).collect();
        let ratio = median(&mut ratios);
        if bound.is_some_and(|bound| ratio > bound) {
            over.push(*row);
        }
        println!(
            "| {row} | {:.0} | {:.0} | {ratio:.2} | {:.2}..{:.2} | {} |",
            median(&mut base.clone()),
            median(&mut other.clone()),
            ratios[0],
            ratios[ratios.len() - 1],
            bound.map_or("-".to_owned(), |bound| bound.to_string()),
        );
    }
    over
}

fn measure(table: &Table, artefacts: &Artefacts) -> Measured {
    let mut command = artefacts.command(&[]);
    command.arg(workspace().join("compat-tests/benches").join(table.script));
    command.arg(ROUNDS.to_string()).arg(ITEMS.to_string());
    let ended = limited(&mut command, Duration::from_secs(600));
    assert!(ended.succeeded(), "{}", ended.report());
    let mut measured = Measured::new();
    for line in ended.stdout.lines() {
        let mut parts = line.split('|');
        let (Some(row), Some(side), Some(figure)) = (parts.next(), parts.next(), parts.next()) else {
            panic!("the script printed {line:?}");
        };
        let figure: f64 = figure.parse().expect("a figure");
        measured.entry((row.to_owned(), side.to_owned())).or_default().push(figure);
    }
    measured
}

/// The median. Sorts the values.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
