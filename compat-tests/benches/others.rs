//! Measures DSS beside what else hands items from a background thread to a script: luv's `uv_async`, a queue as in Lua Lanes, Lanes itself, and
//! Node's thread-safe function. `cargo bench -p compat-tests --bench others` prints the table of the book; with `-- --quick` it only shows
//! that everything works. `-- luajit` takes one Lua.
//!
//! Each run is a process of its own. All contenders run in turn, then again in the opposite order, and so on. A row has the medians of all runs,
//! with the smallest and the largest.

use compat_tests::artefacts::Artefacts;
use compat_tests::luas::{ALL, Lua};
use compat_tests::others::{self, Contender, Figures, Needs, Work};

const RUNS: usize = 9;
const WORK: Work = Work { items: 200_000, trips: 10_000 };
const QUICK: (usize, Work) = (1, Work { items: 1000, trips: 100 });

/// A contender in a Lua, and what its runs measured. Node has the first Lua, which it does not use.
struct Row<'a> {
    contender: Contender,
    artefacts: &'a Artefacts,
    runs: Vec<Figures>,
}

impl Row<'_> {
    fn is_node(&self) -> bool {
        self.contender.needs == Needs::Node
    }
}

/// A figure of the table, and how it is made of the figures of a run.
struct Column {
    title: &'static str,
    name: &'static str,
    of: fn(&Figures) -> f64,
    more_is_better: bool,
    digits: usize,
}

const COLUMNS: [Column; 3] = [
    Column {
        title: "million items a second",
        name: "items",
        of: |run| 1000.0 / run.item,
        more_is_better: true,
        digits: 2,
    },
    Column {
        title: "round trip, µs",
        name: "round trip",
        of: |run| run.half / 1000.0,
        more_is_better: false,
        digits: 1,
    },
    Column {
        title: "its p99, µs",
        name: "p99",
        of: |run| run.slow / 1000.0,
        more_is_better: false,
        digits: 1,
    },
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let luas: Vec<Lua> = match arguments.find(|argument| !argument.starts_with('-')) {
        None => vec![Lua("lua54"), Lua("luajit")],
        Some(name) => ALL.into_iter().filter(|lua| lua.0 == name).collect(),
    };
    assert!(!luas.is_empty(), "no Lua is called that: choose one of {ALL:?}");
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (count, work) = if is_quick { QUICK } else { (RUNS, WORK) };

    let artefacts: Vec<_> = luas.into_iter().map(Artefacts::as_released).collect();
    let built = others::build(&artefacts);
    let in_lua = artefacts.iter().flat_map(|of| others::IN_LUA.map(|contender| (contender, of)));
    let all = in_lua.chain([(others::NODE, &artefacts[0])]);
    let (mut rows, mut left_out) = (Vec::new(), Vec::new());
    for (contender, artefacts) in all {
        match contender.missing(artefacts.lua) {
            None => rows.push(Row { contender, artefacts, runs: Vec::new() }),
            Some(why) => left_out.push(format!("{}: {why}", contender.title)),
        }
    }
    for at in 0..count {
        let measure = |row: &mut Row<'_>| row.runs.push(row.contender.run(row.artefacts, &built, work));
        if at % 2 == 0 {
            rows.iter_mut().for_each(measure);
        } else {
            rows.iter_mut().rev().for_each(measure);
        }
    }
    println!("\nRuns: {count}, each of {} items and {} round trips. Medians.\n", work.items, work.trips);
    print(&rows);
    for line in left_out {
        println!("\nLeft out: {line}.");
    }
}

fn print(rows: &[Row<'_>]) {
    let names: String = COLUMNS.iter().map(|column| format!(" {} |", column.title)).collect();
    println!("| | |{names} DSS is slower |");
    println!("|---|---|{}---|", "---|".repeat(COLUMNS.len()));
    for row in rows {
        let lua = if row.is_node() { "-".to_owned() } else { row.artefacts.lua.title() };
        let figures: String = COLUMNS.iter().map(|column| cell(column, row)).collect();
        println!("| {} | {lua} |{figures} {} |", row.contender.title, slower(row, rows));
    }
}

/// The values of a column in a row, sorted.
fn sorted(column: &Column, row: &Row<'_>) -> Vec<f64> {
    let mut values: Vec<f64> = row.runs.iter().map(column.of).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(column: &Column, row: &Row<'_>) -> f64 {
    let values = sorted(column, row);
    values[values.len() / 2]
}

fn cell(column: &Column, row: &Row<'_>) -> String {
    let (values, digits) = (sorted(column, row), column.digits);
    let (least, largest) = (values[0], values[values.len() - 1]);
    format!(" {:.digits$} ({least:.digits$}..{largest:.digits$}) |", median(column, row))
}

/// In what DSS is slower than this row, and how many times. Its own rows say nothing. A row of a Lua is compared with DSS in that Lua, and Node
/// with DSS in each: with the first row of DSS in the same loop, whose thread is in C.
fn slower(row: &Row<'_>, rows: &[Row<'_>]) -> String {
    if row.contender.is_dss {
        return "-".to_owned();
    }
    // In the loop that the row has, if DSS was measured there.
    let is_same_loop = |dss: &Row<'_>| {
        (dss.contender.needs == Needs::Luv) == matches!(row.contender.needs, Needs::Luv | Needs::Node)
    };
    let mut said = Vec::new();
    for lua in ALL.into_iter().filter(|lua| row.is_node() || *lua == row.artefacts.lua) {
        let mut of_dss = rows.iter().filter(|row| row.contender.is_dss && row.artefacts.lua == lua);
        let Some(dss) = of_dss.clone().find(|dss| is_same_loop(dss)).or_else(|| of_dss.next()) else {
            continue;
        };
        let what = slower_columns(dss, row);
        said.push(if row.is_node() { format!("{}: {what}", lua.title()) } else { what });
    }
    said.join("; ")
}

fn slower_columns(dss: &Row<'_>, row: &Row<'_>) -> String {
    let mut found = Vec::new();
    for column in &COLUMNS {
        let (own, its) = (median(column, dss), median(column, row));
        let times = if column.more_is_better { its / own } else { own / its };
        if times > 1.0 {
            found.push(format!("{} {times:.2} times", column.name));
        }
    }
    if found.is_empty() { "in nothing".to_owned() } else { found.join(", ") }
}
