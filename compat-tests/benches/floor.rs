//! What DSS costs over the floor: a C module that does the least. `cargo bench` prints the table of the README.
//!
//! Both run in one process, driven by the same library, turn about; a row's ratio is the median of the rounds' ratios,
//! with the least and the largest behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, workspace};
use compat_tests::luas::{ALL, Lua};
use compat_tests::run::limited;

const ROUNDS: usize = 25;
const ITEMS: usize = 100_000;
const ROWS: [(&str, f64); 4] =
    [("deliver, 1 thread", 2.5), ("deliver, 4 threads", 1.5), ("poll", 1.15), ("dispatch", 1.4)];

fn main() {
    // Cargo passes `--bench`; a name picks a Lua, and Lua 5.4 is the default.
    let named = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let named = named.unwrap_or_else(|| "lua54".to_owned());
    let lua = ALL.into_iter().find(|lua| lua.0 == named);
    let lua = lua.unwrap_or_else(|| panic!("no Lua is called {named}: choose one of {ALL:?}"));
    let measured = measure(lua);
    println!("{}, {ROUNDS} rounds of {ITEMS} items; nanoseconds an item, medians.\n", lua.title());
    println!("| | floor | DSS | ratio | least..largest | at most |");
    println!("|---|---|---|---|---|---|");
    for (row, bound) in ROWS {
        let (floor, dss) = (&measured[&(row, "floor")], &measured[&(row, "darksidesync")]);
        let mut ratios: Vec<f64> = floor.iter().zip(dss).map(|(floor, dss)| dss / floor).collect();
        let ratio = median(&mut ratios);
        println!(
            "| {row} | {:.0} | {:.0} | {ratio:.2} | {:.2}..{:.2} | {bound} |",
            median(&mut floor.clone()),
            median(&mut dss.clone()),
            ratios[0],
            ratios[ratios.len() - 1],
        );
    }
}

fn measure(lua: Lua) -> BTreeMap<(&'static str, &'static str), Vec<f64>> {
    let artefacts = Artefacts::build(lua, "release");
    let mut command = artefacts.command(&[]);
    command.arg(workspace().join("compat-tests/benches/floor.lua"));
    command.arg(ROUNDS.to_string()).arg(ITEMS.to_string());
    let ended = limited(&mut command, Duration::from_secs(600));
    assert!(ended.succeeded(), "{}", ended.report());
    let mut measured = BTreeMap::new();
    for line in ended.stdout.lines() {
        let mut parts = line.split('|');
        let (Some(what), Some(which), Some(figure)) = (parts.next(), parts.next(), parts.next()) else {
            panic!("the script printed {line:?}");
        };
        let row = ROWS.iter().find(|(row, _)| *row == what).expect("a row of the table").0;
        let which = if which == "floor" { "floor" } else { "darksidesync" };
        let figure: f64 = figure.parse().expect("a figure");
        measured.entry((row, which)).or_insert_with(Vec::new).push(figure);
    }
    measured
}

/// The median; sorts.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
